//! The two halves of a connection that carries Cap'n Proto messages, and what bounds the memory that it takes.
//!
//! capnp allocates a whole message from its header, so 8 bytes of a peer would cost us 8 MiB. Here a message is held
//! back until all of it has come, in a buffer that grows as it comes.
//!
//! capnp also queues what it sends without bound. A server reads no more of a client while that client does not read
//! what it is sent: its next calls wait in the sockets' buffers, and then in the client. Clients do not do the same to
//! their server, so the two never wait for each other.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_util::io::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf, ReadHalf, WriteHalf};

use crate::proto::message::length;
use crate::stream::Socket;

/// What is read at once, and all that is kept for a peer that says nothing.
const SMALL: usize = 8 * 1024;

/// Splits a connection. `waits`: nothing is read while the other side does not read.
pub(super) fn halves(socket: Socket, waits: bool) -> (Incoming, Outgoing) {
    let (reader, writer) = tokio::io::split(socket);
    let turn = waits.then(Rc::<Turn>::default);
    let incoming = Incoming { socket: reader, turn: turn.clone(), buffer: Vec::new(), begin: 0, end: 0, given: 0 };
    (incoming, Outgoing { socket: writer, turn })
}

/// Whether the other side is to read first.
#[derive(Default)]
struct Turn {
    is_theirs: Cell<bool>,
    waiting: Cell<Option<Waker>>,
}

impl Turn {
    fn set(&self, is_theirs: bool) {
        if self.is_theirs.replace(is_theirs) && !is_theirs {
            // It looks again after whoever writes has gone on: what is left to write makes it wait again.
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

/// What comes: whole messages only.
pub(super) struct Incoming {
    socket: ReadHalf<Socket>,
    turn: Option<Rc<Turn>>,
    buffer: Vec<u8>,
    /// What came lies from here...
    begin: usize,
    /// ...to here.
    end: usize,
    /// How much of it capnp may have: the rest of a message.
    given: usize,
}

impl Incoming {
    /// Reads more of a message of which so much is missing, if that is known. `false` where nothing more will come.
    fn poll_more(&mut self, cx: &mut Context<'_>, missing: Option<usize>) -> Poll<io::Result<bool>> {
        if self.begin > 0 {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        if self.end == self.buffer.len() {
            // Twice of what has come at most: what was announced only takes nothing.
            let more = missing.unwrap_or(SMALL).min(self.end.max(SMALL));
            self.buffer.reserve_exact(more);
            self.buffer.resize(self.end + more, 0);
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut room))?;
        let more = room.filled().len();
        self.end += more;
        Poll::Ready(Ok(more > 0))
    }
}

impl AsyncRead for Incoming {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.given == 0 {
            if let Some(turn) = &this.turn {
                ready!(turn.poll_ours(cx));
            }
            let failure = this.end - this.begin;
            match length(&this.buffer[this.begin..this.end]) {
                Some(length) if length <= failure => this.given = length,
                length => {
                    if !ready!(this.poll_more(cx, length.map(|length| length - failure)))? {
                        // The end, or the end in the middle of a message: capnp says so.
                        this.given = failure;
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
            // Nothing is behind a message that did not fit into the small buffer: it ended with its own.
            this.buffer.truncate(SMALL);
            this.buffer.shrink_to(SMALL);
        }
        Poll::Ready(Ok(len))
    }
}

/// What is sent.
pub(super) struct Outgoing {
    socket: WriteHalf<Socket>,
    turn: Option<Rc<Turn>>,
}

impl AsyncWrite for Outgoing {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, buf);
        if let Some(turn) = &this.turn {
            turn.set(written.is_pending());
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
