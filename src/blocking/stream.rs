//! An authenticated stream for a thread that blocks.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use crate::keeps::Keeps;
use crate::os::blocking::Blocking;
use crate::std_socket::{StdSocket, StreamGuard};

/// An authenticated stream whose reads and writes block their thread.
///
/// It is what [`BlockingConnection::into_stream`](crate::BlockingConnection::into_stream), `Stream::into_blocking` and a
/// session of `thread_handler` get. It needs no runtime. Threads can share it: `&BlockingStream` reads and writes, too, so
/// one thread can read while another writes. In a server, its client is counted until this is dropped.
///
/// ```
/// # use rendezvous_ipc::{Descriptor, Stream, testing};
/// use std::io::{Read, Write};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let connection = testing::connect(|context| {
/// Ok(Descriptor::new(context, "echo")?.stream_handler(async |_server| {
///     Ok(async |_peer, stream: Stream| {
///         let mut stream = stream.into_blocking()?;
///         std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
///         Ok::<_, std::io::Error>(())
///     })
/// }))
/// # });
/// # let connection = connection.await?;
/// let mut stream = connection.into_stream().into_blocking()?;
/// stream.set_read_timeout(Some(Duration::from_secs(60)))?;
/// stream.write_all(b"hello")?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer)?;
/// assert_eq!(&answer, b"hello");
/// # Ok(()) }
/// ```
pub struct BlockingStream {
    socket: Blocking,
    keeps: Keeps,
}

impl BlockingStream {
    pub(crate) fn new(socket: Blocking, keeps: Keeps) -> Self {
        BlockingStream { socket, keeps }
    }

    /// Sets how long a read may wait; `None`, the default: for ever. A read that waits longer fails with an error of the
    /// kind `WouldBlock` or `TimedOut`, and has read nothing.
    ///
    /// # Errors
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    /// Sets how long a write may wait; `None`, the default: for ever. A write that waits longer fails with an error of
    /// the kind `WouldBlock` or `TimedOut`; a `write_all` may have done a part of its work.
    ///
    /// # Errors
    /// `InvalidInput` for a time of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_write_timeout(timeout)
    }

    /// Takes the socket out of the stream, with a guard to keep beside it, as `Stream::into_std` does. It keeps the
    /// time-outs that were set.
    ///
    /// # Errors
    /// Those of the system.
    pub fn into_std(self) -> io::Result<(StdSocket, StreamGuard)> {
        Ok((StdSocket::of(self.socket)?, StreamGuard::new(self.keeps)))
    }

    /// Ends one direction of the connection, or both. A thread that waits in a read returns.
    ///
    /// # Errors
    /// Those of the system. A connection that the other side has ended already is none.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

impl Read for &BlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buf)
    }
}

impl Write for &BlockingStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.socket.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for BlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for BlockingStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for BlockingStream {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for BlockingStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockingStream")
    }
}
