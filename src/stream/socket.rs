//! One side of a connection, whatever carries it.

use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::IntoRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::os::stream;

/// One side of a connection.
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
    /// Sends all of a short message, or none of it.
    pub(crate) fn send_at_once(&self, message: &[u8]) -> Option<()> {
        let sent = match self {
            Socket::Tcp(stream) => stream.try_write(message),
            Socket::Unix(stream) => stream.send(message),
        };
        (sent.ok()? == message.len()).then_some(())
    }

    /// Returns when the other side has ended the connection. What it may have said already stays unread.
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

    /// To be used by another thread.
    pub(crate) fn hand_over(self) -> io::Result<Handover> {
        match self {
            Socket::Tcp(stream) => stream.into_std().map(Handover::Tcp),
            Socket::Unix(stream) => Ok(Handover::Unix(stream.unwatched())),
        }
    }

    fn end(&self) {
        match self {
            Socket::Tcp(stream) => stream::end(stream),
            Socket::Unix(stream) => stream.end(),
        }
    }

    /// Leaves it open for as long as this process lives.
    pub(crate) fn leave(self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => drop(stream.into_std()?.into_raw_fd()),
            Socket::Unix(stream) => stream.leave(),
        }
        Ok(())
    }

    /// The process at the other end when it connected, where the system says so.
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

/// As [`Socket::ended`].
pub(crate) async fn port_ended(stream: &TcpStream) {
    if let Ok(1..) = stream.peek(&mut [0]).await {
        pending().await
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

// Not vectored: that would be `writev`, which raises SIGPIPE in a host that is no Rust program.
impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let written = match socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => stream.poll_write(cx, buf),
        };
        if matches!(written, Poll::Ready(Err(_))) {
            // Who reads has to see it, too: a session whose answers do not leave is over.
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
