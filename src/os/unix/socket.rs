//! Helpers that listeners and streams of Unix sockets share: new sockets, paths that are too long, the runtime's watch.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a socket with the runtime, which watches it for `interest`.
#[allow(
    deprecated,
    reason = "its successor is unsafe: it relies on a descriptor that stays the same, as that of a socket does"
)]
pub(super) fn watch<T: AsRawFd>(socket: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(socket, interest)
}

/// Creates a socket that is neither bound nor connected.
pub(super) fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Calls `with` with a path that fits into a socket address. A path that is too long is replaced by one through a
/// descriptor of its directory.
pub(super) fn reach<T>(path: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if SocketAddr::from_pathname(path).is_ok() {
        return with(path);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = (OFlags::PATH | OFlags::DIRECTORY).bits();
    let directory: File = OpenOptions::new().read(true).custom_flags(flags as i32).open(directory)?;
    let descriptor = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
    with(&descriptor.join(name)).map_err(|error| match error.kind() {
        // `/proc` is missing, so this error says nothing about the socket.
        io::ErrorKind::NotFound if !descriptor.exists() => Errno::NAMETOOLONG.into(),
        _ => error,
    })
}
