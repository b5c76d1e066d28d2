//! A Unix socket at which others connect: a file beside the point, for its owner alone. How it is bound, and how its file is
//! kept, repaired and removed.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, SocketFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::file::FileId;
use super::socket::{reach, socket, watch};

/// A socket or a port at which others connect.
pub(crate) struct Listener(AsyncFd<OwnedFd>);

impl Listener {
    /// Listens at a socket that only its owner may use. What stands there is removed: the name is the caller's own.
    pub(crate) fn at(path: &Path, backlog: u32) -> Result<(Self, SocketFile), ListenError> {
        match fs::remove_file(path) {
            // A name that is too long is one for `bind` to refuse.
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) => {
                return Err(ListenError::Failed(error));
            }
            _ => {}
        }
        let socket = socket()?;
        let bind = |short: &Path| Ok(rustix::net::bind(&socket, &SocketAddrUnix::new(short)?)?);
        reach(path, bind).map_err(ListenError::of_bind)?;
        let file = SocketFile::at(path.to_owned())?;
        // Nobody can connect before it listens, so nobody can before it is private.
        fs::set_permissions(path, Permissions::from_mode(PRIVATE))?;
        rustix::net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX)).map_err(io::Error::from)?;
        Ok((Listener::on(socket)?, file))
    }

    /// Listens where it does already. It must not block.
    pub(crate) fn on(listener: OwnedFd) -> io::Result<Self> {
        watch(listener, Interest::READABLE).map(Listener)
    }

    /// The next connection. An error is one of accepting while somebody waits, never one of a single connection.
    pub(crate) async fn accept(&self) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let accept = |listener: &OwnedFd| match rustix::net::accept_with(listener, flags) {
            // Linux says that there is no descriptor before it looks whether there is anybody.
            Err(Errno::MFILE | Errno::NFILE) if !is_awaited(listener) => Err(io::ErrorKind::WouldBlock.into()),
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

/// Whether somebody waits to be accepted.
pub(crate) fn is_awaited(listener: &OwnedFd) -> bool {
    let mut listener = [PollFd::new(listener, PollFlags::IN)];
    matches!(rustix::event::poll(&mut listener, Some(&Timespec::default())), Ok(1..))
}

/// Whether it is a socket that listens on the loopback.
#[cfg(feature = "sequoia")]
pub(crate) fn listens(socket: impl std::os::fd::AsFd) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// A socket's file, while it is there. Dropped, it is removed, unless another file stands there by now.
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

    /// Whether its path still leads to it. What cannot be looked at may be there.
    pub(crate) fn is_there(&self) -> bool {
        match FileId::at(&self.path) {
            Ok(id) => id == self.id,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Has it be for its owner alone, and of use to that one, where somebody has changed that: whether somebody had.
    pub(crate) fn repair(&self) -> io::Result<bool> {
        if fs::symlink_metadata(&self.path)?.mode() & 0o777 == PRIVATE {
            return Ok(false);
        }
        fs::set_permissions(&self.path, Permissions::from_mode(PRIVATE))?;
        Ok(true)
    }
}

/// The mode of a socket: who may not write it cannot connect.
const PRIVATE: u32 = 0o600;

/// Whether it is a socket of this user's whose mode keeps its own user out.
pub(crate) fn is_shut(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| {
        metadata.file_type().is_socket()
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.mode() & 0o200 == 0
    })
}

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
    /// There can be none: the file system has no sockets, or the path is too long.
    Unsupported(io::Error),
    /// Something is wrong, and can be mended.
    Failed(io::Error),
}

impl From<io::Error> for ListenError {
    fn from(error: io::Error) -> Self {
        ListenError::Failed(error)
    }
}

impl ListenError {
    /// Judges an error of binding a socket to its path. A file system without sockets answers EPERM on Linux, some others
    /// EOPNOTSUPP, and ENOSYS where a process serves it (FUSE).
    fn of_bind(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::NAMETOOLONG) => ListenError::Unsupported(error),
            _ => ListenError::Failed(error),
        }
    }
}

/// Removes the sockets in a directory whose names are `is`, and answers what could not be removed. In a directory that all
/// share such a name may be another user's.
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
