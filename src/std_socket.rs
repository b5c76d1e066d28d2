//! A connected socket of the standard library, and the guard that counts its client.

use std::fmt;
use std::io;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(unix)]
use std::os::unix::net::UnixStream;

use crate::keeps::Keeps;
use crate::os::blocking::Blocking;

/// A connected socket of the standard library, made by [`BlockingStream::into_std`](crate::BlockingStream::into_std) and
/// `Stream::into_std`.
///
/// Which of the two it is depends on the server's [`Transport`](crate::Transport).
#[derive(Debug)]
#[non_exhaustive]
pub enum StdSocket {
    /// A Unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
    /// A connection over loopback.
    Tcp(TcpStream),
}

impl StdSocket {
    pub(crate) fn of(socket: Blocking) -> io::Result<Self> {
        #[cfg(unix)]
        if socket.is_local()? {
            return Ok(StdSocket::Unix(socket.into_owned().into()));
        }
        Ok(StdSocket::Tcp(socket.into_owned().into()))
    }
}

#[cfg(unix)]
impl AsFd for StdSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            StdSocket::Unix(socket) => socket.as_fd(),
            StdSocket::Tcp(socket) => socket.as_fd(),
        }
    }
}

/// A guard that stands for a connection whose socket was taken out of its stream: see
/// [`BlockingStream::into_std`](crate::BlockingStream::into_std) and `Stream::into_std`. Keep it beside the socket.
#[must_use = "dropped, the connection is not counted any more"]
pub struct StreamGuard {
    _keeps: Keeps,
}

impl StreamGuard {
    pub(crate) fn new(keeps: Keeps) -> Self {
        StreamGuard { _keeps: keeps }
    }
}

impl fmt::Debug for StreamGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamGuard")
    }
}
