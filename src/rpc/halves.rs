//! The two halves of a connection that carries Cap'n Proto messages, and what bounds the memory that it takes.
//!
//! capnp allocates a whole message from its header, so 8 bytes from a peer would cost 8 MiB. This module holds a
//! message back until all of it has arrived, in a buffer that grows as it arrives.
//!
//! capnp also queues what it sends without bound. A server stops reading from a client while that client does not read:
//! the client's next calls wait in the buffers of the sockets, and then in the client. Clients do not do the same to
//! their server, so the two never wait for each other.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_util::io::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf, ReadHalf, WriteHalf};

use crate::proto::message::length;
use crate::stream::Socket;

/// How much memory each half keeps between messages.
const KEPT: usize = 1024;
/// How much is read or written at once.
const CHUNK: usize = 8 * 1024;

thread_local! {
    /// A buffer that all connections of this thread share, to receive bytes of which the length is not known. A buffer
    /// of its own would be most of the memory of an idle connection.
    static ARRIVALS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Splits a connection. With `waits`, it reads nothing while the other side does not read.
pub(super) fn halves(socket: Socket, waits: bool) -> (Incoming, Outgoing) {
    let (reader, writer) = tokio::io::split(socket);
    let turn = waits.then(Rc::<Turn>::default);
    let incoming = Incoming { socket: reader, turn: turn.clone(), buffer: Vec::new(), begin: 0, end: 0, given: 0 };
    (incoming, Outgoing { socket: writer, turn, buffer: Vec::with_capacity(KEPT), begin: 0 })
}

/// Whether the other side has to read before this side reads.
#[derive(Default)]
struct Turn {
    is_theirs: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

impl Turn {
    fn set(&self, is_theirs: bool) {
        if self.is_theirs.replace(is_theirs) && !is_theirs {
            // The reader polls after the writer has continued: bytes that are left to write make it wait again.
            self.waiting.take().into_iter().for_each(Waker::wake);
        }
    }

    fn poll_ours(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_theirs.get() {
            self.waiting.set(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

/// The receiving half, which passes on whole messages only.
pub(super) struct Incoming {
    socket: ReadHalf<Socket>,
    turn: Option<Rc<Turn>>,
    buffer: Vec<u8>,
    /// The bytes received lie from here...
    begin: usize,
    /// ...to here.
    end: usize,
    /// How many of them capnp may have: the rest of a message.
    given: usize,
}

impl Incoming {
    /// Reads more of a message, of which `missing` bytes are still to come, if that is known. Returns `false` at the
    /// end.
    fn poll_more(&mut self, cx: &mut Context<'_>, missing: Option<usize>) -> Poll<io::Result<bool>> {
        if self.begin > 0 {
            self.buffer.truncate(self.end);
            self.buffer.drain(..self.begin);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        if self.end == self.buffer.len() {
            match missing {
                // At most twice what has arrived: bytes that are only announced take no memory. Of a large message
                // nothing beyond its end is read: the beginning of the next would keep its memory.
                Some(missing) if missing.max(self.end) >= CHUNK => {
                    let more = missing.min(self.end.max(CHUNK));
                    self.buffer.reserve_exact(more);
                    self.buffer.resize(self.end + more, 0);
                }
                _ => return self.poll_arrivals(cx),
            }
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut room))?;
        let more = room.filled().len();
        self.end += more;
        Poll::Ready(Ok(more > 0))
    }

    /// Reads up to [`CHUNK`] bytes into the shared buffer, and keeps what has arrived: whole messages, or the beginning
    /// of one.
    fn poll_arrivals(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        ARRIVALS.with_borrow_mut(|arrivals| {
            arrivals.resize(CHUNK, 0);
            let mut room = ReadBuf::new(arrivals);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut room))?;
            self.buffer.extend_from_slice(room.filled());
            self.end = self.buffer.len();
            Poll::Ready(Ok(!room.filled().is_empty()))
        })
    }
}

impl AsyncRead for Incoming {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.given == 0 {
            if let Some(turn) = &this.turn {
                ready!(turn.poll_ours(cx));
            }
            let available = this.end - this.begin;
            match length(&this.buffer[this.begin..this.end]) {
                Some(length) if length <= available => this.given = length,
                length => {
                    if !ready!(this.poll_more(cx, length.map(|length| length - available)))? {
                        // The end, perhaps in the middle of a message: capnp reports that.
                        this.given = available;
                        break;
                    }
                }
            }
        }
        let len = this.given.min(buf.len());
        buf[..len].copy_from_slice(&this.buffer[this.begin..this.begin + len]);
        this.begin += len;
        this.given -= len;
        if this.begin == this.end {
            (this.begin, this.end) = (0, 0);
            this.buffer.clear();
            this.buffer.shrink_to(KEPT);
        }
        Poll::Ready(Ok(len))
    }
}

/// The sending half. A small message is sent at once, as one write: otherwise a call takes forty milliseconds now and
/// then.
pub(super) struct Outgoing {
    socket: WriteHalf<Socket>,
    turn: Option<Rc<Turn>>,
    buffer: Vec<u8>,
    /// The bytes to be sent lie from here to the end of the buffer.
    begin: usize,
}

impl Outgoing {
    /// Sends what the buffer holds, and keeps little memory for the next message.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.begin < self.buffer.len() {
            match ready!(poll_send(&mut self.socket, &self.turn, cx, &self.buffer[self.begin..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.begin += sent,
            }
        }
        self.begin = 0;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
        Poll::Ready(Ok(()))
    }
}

fn poll_send(
    socket: &mut WriteHalf<Socket>,
    turn: &Option<Rc<Turn>>,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    let sent = Pin::new(socket).poll_write(cx, bytes);
    if let Some(turn) = turn {
        turn.set(sent.is_pending());
    }
    sent
}

impl AsyncWrite for Outgoing {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.buffer.len() + buf.len() > CHUNK {
            ready!(this.poll_drain(cx))?;
        }
        if buf.len() >= CHUNK {
            return poll_send(&mut this.socket, &this.turn, cx, buf);
        }
        this.buffer.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_large_message_keeps_no_memory_beside_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut incoming, _outgoing) = halves(Socket::Tcp(listener.accept().await.unwrap().0), false);
        // The rest of this message, and one byte of the next, are less than a chunk.
        let words = 1024 * 1024 / 8 + 12;
        let mut sent = [0, words as u32].map(u32::to_le_bytes).concat();
        sent.resize(8 + 8 * words, 0);
        let message = sent.len();
        sent.push(0);
        let writes = async { client.write_all(&sent).await.unwrap() };
        let reads = async {
            let (mut read, mut most) = (0, 0);
            let mut room = [0; 4096];
            while read < message {
                read += poll_fn(|cx| Pin::new(&mut incoming).poll_read(cx, &mut room)).await.unwrap();
                most = most.max(incoming.buffer.capacity());
            }
            assert_eq!((read, most), (message, message));
            assert!(incoming.buffer.capacity() <= KEPT, "{}", incoming.buffer.capacity());
        };
        tokio::join!(writes, reads);
    }
}
