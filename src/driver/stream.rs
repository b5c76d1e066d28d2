//! An authenticated stream of bytes, whatever carries it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::internal::Lease;

/// An authenticated stream between a client and its server.
///
/// Both sides know that the other knows the cookie; what is sent is neither encrypted nor signed, and never leaves
/// the machine. Bytes leave at once: buffer small writes yourself.
pub struct Stream {
    stream: TcpStream,
    lease: Option<Lease>,
}

impl Stream {
    pub(super) fn new(stream: TcpStream, lease: Option<Lease>) -> Self {
        Stream { stream, lease }
    }

    /// The two halves, and what keeps an internal server for as long as they are used.
    #[cfg(feature = "capnp")]
    pub(crate) fn into_parts(self) -> (tokio::net::tcp::OwnedReadHalf, tokio::net::tcp::OwnedWriteHalf, Option<Lease>) {
        let (reader, writer) = self.stream.into_split();
        (reader, writer, self.lease)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

// Not vectored: that would be `writev`, which raises SIGPIPE in a host that is no Rust program.
impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("internal", &self.lease.is_some()).finish_non_exhaustive()
    }
}
