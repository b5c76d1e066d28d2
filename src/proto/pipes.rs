//! The messages between a client that starts a server and that server: lines of text over a socket pair
//! and a pipe.
//!
//! ```text
//! spawner ─▶ stdin    rendezvous start …⏎                       the order
//! server  ─▶ stdout   rendezvous ready RECORD⏎ | rendezvous failed REASON⏎ | rendezvous busy⏎
//! spawner ─▶ stdin    registered⏎
//! ```
//!
//! A line without its newline is not a message. The server replies with the whole record, because only the server knows
//! its own PID and version: the spawner's child may be a wrapper, and a program that was rebuilt has another version.

mod order;

use core::fmt::Write;
use core::str;

pub use self::order::{DEPTH_MAX, ORDER_MAX, Order, Serves, Start, Tag, Text, VARIABLE, VERSION, Waiting};
use super::record::{Found, Line, Record};

/// The server's line *busy*: another process holds the lifetime lock.
pub const BUSY: &str = "rendezvous busy\n";
/// The spawner's line *registered*: the record is written, and the server may serve.
pub const REGISTERED: &str = "registered\n";

/// Returns whether a line, including its newline, is exactly *registered*.
pub fn is_registered(line: &[u8]) -> bool {
    line == REGISTERED.as_bytes()
}

/// The length limit of a line that is no order, in bytes.
pub const LINE_MAX: usize = 2048;
/// The length limit of a reason, in characters. A longer reason is truncated.
pub const REASON_MAX: usize = 400;

/// The server's reply.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reply<'a> {
    /// The server holds the lifetime lock, has a handler and listens.
    Ready(Record),
    /// The server could not start, for this reason.
    Failed(&'a str),
    /// The server could not get the lifetime lock.
    Busy,
}

impl<'a> Reply<'a> {
    /// The beginning of every reply.
    pub const TOKEN: &'static str = "rendezvous ";
    /// The beginning of a *ready*, before the record.
    pub const READY: &'static str = "rendezvous ready ";
    /// The beginning of a *failed*, before the reason.
    pub const FAILED: &'static str = "rendezvous failed ";

    /// Writes *ready* and a record into an empty line.
    pub fn ready(record: &Record, line: &mut Line) {
        let written = line.write_str(Self::READY);
        debug_assert!(written.is_ok(), "it is empty");
        record.write(line);
    }

    /// Parses a line, including its newline.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        if let Some(record) = line.strip_prefix(Self::READY.as_bytes()) {
            return match Found::read(record) {
                Found::Record(record) => Some(Reply::Ready(record)),
                _ => None,
            };
        }
        let text = str::from_utf8(line).ok()?;
        if text == BUSY {
            return Some(Reply::Busy);
        }
        let reason = text.strip_prefix(Self::FAILED)?.strip_suffix('\n')?;
        // Another process wrote the beginning of this line, and the server a *ready* behind it.
        (!reason.contains(Self::READY)).then_some(Reply::Failed(reason))
    }
}

#[cfg(test)]
pub(crate) use self::order::tests::sample as sample_order;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::record::tests::sample;

    fn ready() -> Line {
        let mut line = Line::new();
        Reply::ready(&sample(), &mut line);
        line
    }

    #[test]
    fn a_reply_parses_and_a_prefix_of_it_does_not() {
        let ready = ready();
        assert_eq!(Reply::read(&ready), Some(Reply::Ready(sample())));
        let failed = b"rendezvous failed no room\n";
        assert_eq!(Reply::read(failed), Some(Reply::Failed("no room")));
        assert_eq!(Reply::read(BUSY.as_bytes()), Some(Reply::Busy));
        for whole in [&ready[..], failed, BUSY.as_bytes()] {
            for end in 0..whole.len() {
                assert_eq!(Reply::read(&whole[..end]), None, "{end} bytes");
            }
        }
    }

    #[test]
    fn only_the_exact_line_is_registered() {
        assert!(is_registered(REGISTERED.as_bytes()));
        for other in
            ["", "\n", "registered", "registered\r\n", "Registered\n", " registered\n", "registered \n", "busy\n"]
        {
            assert!(!is_registered(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn other_lines_are_not_replies() {
        for nonsense in [&b"hello world\n"[..], b"\n", b"busy\n", b"rendezvous ready 127.0.0.1:4711\n", b"\xff\n"] {
            assert_eq!(Reply::read(nonsense), None);
        }
    }

    #[test]
    fn a_reply_that_contains_another_does_not_parse() {
        for before in ["hello ", Reply::FAILED, "rendezvous failed no licence", Reply::READY] {
            assert_eq!(Reply::read(&[before.as_bytes(), &ready()].concat()), None, "{before}");
        }
    }
}
