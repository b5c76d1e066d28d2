//! Unix sockets of both drivers: new ones, connections with a known peer, paths that are too long, one send or receive.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

use super::blocking::Blocking;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType};

/// A connected socket whose peer is a process of this user.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) stream: UnixStream,
    /// The number of the process that connected, if the system reports it. A process outside of this PID namespace has
    /// no number here.
    pub(crate) peer: Option<u32>,
}

impl Connected {
    /// Returns the socket for a thread that blocks.
    pub(crate) fn into_blocking(self) -> io::Result<Blocking> {
        Blocking::new(self.stream)
    }
}

/// Connects without waiting, and returns a socket that does not block. The error is `WouldBlock` if the listener's queue
/// is full. The inner `Err` is the peer's user if it is another one than ours. If the system does not report the user,
/// that is an outer error, since it proves nothing about the peer.
pub(crate) fn connect(path: &Path) -> io::Result<Result<Connected, u32>> {
    let socket = socket()?;
    reach(path, |short| Ok(rustix::net::connect(&socket, &SocketAddrUnix::new(short)?)?))?;
    of_ours(socket)
}

/// Wraps a connected socket whose peer is a process of this user. The inner `Err` is the peer's user otherwise.
pub(super) fn of_ours(socket: OwnedFd) -> io::Result<Result<Connected, u32>> {
    let stream = UnixStream::from(socket);
    let (user, peer) = credentials(&stream)?;
    let ours = user == rustix::process::geteuid().as_raw();
    Ok(if ours { Ok(Connected { stream, peer }) } else { Err(user) })
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

/// Returns whether a path leads to a socket of this user to which its mode lets not even this user connect.
pub(crate) fn is_not_accessible(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| {
        metadata.file_type().is_socket()
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.mode() & 0o200 == 0
    })
}

/// Sends as many bytes as there is room for, without SIGPIPE.
pub(super) fn send(stream: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::net::send(&stream, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Err(Errno::INTR) => {}
            sent => return Ok(sent?),
        }
    }
}

/// Receives what has arrived, without waiting. 0 bytes mean the end.
pub(super) fn recv(stream: impl AsFd, buf: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    loop {
        match rustix::net::recv(&stream, &mut *buf, flags | RecvFlags::DONTWAIT) {
            Err(Errno::INTR) => {}
            received => return Ok(received?.1),
        }
    }
}

/// Ends directions of a connection. One that the peer has ended already is no error.
pub(super) fn shut_down(socket: impl AsFd, how: Shutdown) -> io::Result<()> {
    match rustix::net::shutdown(socket, how) {
        Err(Errno::NOTCONN) => Ok(()),
        result => Ok(result?),
    }
}

/// Ends a connection in both directions. Bytes that have arrived can still be read; the end follows them.
pub(crate) fn end(stream: impl AsFd) {
    let _ = rustix::net::shutdown(stream, Shutdown::Both);
}

/// Returns the user and the process of the peer. The system reports 0 for a process outside of this PID namespace,
/// which the PID type of rustix cannot hold.
#[cfg(target_os = "linux")]
fn credentials(stream: &UnixStream) -> io::Result<(u32, Option<u32>)> {
    let peer = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials)?;
    Ok((peer.uid(), known(peer.pid())))
}

#[cfg(not(target_os = "linux"))]
fn credentials(stream: &UnixStream) -> io::Result<(u32, Option<u32>)> {
    let (user, _) = nix::unistd::getpeereid(stream)?;
    #[cfg(target_vendor = "apple")]
    let peer = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::LocalPeerPid).ok().and_then(known);
    #[cfg(not(target_vendor = "apple"))]
    let peer = None;
    Ok((user.as_raw(), peer))
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn known(pid: i32) -> Option<u32> {
    u32::try_from(pid).ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_peer_of_another_pid_namespace_has_no_pid() {
        // The system knows no peer of a TCP socket. It reports 0, as for a process in another PID namespace.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (user, process) = credentials(&UnixStream::from(OwnedFd::from(stream))).unwrap();
        assert_eq!((user, process), (u32::MAX, None));
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert_eq!(
            credentials(&ours).unwrap(),
            (rustix::process::geteuid().as_raw(), Some(std::process::id())),
            "a peer of this namespace has its number"
        );
    }
}
