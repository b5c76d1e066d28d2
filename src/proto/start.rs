//! What a spawner and the server that it starts say to each other, a line of text each, over two pipes.
//!
//! ```text
//! spawner ─▶ stdin    rendezvous start COOKIE BUDGET⏎           the budget in milliseconds
//! server  ─▶ stdout   rendezvous ready RECORD⏎ | rendezvous failed REASON⏎ | rendezvous busy⏎
//! spawner ─▶ stdin    registered⏎
//! ```
//!
//! A line without its end is nothing. The server answers with the whole record, for it alone knows what
//! it is: behind a wrapper the spawner's child is another process, and a rebuilt program another version.

use core::fmt::Write;
use core::str;
use core::time::Duration;

use super::address::is_spelled;
use super::cookie::Cookie;
use super::hex::Hex;
use super::record::{Found, Line, Record};

const ORDER: &str = "rendezvous start ";

/// The line that says *busy*: somebody else holds the lifetime lock.
pub const BUSY: &str = "rendezvous busy\n";
/// The line that says *registered*: the record is written, serve.
pub const REGISTERED: &str = "registered\n";

/// Whether a line, its end included, says *registered*: exactly that one does.
pub fn is_registered(line: &[u8]) -> bool {
    line == REGISTERED.as_bytes()
}

/// What keeps a process from being started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotStarted {
    /// The program: it is not there, not allowed, or no program. Another policy may do without it.
    CannotExecute,
    /// Something of ours.
    Trouble,
}

impl NotStarted {
    /// Judges the system's error. It may blame the program for a working directory that is missing: then the home is.
    pub const fn of(blames_the_program: bool, home_is_there: bool) -> Self {
        match (blames_the_program, home_is_there) {
            (true, true) => NotStarted::CannotExecute,
            (true, false) | (false, _) => NotStarted::Trouble,
        }
    }
}

/// No line is longer, in bytes.
pub const LINE_MAX: usize = 2048;
/// Reasons are cut to this many characters.
pub const REASON_MAX: usize = 400;

/// The spawner's first line.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Order {
    /// The new server's cookie.
    pub cookie: Cookie,
    /// How long the spawner waits for the answer.
    pub budget: Duration,
}

impl Order {
    /// The bytes to send.
    pub fn line(&self) -> Line {
        let mut line = Line::new();
        let written = writeln!(line, "{ORDER}{:x} {}", Hex(self.cookie.expose()), self.budget.as_millis());
        debug_assert!(written.is_ok(), "an order is short");
        line
    }

    /// Reads a whole line, its end included.
    pub fn read(line: &[u8]) -> Option<Self> {
        let text = str::from_utf8(line).ok()?.strip_prefix(ORDER)?.strip_suffix('\n')?;
        let (cookie, budget) = text.split_once(' ')?;
        let millis = budget.parse().ok().filter(|millis: &u64| is_spelled(millis, budget))?;
        Some(Order { cookie: Cookie::from_hex(cookie)?, budget: Duration::from_millis(millis) })
    }
}

/// The server's line.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reply<'a> {
    /// It holds the lifetime lock, has a handler and listens.
    Ready(Record),
    /// It could not, and says why.
    Failed(&'a str),
    /// It could not get the lifetime lock.
    Busy,
}

impl<'a> Reply<'a> {
    /// What stands before every reply.
    pub const TOKEN: &'static str = "rendezvous ";
    /// What stands before the record of a *ready*.
    pub const READY: &'static str = "rendezvous ready ";
    /// What stands before the reason of a *failed*.
    pub const FAILED: &'static str = "rendezvous failed ";

    /// Writes the bytes that say *ready* into an empty line.
    pub fn ready(record: &Record, line: &mut Line) {
        let written = line.write_str(Self::READY);
        debug_assert!(written.is_ok(), "it is empty");
        record.write(line);
    }

    /// Reads a whole line, its end included.
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
        // Whoever wrote the beginning of this line was not the server whose record stands in it.
        (!reason.contains(Self::READY)).then_some(Reply::Failed(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::record::tests::sample;

    fn order() -> Order {
        Order { cookie: Cookie::new([3; 32]), budget: Duration::from_millis(8000) }
    }

    fn ready() -> Line {
        let mut line = Line::new();
        Reply::ready(&sample(), &mut line);
        line
    }

    #[test]
    fn an_order_reads_back_and_a_part_of_it_is_nothing() {
        let line = order().line();
        assert_eq!(Order::read(&line), Some(order()));
        for end in 0..line.len() {
            assert_eq!(Order::read(&line[..end]), None, "{end} bytes");
        }
    }

    #[test]
    fn a_reply_reads_back_and_a_part_of_it_is_nothing() {
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
    fn exactly_one_line_is_registered() {
        assert!(is_registered(REGISTERED.as_bytes()));
        for other in
            ["", "\n", "registered", "registered\r\n", "Registered\n", " registered\n", "registered \n", "busy\n"]
        {
            assert!(!is_registered(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn only_an_error_of_the_program_in_a_home_that_is_there_is_the_programs() {
        for (blames_the_program, home_is_there, why) in [
            (true, true, NotStarted::CannotExecute),
            (true, false, NotStarted::Trouble),
            (false, true, NotStarted::Trouble),
            (false, false, NotStarted::Trouble),
        ] {
            assert_eq!(NotStarted::of(blames_the_program, home_is_there), why);
        }
    }

    #[test]
    fn anything_else_is_no_reply() {
        for nonsense in [&b"hello world\n"[..], b"\n", b"busy\n", b"rendezvous ready 127.0.0.1:4711\n", b"\xff\n"] {
            assert_eq!(Reply::read(nonsense), None);
        }
    }

    #[test]
    fn a_reply_in_which_another_stands_is_none() {
        for before in ["hello ", Reply::FAILED, "rendezvous failed no licence", Reply::READY] {
            assert_eq!(Reply::read(&[before.as_bytes(), &ready()].concat()), None, "{before}");
        }
    }
}
