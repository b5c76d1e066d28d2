//! The two halves of a connection that carries Cap'n Proto messages, and what bounds the memory that it takes.
//!
//! capnp allocates a whole message from its header, so 8 bytes of a peer would cost us 8 MiB. Here a message is held back
//! until all of it has come, in a buffer that grows as it comes.
//!
//! capnp also queues what it sends without bound. A server reads no more of a client while that client does not read what
//! it is sent: its next calls wait in the sockets' buffers, and then in the client. Clients do not do the same to their
//! server, so the two never wait for each other.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_util::io::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf, ReadHalf, WriteHalf};

use super::MESSAGE_WORDS;
use crate::driver::Socket;

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
            let came = this.end - this.begin;
            match length(&this.buffer[this.begin..this.end]) {
                Some(length) if length <= came => this.given = length,
                length => {
                    if !ready!(this.poll_more(cx, length.map(|length| length - came)))? {
                        // The end, or the end in the middle of a message: capnp says so.
                        this.given = came;
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

/// How long the message is that begins with these bytes. `None` where they are too few to say so. Where capnp refuses
/// it, it is as long as what has come.
fn length(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| bytes.get(4 * at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
    let segments = number(0)?.saturating_add(1);
    if segments >= 512 {
        return Some(bytes.len());
    }
    let mut words = 0;
    for segment in 1..=segments {
        words += number(segment)?;
        if words > MESSAGE_WORDS {
            return Some(bytes.len());
        }
    }
    Some(4 * (1 + segments).next_multiple_of(2) + 8 * words)
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

#[cfg(test)]
mod tests {
    use capnp::message::ReaderOptions;
    use capnp::serialize;
    use proptest::prelude::*;

    use super::*;

    fn table(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn a_messages_length_is_known_when_its_table_has_come() {
        for (table, length) in [
            (table(&[0, 0]), 8),
            (table(&[0, 3]), 8 + 24),
            (table(&[1, 3, 4, 0]), 16 + 56),
            (table(&[2, 3, 4, 5]), 16 + 96),
            (table(&[3, 1, 1, 1, 1, 0]), 24 + 32),
            (table(&[0, MESSAGE_WORDS as u32]), 8 + 8 * MESSAGE_WORDS),
        ] {
            assert_eq!(super::length(&table), Some(length), "{table:?}");
            let lengths = table.len() - if table[0] % 2 == 1 { 4 } else { 0 };
            for end in 0..lengths {
                assert_eq!(super::length(&table[..end]), None, "{end} bytes of {table:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_message_is_as_long_as_capnp_reads(
            segments in prop::collection::vec(0_u32..9, 1..9),
            behind in prop::collection::vec(any::<u8>(), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = table(&[segments.len() as u32 - 1]);
            bytes.extend(table(&segments));
            bytes.resize(bytes.len().next_multiple_of(8) + 8 * segments.iter().sum::<u32>() as usize, 0);
            bytes.extend(behind);
            let came = &bytes[..=cut.index(bytes.len())];
            let mut rest = came;
            match serialize::read_message_from_flat_slice(&mut rest, ReaderOptions::new()) {
                Ok(_) => prop_assert_eq!(length(came), Some(came.len() - rest.len())),
                Err(_) => prop_assert!(length(came).is_none_or(|length| length > came.len())),
            }
        }
    }

    #[test]
    fn what_capnp_refuses_is_not_waited_for() {
        for table in
            [table(&[511, 0]), table(&[u32::MAX, 0]), table(&[0, MESSAGE_WORDS as u32 + 1]), table(&[1, 9, u32::MAX])]
        {
            assert_eq!(super::length(&table), Some(table.len()), "{table:?}");
        }
    }
}
