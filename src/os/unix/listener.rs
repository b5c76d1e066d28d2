//! A listening Unix socket, which is a private file beside the point. Binds it, and checks, repairs and removes its
//! file.

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, SocketFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::file::FileId;
use super::socket::{reach, socket};
use super::stream::watch;

/// A listening Unix socket, or a listening port.
pub(crate) struct Listener(AsyncFd<OwnedFd>);

impl Listener {
    /// Listens at a socket that only its owner may use. A file that is already there is removed: the name is the
    /// caller's.
    pub(crate) fn at(path: &Path, backlog: u32) -> Result<(Self, SocketFile), ListenError> {
        match fs::remove_file(path) {
            // `bind` refuses a name that is too long, and its error says more.
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) => {
                return Err(ListenError::Failed(error));
            }
            _ => {}
        }
        let socket = socket()?;
        // On Linux the file that `bind` makes has the mode of the socket.
        let _ = rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(PRIVATE));
        let bind = |short: &Path| Ok(rustix::net::bind(&socket, &SocketAddrUnix::new(short)?)?);
        reach(path, bind).map_err(ListenError::of_bind)?;
        let file = SocketFile::at(path.to_owned())?;
        // No process can connect before the socket listens. So none can connect before it is private.
        file.repair()?;
        rustix::net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX)).map_err(io::Error::from)?;
        Ok((Listener::on(socket)?, file))
    }

    /// Wraps a socket that already listens. It must be non-blocking.
    pub(crate) fn on(listener: OwnedFd) -> io::Result<Self> {
        watch(listener, Interest::READABLE).map(Listener)
    }

    /// Accepts the next connection to a port.
    pub(crate) async fn accept_port(&self) -> io::Result<TcpStream> {
        self.accept().await.map(TcpStream::from)
    }

    /// Accepts the next connection. An error means that a connection waits and cannot be accepted; a connection that
    /// was aborted is skipped.
    pub(crate) async fn accept(&self) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let accept = |listener: &OwnedFd| match rustix::net::accept_with(listener, flags) {
            // Linux reports the lack of a descriptor before it looks whether a connection waits.
            Err(Errno::MFILE | Errno::NFILE) if !has_waiting(listener) => Err(io::ErrorKind::WouldBlock.into()),
            accepted => Ok(accepted?),
        };
        loop {
            match self.0.async_io(Interest::READABLE, accept).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                accepted => return accepted,
            }
        }
    }
}

/// Returns whether a connection waits to be accepted.
pub(crate) fn has_waiting(listener: &OwnedFd) -> bool {
    let mut listener = [PollFd::new(listener, PollFlags::IN)];
    matches!(rustix::event::poll(&mut listener, Some(&Timespec::default())), Ok(1..))
}

/// Returns whether a descriptor is a listening socket.
#[cfg(feature = "sequoia")]
pub(crate) fn listens(socket: impl std::os::fd::AsFd) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// The file of a listening socket. Dropping this removes the file, unless the path leads to another file by now.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    id: FileId,
}

impl SocketFile {
    fn at(path: PathBuf) -> io::Result<Self> {
        let id = FileId::at(&path)?;
        Ok(SocketFile { path, id })
    }

    /// Returns whether the path still leads to this socket. If that cannot be looked up, the answer is *yes*.
    pub(crate) fn is_there(&self) -> bool {
        match FileId::at(&self.path) {
            Ok(id) => id == self.id,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Restores the mode of the file if it was changed, and returns whether it was.
    pub(crate) fn repair(&self) -> io::Result<bool> {
        if fs::symlink_metadata(&self.path)?.mode() & 0o777 == PRIVATE {
            return Ok(false);
        }
        fs::set_permissions(&self.path, Permissions::from_mode(PRIVATE))?;
        Ok(true)
    }
}

/// The mode of a socket's file. Only a process that may write the file can connect.
const PRIVATE: u32 = 0o600;

impl Drop for SocketFile {
    fn drop(&mut self) {
        if FileId::at(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Why there is no listener at a path.
#[derive(Debug)]
pub(crate) enum ListenError {
    /// The file system has no sockets, or the path is too long.
    Unsupported(io::Error),
    /// Any other error, whose cause can be removed.
    Failed(io::Error),
}

impl From<io::Error> for ListenError {
    fn from(error: io::Error) -> Self {
        ListenError::Failed(error)
    }
}

impl ListenError {
    /// Classifies an error of `bind`. A file system without sockets returns EPERM on Linux; some return EOPNOTSUPP, and
    /// FUSE ones ENOSYS.
    fn of_bind(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::NAMETOOLONG) => ListenError::Unsupported(error),
            _ => ListenError::Failed(error),
        }
    }
}

/// Removes the sockets in a directory whose names satisfy `is`, and returns those that could not be removed. In a
/// shared directory a socket with such a name may belong to another user.
pub(crate) fn sweep(directory: &Path, is: impl Fn(&str) -> bool) -> io::Result<Vec<(PathBuf, io::Error)>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&is) && entry.file_type().is_ok_and(|kind| kind.is_socket()) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => left.push((entry.path(), error)),
                _ => {}
            }
        }
    }
    Ok(left)
}
