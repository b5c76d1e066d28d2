//! How a spawner judges its child: by the error of the start, by the child's output, and by how the wait for it ended.
//!
//! Output that is not a reply is never quoted. A wrapper of the server may have put text before the record, or cut or
//! folded the line, so the output may contain the cookie.

use super::pipes::Reply;
use super::record::Record;

/// The reason why a process could not be started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotStarted {
    /// The program is missing, is not executable, or is not a program. A policy that starts no program may still work.
    CannotExecute,
    /// A local error.
    Local,
}

impl NotStarted {
    /// Classifies the system's error. The system also blames the program if the working directory is missing, which is
    /// the home or another.
    pub const fn of(blames_the_program: bool, home_is_there: bool) -> Self {
        match (blames_the_program, home_is_there) {
            (true, true) => NotStarted::CannotExecute,
            (true, false) | (false, _) => NotStarted::Local,
        }
    }
}

/// The output of a child: its first line, or the part of it that has arrived.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Output<'a> {
    /// The child has written nothing.
    Nothing,
    /// The child listens, and sent its record.
    Ready(Record),
    /// Another process holds the lifetime lock.
    Busy,
    /// The child failed, for this reason.
    Failed(&'a str),
    /// Begins like a reply but is not one: it is of another version, or cut short.
    OtherVersion,
    /// Not a reply.
    Nonsense {
        /// How many bytes were read.
        bytes: usize,
    },
}

impl<'a> Output<'a> {
    /// Reads the first line of a child's output, including its end, or all of the output if no line is complete.
    pub fn read(line: &'a [u8]) -> Self {
        match Reply::read(line) {
            Some(Reply::Ready(record)) => Output::Ready(record),
            Some(Reply::Busy) => Output::Busy,
            Some(Reply::Failed(reason)) => Output::Failed(reason),
            None if line.is_empty() => Output::Nothing,
            None if line.starts_with(Reply::TOKEN.as_bytes()) => Output::OtherVersion,
            None => Output::Nonsense { bytes: line.len() },
        }
    }

    /// Judges the output by how the wait ended.
    ///
    /// A child that exited is not ready, even if it reported *ready* before; its *busy* or *failed* counts. A child
    /// whose time is over has not answered, even if it has written part of a line.
    pub fn judge(self, end: End) -> Answer<'a> {
        Answer::Failed(match (self, end) {
            (_, End::Overdue) => Why::Overdue,
            (Output::Ready(_), End::Exited) | (Output::Nothing, End::Exited) => Why::Exited,
            (Output::Nothing, End::Line | End::Closed) => Why::Silent,
            (Output::Ready(record), End::Line | End::Closed) => return Answer::Ready(record),
            (Output::Busy, End::Line | End::Closed | End::Exited) => return Answer::Busy,
            (Output::Failed(reason), _) => Why::Reported(reason),
            (Output::OtherVersion, _) => Why::OtherVersion,
            (Output::Nonsense { bytes }, _) => Why::Nonsense { bytes },
        })
    }
}

/// How the wait for a child's answer ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum End {
    /// A line is complete, or too long for a reply.
    Line,
    /// The child closed its output, and did not exit within [`EXIT_GRACE`](super::timing::EXIT_GRACE).
    Closed,
    /// The child exited, and its output was read to the end.
    Exited,
    /// The child's time is over.
    Overdue,
}

/// The result of waiting for a child.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer<'a> {
    /// The child listens, and sent its record.
    Ready(Record),
    /// Another process holds the lifetime lock. This does not count as a start.
    Busy,
    /// The start failed.
    Failed(Why<'a>),
}

/// Why a child's start failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why<'a> {
    /// The child reported this reason.
    Reported(&'a str),
    /// The child replied like one of another version.
    OtherVersion,
    /// The child wrote something that is not a reply.
    Nonsense {
        /// How many bytes were read.
        bytes: usize,
    },
    /// The child closed its output without writing anything.
    Silent,
    /// The child exited before it was ready.
    Exited,
    /// The child's time is over.
    Overdue,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::record::tests::sample;

    #[test]
    fn every_cell_of_a_childs_output_and_the_end_of_the_wait() {
        use End::{Closed, Exited, Line, Overdue};
        let ready = || Answer::Ready(sample());
        let failed = Answer::Failed;
        for (output, line, closed, exited) in [
            (Output::Nothing, failed(Why::Silent), failed(Why::Silent), failed(Why::Exited)),
            (Output::Ready(sample()), ready(), ready(), failed(Why::Exited)),
            (Output::Busy, Answer::Busy, Answer::Busy, Answer::Busy),
            (
                Output::Failed("no room"),
                failed(Why::Reported("no room")),
                failed(Why::Reported("no room")),
                failed(Why::Reported("no room")),
            ),
            (Output::OtherVersion, failed(Why::OtherVersion), failed(Why::OtherVersion), failed(Why::OtherVersion)),
            (
                Output::Nonsense { bytes: 7 },
                failed(Why::Nonsense { bytes: 7 }),
                failed(Why::Nonsense { bytes: 7 }),
                failed(Why::Nonsense { bytes: 7 }),
            ),
        ] {
            for (end, answer) in [(Line, line), (Closed, closed), (Exited, exited), (Overdue, failed(Why::Overdue))] {
                assert_eq!(output.clone().judge(end), answer, "{output:?}, {end:?}");
            }
        }
    }

    #[test]
    fn an_error_is_of_the_program_only_if_the_home_exists() {
        for (blames_the_program, home_is_there, why) in [
            (true, true, NotStarted::CannotExecute),
            (true, false, NotStarted::Local),
            (false, true, NotStarted::Local),
            (false, false, NotStarted::Local),
        ] {
            assert_eq!(NotStarted::of(blames_the_program, home_is_there), why);
        }
    }

    #[test]
    fn output_that_is_not_a_reply_is_counted_and_never_quoted() {
        assert_eq!(Output::read(b""), Output::Nothing);
        assert_eq!(Output::read(b"rendezvous busy\n"), Output::Busy);
        assert_eq!(Output::read(b"rendezvous failed no room\n"), Output::Failed("no room"));
        for cut in [&b"rendezvous ready 2 ...\n"[..], b"rendezvous busy", b"rendezvous failed no room"] {
            assert_eq!(Output::read(cut), Output::OtherVersion);
        }
        for nonsense in [&b"hello\n"[..], b"\n", b"busy\n", &[b'.'; 2048]] {
            assert_eq!(Output::read(nonsense), Output::Nonsense { bytes: nonsense.len() });
        }
    }
}
