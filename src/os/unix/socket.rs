//! What a listener and a stream of Unix sockets share: a new socket, a way to a path that is too long, and the runtime's watch.

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

/// Has the runtime watch a socket.
#[allow(
    deprecated,
    reason = "its successor is unsafe: it trusts that a descriptor stays the same, as that of a socket does"
)]
pub(super) fn watch<T: AsRawFd>(socket: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(socket, interest)
}

/// Makes a socket that is not bound yet.
pub(super) fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Gives a path to a socket as the system takes it: where it is too long, by way of its directory's descriptor.
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
        // There is no such way: of what is at its end this says nothing.
        io::ErrorKind::NotFound if !descriptor.exists() => Errno::NAMETOOLONG.into(),
        _ => error,
    })
}
