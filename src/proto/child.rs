//! What a spawner makes of a child that it awaits: what it said, and how the wait ended.
//!
//! A line that is no reply is never quoted. A wrapper of the server may have put its own words before the record, cut it
//! or folded it, and the cookie would be in what is left.

use super::record::Record;
use super::start::Reply;

/// What a child has said: its first line, or what there is of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Said<'a> {
    /// Not a byte.
    Nothing,
    /// It listens, and this is how to reach it.
    Ready(Record),
    /// Somebody else holds the lifetime lock.
    Busy,
    /// It failed, for this reason.
    Failed(&'a str),
    /// It begins as a reply does and is none: one of another version, or cut short.
    OtherVersion,
    /// No reply: so many bytes.
    Nonsense {
        /// How many bytes were read.
        bytes: usize,
    },
}

impl<'a> Said<'a> {
    /// Reads the first line of a child's output, its end included, or all of the output where no line is whole.
    pub fn read(line: &'a [u8]) -> Self {
        match Reply::read(line) {
            Some(Reply::Ready(record)) => Said::Ready(record),
            Some(Reply::Busy) => Said::Busy,
            Some(Reply::Failed(reason)) => Said::Failed(reason),
            None if line.is_empty() => Said::Nothing,
            None if line.starts_with(Reply::TOKEN.as_bytes()) => Said::OtherVersion,
            None => Said::Nonsense { bytes: line.len() },
        }
    }

    /// Judges what was said by how the wait ended.
    ///
    /// A child that exited is not ready, whatever it said before. It may have been busy, or have failed for a reason. One
    /// whose time is over has no answer, however much of a line it has written.
    pub fn judge(self, end: End) -> Answer<'a> {
        Answer::Failed(match (self, end) {
            (_, End::Overdue) => Why::Overdue,
            (Said::Ready(_), End::Exited) | (Said::Nothing, End::Exited) => Why::Exited,
            (Said::Nothing, End::Line | End::Closed) => Why::Silent,
            (Said::Ready(record), End::Line | End::Closed) => return Answer::Ready(record),
            (Said::Busy, End::Line | End::Closed | End::Exited) => return Answer::Busy,
            (Said::Failed(reason), _) => Why::Said(reason),
            (Said::OtherVersion, _) => Why::OtherVersion,
            (Said::Nonsense { bytes }, _) => Why::Nonsense { bytes },
        })
    }
}

/// How the wait for a child's answer ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum End {
    /// A line is whole, or too long to be one.
    Line,
    /// It closed its output, and did not exit within a moment.
    Closed,
    /// It exited. What it said before that was read.
    Exited,
    /// Its time is over.
    Overdue,
}

/// What a child's answer comes to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer<'a> {
    /// It listens, and this is how to reach it.
    Ready(Record),
    /// Somebody else holds the lifetime lock: it is no attempt.
    Busy,
    /// It is no server.
    Failed(Why<'a>),
}

/// Why a child is no server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why<'a> {
    /// It said so.
    Said(&'a str),
    /// It answered as one of another version does.
    OtherVersion,
    /// It said something else.
    Nonsense {
        /// How many bytes were read.
        bytes: usize,
    },
    /// It closed its output without a word.
    Silent,
    /// It exited before it was ready.
    Exited,
    /// Its time is over.
    Overdue,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::record::tests::sample;

    #[test]
    fn every_cell_of_what_a_child_said_and_how_the_wait_ended() {
        use End::{Closed, Exited, Line, Overdue};
        let ready = || Answer::Ready(sample());
        let failed = Answer::Failed;
        for (said, line, closed, exited) in [
            (Said::Nothing, failed(Why::Silent), failed(Why::Silent), failed(Why::Exited)),
            (Said::Ready(sample()), ready(), ready(), failed(Why::Exited)),
            (Said::Busy, Answer::Busy, Answer::Busy, Answer::Busy),
            (
                Said::Failed("no room"),
                failed(Why::Said("no room")),
                failed(Why::Said("no room")),
                failed(Why::Said("no room")),
            ),
            (Said::OtherVersion, failed(Why::OtherVersion), failed(Why::OtherVersion), failed(Why::OtherVersion)),
            (
                Said::Nonsense { bytes: 7 },
                failed(Why::Nonsense { bytes: 7 }),
                failed(Why::Nonsense { bytes: 7 }),
                failed(Why::Nonsense { bytes: 7 }),
            ),
        ] {
            for (end, answer) in [(Line, line), (Closed, closed), (Exited, exited), (Overdue, failed(Why::Overdue))] {
                assert_eq!(said.clone().judge(end), answer, "{said:?}, {end:?}");
            }
        }
    }

    #[test]
    fn what_is_no_reply_is_counted_and_never_quoted() {
        assert_eq!(Said::read(b""), Said::Nothing);
        assert_eq!(Said::read(b"rendezvous busy\n"), Said::Busy);
        assert_eq!(Said::read(b"rendezvous failed no room\n"), Said::Failed("no room"));
        for cut in [&b"rendezvous ready 2 ...\n"[..], b"rendezvous busy", b"rendezvous failed no room"] {
            assert_eq!(Said::read(cut), Said::OtherVersion);
        }
        for nonsense in [&b"hello\n"[..], b"\n", b"busy\n", &[b'.'; 2048]] {
            assert_eq!(Said::read(nonsense), Said::Nonsense { bytes: nonsense.len() });
        }
    }
}
