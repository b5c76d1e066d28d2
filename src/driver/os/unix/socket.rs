//! Unix sockets: files beside the point, for their owner alone.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};

/// A socket's file, while it is there. Dropped, it is removed, unless another file stands there by now.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    fn at(path: PathBuf) -> io::Result<Self> {
        let id = identity(&path)?;
        Ok(SocketFile { path, id })
    }

    /// Whether its path still leads to it. What cannot be looked at may be there.
    pub(crate) fn is_there(&self) -> bool {
        match identity(&self.path) {
            Ok(id) => id == self.id,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Listens at a socket that only its owner may use. What stands there is removed: the name is the caller's own.
pub(crate) fn listen(path: &Path, backlog: u32) -> io::Result<(UnixListener, SocketFile)> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = socket()?;
    reach(path, |short| Ok(rustix::net::bind(&socket, &SocketAddrUnix::new(short)?)?))?;
    let file = SocketFile::at(path.to_owned())?;
    // Nobody can connect before it listens, so nobody can before it is private.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok((UnixListener::from_std(socket.into())?, file))
}

/// Connects, or fails, at once: `WouldBlock` where too many wait to be accepted.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket()?;
    reach(path, |short| Ok(rustix::net::connect(&socket, &SocketAddrUnix::new(short)?)?))?;
    UnixStream::from_std(socket.into())
}

fn socket() -> io::Result<std::os::fd::OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Gives a path to a socket as the system takes it: where it is too long, by way of its directory's descriptor.
fn reach<T>(path: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if SocketAddr::from_pathname(path).is_ok() {
        return with(path);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = (OFlags::PATH | OFlags::DIRECTORY).bits();
    let directory: File = OpenOptions::new().read(true).custom_flags(flags as i32).open(directory)?;
    with(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name))
}

/// Whether the other side is a process of this user's.
pub(crate) fn is_ours(stream: &UnixStream) -> io::Result<bool> {
    Ok(stream.peer_cred()?.uid() == rustix::process::geteuid().as_raw())
}

/// Sends what there is room for. Not `write`, which raises SIGPIPE in a host that is no Rust program.
pub(crate) fn send(stream: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::net::send(&stream, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Err(Errno::INTR) => {}
            sent => return Ok(sent?),
        }
    }
}

/// How much of what the other side said waits to be read, up to a byte; 0 is its end.
pub(crate) fn peek(stream: impl AsFd) -> io::Result<usize> {
    let (_, peeked) = rustix::net::recv(stream, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
    Ok(peeked)
}

/// Whether that many bytes of what the other side said wait to be read.
pub(crate) fn has_said<const N: usize>(stream: impl AsFd) -> bool {
    matches!(rustix::net::recv(stream, &mut [0; N], RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((_, said)) if said == N)
}

/// Whether somebody waits to be accepted.
pub(crate) fn is_awaited(listener: &OwnedFd) -> bool {
    let mut listener = [PollFd::new(listener, PollFlags::IN)];
    matches!(rustix::event::poll(&mut listener, Some(&Timespec::default())), Ok(1..))
}

/// Whether it is a socket that listens on the loopback.
pub(crate) fn listens(socket: impl AsFd) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// Has a connection be reset when it is closed, by the end of this process, too; or no more.
pub(crate) fn reset_at_close(stream: impl AsFd, reset: bool) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(stream, reset.then_some(Duration::ZERO))?)
}

/// Removes the sockets in a directory whose names are `is`.
pub(crate) fn sweep(directory: &Path, is: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&is) && entry.file_type()?.is_socket() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
