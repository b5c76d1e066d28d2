//! A connected socket of either transport.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::os::blocking::Blocking;
use crate::os::{socket, stream};

/// A connected socket, over TCP or a Unix socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(stream::Stream),
}

/// A socket on its way from one thread's runtime to another's.
pub(crate) enum Handover {
    Tcp(std::net::TcpStream),
    Unix(stream::Stream),
}

impl Socket {
    /// Sends a short message without waiting. Returns `None` if not all of it could be sent.
    pub(crate) fn send_at_once(&self, message: &[u8]) -> Option<()> {
        let sent = match self {
            Socket::Tcp(stream) => stream.try_write(message),
            Socket::Unix(stream) => stream.send(message),
        };
        (sent.ok()? == message.len()).then_some(())
    }

    /// Forgets that there was something to read: see [`stream::Stream::forget_readiness`].
    pub(crate) fn forget_readiness(&self) {
        match self {
            Socket::Tcp(stream) => {
                let _ = stream.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
            }
            Socket::Unix(stream) => stream.forget_readiness(),
        }
    }

    /// Waits until the peer has ended the connection, and reads nothing. If bytes wait to be read, this never returns.
    pub(crate) async fn ended(&mut self) {
        match self {
            Socket::Tcp(stream) => port_ended(stream).await,
            Socket::Unix(stream) => {
                if poll_fn(|cx| stream.poll_peek(cx)).await.unwrap_or(false) {
                    pending().await
                }
            }
        }
    }

    /// Takes the socket from this runtime, for another thread's.
    pub(crate) fn hand_over(self) -> io::Result<Handover> {
        match self {
            Socket::Tcp(stream) => stream.into_std().map(Handover::Tcp),
            Socket::Unix(stream) => Ok(Handover::Unix(stream.unwatched())),
        }
    }

    /// Takes the socket from its runtime, for a thread that blocks.
    pub(crate) fn into_blocking(self) -> io::Result<Blocking> {
        match self {
            Socket::Tcp(stream) => Blocking::new(stream.into_std()?),
            Socket::Unix(stream) => stream.into_blocking(),
        }
    }

    fn end(&self) {
        match self {
            Socket::Tcp(stream) => socket::end(stream),
            Socket::Unix(stream) => stream.end(),
        }
    }

    /// Leaves the socket open until this process ends.
    pub(crate) fn leave(self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => std::mem::forget(stream.into_std()?),
            Socket::Unix(stream) => stream.leave(),
        }
        Ok(())
    }

    /// Returns the process that connected, if the system reports it.
    pub(crate) fn peer(&self) -> Option<u32> {
        match self {
            Socket::Tcp(_) => None,
            Socket::Unix(stream) => stream.peer,
        }
    }
}

impl Handover {
    pub(crate) fn take(self) -> io::Result<Socket> {
        match self {
            Handover::Tcp(stream) => TcpStream::from_std(stream).map(Socket::Tcp),
            Handover::Unix(stream) => Ok(Socket::Unix(stream)),
        }
    }
}

/// Does for a TCP stream what [`Socket::ended`] does.
pub(crate) async fn port_ended(stream: &TcpStream) {
    if let Ok(1..) = stream.peek(&mut [0]).await {
        pending().await
    }
}

#[cfg(all(unix, not(rendezvous_sim)))]
impl std::os::fd::AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Unix(stream) => stream.poll_read(cx, buf),
        }
    }
}

// Writes are not vectored: `writev` raises SIGPIPE, which kills a host that is not a Rust program.
impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let written = match socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => stream.poll_write(cx, buf),
        };
        if matches!(written, Poll::Ready(Err(_))) {
            // The reader has to see the failure, too: a session that cannot send its answers is over.
            socket.end();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Poll::Ready(stream.shut_down()),
        }
    }
}
