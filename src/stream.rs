//! An authenticated stream of bytes over a socket or a port.

pub(crate) mod socket;

use std::any::Any;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use self::socket::Socket;
use crate::blocking::BlockingStream;
use crate::keeps::Keeps;
use crate::std_socket::{StdSocket, StreamGuard};

/// An authenticated stream between a client and its server.
///
/// Each side has proved to the other that it knows the cookie. The bytes are neither encrypted nor signed, and never
/// leave the machine. They are sent at once, so buffer small writes yourself. No operation has a deadline: put a
/// [`timeout`](tokio::time::timeout) around those that need one. [`tokio::io::split`] splits a stream into two halves,
/// and [`shutdown`](tokio::io::AsyncWriteExt::shutdown) ends the direction in which this side sends.
///
/// It is `Send`, `Sync` and `Unpin`. A server counts its client until the stream is dropped
/// ([more](crate::manual::life_of_a_server)), so a session can move it to another task, thread or runtime, or make it an
/// `Arc`. On Unix it implements `AsFd`, and a duplicate of its descriptor is not counted.
/// [`into_blocking`](Stream::into_blocking) is for threads that block, and [`into_std`](Stream::into_std) for code that
/// wants a socket of the standard library.
///
/// ```
/// # use rendezvous_ipc::{Descriptor, Stream, testing};
/// use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let connection = testing::connect(|context| {
/// #     Ok(Descriptor::new(context, "echo")?.stream_handler(async |_start| {
/// #         Ok(async |_peer, stream: Stream| {
/// #             let (mut reader, mut writer) = tokio::io::split(stream);
/// #             let _ = tokio::io::copy(&mut reader, &mut writer).await;
/// #         })
/// #     }))
/// # });
/// # let connection = connection.await?;
/// let mut stream = BufStream::new(connection.into_stream());
/// stream.write_all(b"hello\n").await?;
/// stream.flush().await?;
/// let mut line = String::new();
/// stream.read_line(&mut line).await?;
/// assert_eq!(line, "hello\n");
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// The same as for any socket: a `read` that is dropped has read nothing; a `read_exact` or a `write_all` may have done
/// a part of its work.
pub struct Stream {
    socket: Socket,
    keeps: Keeps,
}

impl Stream {
    pub(crate) fn new(socket: Socket, keeps: Keeps) -> Self {
        Stream { socket, keeps }
    }

    /// Takes the stream from its runtime, for a thread that blocks.
    ///
    /// The client stays counted. It can be called in a runtime and outside of one.
    ///
    /// # Errors
    /// Those of the system.
    pub fn into_blocking(self) -> io::Result<BlockingStream> {
        Ok(BlockingStream::new(self.socket.into_blocking()?, self.keeps))
    }

    /// Takes the socket out of the stream, for code that wants one of the standard library, with a guard to keep beside it.
    ///
    /// The guard counts as the client until it is dropped: so long the server stays and its drain waits, whatever becomes
    /// of the socket. On the client's side it keeps an internal server and an ephemeral context, as the stream does. The
    /// socket is in blocking mode: call `set_nonblocking(true)` before a runtime gets it. To write to it as the standard
    /// library does may raise SIGPIPE in a process that is not a Rust program. The call works in a runtime and outside
    /// of one.
    ///
    /// ```
    /// # use rendezvous_ipc::{Descriptor, Stream, testing};
    /// use rendezvous_ipc::StdSocket;
    /// use std::io::{self, Read, Write};
    ///
    /// fn echo(socket: &mut (impl Read + Write)) -> io::Result<()> {
    ///     let mut byte = [0];
    ///     socket.read_exact(&mut byte)?;
    ///     socket.write_all(&byte)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let connection = testing::connect(|context| {
    /// Ok(Descriptor::new(context, "echo")?.stream_handler(async |_server| {
    ///     Ok(async |_peer, stream: Stream| {
    ///         let (socket, guard) = stream.into_std()?;
    ///         std::thread::spawn(move || {
    ///             let _counted = guard; // until the end of this thread
    ///             match socket {
    ///                 StdSocket::Unix(mut socket) => echo(&mut socket),
    ///                 StdSocket::Tcp(mut socket) => echo(&mut socket),
    ///                 _ => Err(io::ErrorKind::Unsupported.into()),
    ///             }
    ///         });
    ///         Ok::<_, io::Error>(())
    ///     })
    /// }))
    /// # });
    /// # let mut stream = connection.await?.into_stream().into_blocking()?;
    /// # stream.write_all(b"!")?;
    /// # stream.read_exact(&mut [0])?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the system.
    pub fn into_std(self) -> io::Result<(StdSocket, StreamGuard)> {
        self.into_blocking()?.into_std()
    }

    /// Returns what keeps the client of this stream counted.
    pub(crate) fn counted(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.keeps.counted.clone()
    }

    /// Returns the socket, and the values that must live as long as it is used.
    #[cfg(feature = "capnp")]
    pub(crate) fn into_parts(self) -> (Socket, Keeps) {
        (self.socket, self.keeps)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(all(unix, not(rendezvous_sim)))]
impl std::os::fd::AsFd for Stream {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("internal", &self.keeps.lease.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_can_be_sent_shared_and_moved() {
        fn can<T: Send + Sync + Unpin + 'static>() {}
        can::<Stream>();
        can::<BlockingStream>();
    }
}
