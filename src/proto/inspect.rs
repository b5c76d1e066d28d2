//! The machine that inspects a point: it finds out which server is there, if any, and what is known of it.
//!
//! ```text
//!   Read ──dialable──▶ Dial ──welcomed──▶ Done
//!     │                  │ failed
//!     ▼                  ▼
//!   Lock ────got────▶ Reread ──same──▶ Probe ──────────────▶ Done
//!     │ not got         │ changed        │ doubtful and held
//!     ▼                 ▼                ▼
//!   Done              Read; Done       Dial (holding) ─────▶ Done
//!                     at the deadline
//! ```
//!
//! An inspection changes nothing: it does not create a point in order to lock it, it does not clear a record, and it
//! starts no server. A record that can be dialled is dialled first, so no lock is taken if the server answers. The
//! state of the lifetime lock counts only for a record that is still there under the point lock.
//!
//! Each [`Step`] is a question to the driver, as in [`super::connect`]. One table, [`next`], decides what comes next:
//! [`Sight`] × [`Asked`] → [`Next`].

use core::time::Duration;

use super::connect::{DialFailure, Lifetime, Row};
use super::handshake::{Answer, Welcome};
use super::record::{Found, Malformed, Record};
use super::scope::{Difference, Place};

/// The content of a point, and the result of dialling it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sight<'a> {
    /// There is no file.
    Absent,
    /// The file is empty.
    Empty,
    /// The record is damaged.
    Malformed(Malformed),
    /// The record has a newer format than ours.
    Newer(u32),
    /// The record is of another dialect.
    OtherDialect,
    /// The record can be dialled, and was not dialled yet.
    Fresh(&'a Record),
    /// The record is of another machine, on a file system whose locks may not work between machines.
    Foreign(&'a Record, Difference),
    /// The record names a port that belongs to another program here, or whose owner cannot be known.
    Apart(&'a Record, Difference),
    /// The record names another boot, and its port belongs to its server only if that boot is this one.
    Doubtful(&'a Record),
    /// The record was dialled, and the dial failed.
    Suspected(&'a Record, DialFailure),
}

/// The knowledge about the lifetime lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Asked {
    /// No probe was attempted yet.
    NotYet,
    /// A probe is not possible: another process holds the point lock, there is no point, or the point keeps changing.
    Unavailable,
    /// A probe under the point lock had this result.
    Answered(Lifetime),
}

/// The next action of an inspection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Next<'a> {
    /// Dial this record.
    Dial(&'a Record),
    /// Try the point lock, to probe the lifetime lock.
    Lock,
    /// Nothing. The inspection is complete.
    Done(Verdict),
}

/// The result of an inspection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// The server of the record is alive and sent this welcome.
    Live(Welcome),
    /// There is neither a server nor a record.
    Absent,
    /// There is no server, and the record is damaged.
    Malformed(Malformed),
    /// The server of the record is gone.
    Gone {
        /// The PID that the server had.
        pid: u32,
    },
    /// There is no usable record, and another process is working on the point.
    Between,
    /// The dial failed, and a server holds the lifetime lock.
    Unresponsive(DialFailure),
    /// The dial failed, and the lifetime lock could not be probed, or there is no life file at the moment.
    Unknown(DialFailure),
    /// The server of the record is alive, but does not support this program's request.
    Incompatible(Answer),
    /// The record has a newer format than ours.
    Newer(u32),
    /// The record is of another dialect.
    OtherDialect,
    /// The server of the record cannot be reached from here.
    ForeignScope {
        /// The PID of the server in its own scope.
        pid: u32,
        /// The part in which its scope differs from this place.
        differs: Difference,
    },
    /// The probe of the lifetime lock failed. The driver has the error.
    CannotTell,
}

/// Returns the next action of an inspection, from what was seen and what is known of the lifetime lock.
pub const fn next(sight: Sight<'_>, asked: Asked) -> Next<'_> {
    use Asked::*;
    use Lifetime::*;
    use Next::*;
    match (sight, asked) {
        // Nothing else is known of these two records.
        (Sight::Newer(format), _) => Done(Verdict::Newer(format)),
        (Sight::OtherDialect, _) => Done(Verdict::OtherDialect),
        (Sight::Fresh(record), _) => Dial(record),
        (_, NotYet) => Lock,
        (_, Answered(CannotTell)) => Done(Verdict::CannotTell),

        (Sight::Absent, Unavailable | Answered(Free | Absent)) => Done(Verdict::Absent),
        (Sight::Absent, Answered(Held)) => Done(Verdict::Between),
        (Sight::Empty, Answered(Free | Absent)) => Done(Verdict::Absent),
        (Sight::Empty, Unavailable | Answered(Held)) => Done(Verdict::Between),
        (Sight::Malformed(malformed), Answered(Free | Absent)) => Done(Verdict::Malformed(malformed)),
        (Sight::Malformed(_), Unavailable | Answered(Held)) => Done(Verdict::Between),

        // Its server may be alive although the lock is free on this machine.
        (Sight::Foreign(record, differs), _) => Done(Verdict::ForeignScope { pid: record.pid, differs }),
        (Sight::Apart(record, _), Answered(Free)) => Done(Verdict::Gone { pid: record.pid }),
        // A server may be restoring its life file, so with a complete record *absent* proves nothing.
        (Sight::Apart(record, differs), Unavailable | Answered(Held | Absent)) => {
            Done(Verdict::ForeignScope { pid: record.pid, differs })
        }
        // The record is of another boot, unless the lock is held.
        (Sight::Doubtful(record), Answered(Free | Absent)) => Done(Verdict::Gone { pid: record.pid }),
        (Sight::Doubtful(record), Answered(Held)) => Dial(record),
        (Sight::Doubtful(_), Unavailable) => Done(Verdict::Between),
        (Sight::Suspected(record, _), Answered(Free)) => Done(Verdict::Gone { pid: record.pid }),
        (Sight::Suspected(_, failure), Answered(Held)) => Done(Verdict::Unresponsive(failure)),
        (Sight::Suspected(_, failure), Unavailable | Answered(Absent)) => Done(Verdict::Unknown(failure)),
    }
}

/// The question that comes next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Step {
    Read(Read),
    Dial(Dial),
    Lock(Lock),
    Reread(Reread),
    Probe(Probe),
    Done(Done),
}

impl Step {
    /// Returns the first step of an inspection from this place. A point that changes is read again until `connect` is
    /// over.
    pub const fn new(here: Place, connect: Duration) -> Self {
        Step::Read(Read { look: Look { here, connect } })
    }

    /// Tells whether the point lock is held while this question is open. The driver releases it where it is not.
    pub const fn holds_lock(&self) -> bool {
        match self {
            Step::Read(_) | Step::Lock(_) => false,
            Step::Reread(_) | Step::Probe(_) => true,
            Step::Dial(dial) => matches!(dial.seen.asked, Asked::Answered(_)),
            Step::Done(done) => done.held,
        }
    }
}

/// The place of an inspection and its time limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Look {
    here: Place,
    connect: Duration,
}

/// The observations so far.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Seen {
    look: Look,
    found: Found,
    /// The failure of the dial, if the record was dialled.
    failure: Option<DialFailure>,
    asked: Asked,
}

impl Seen {
    fn sight(&self) -> Sight<'_> {
        let record = match &self.found {
            Found::Absent => return Sight::Absent,
            Found::Empty => return Sight::Empty,
            Found::Malformed(malformed) => return Sight::Malformed(*malformed),
            Found::Newer { format } => return Sight::Newer(*format),
            Found::OtherDialect => return Sight::OtherDialect,
            Found::Record(record) => record,
        };
        let here = &self.look.here;
        match (Row::of(here, record, self.failure.is_some()), here.differs(&record.scope), self.failure) {
            (Row::Fresh, _, _) => Sight::Fresh(record),
            (Row::Foreign, Some(differs), _) => Sight::Foreign(record, differs),
            (Row::Apart, Some(differs), _) => Sight::Apart(record, differs),
            (_, _, Some(failure)) => Sight::Suspected(record, failure),
            (_, _, None) => Sight::Doubtful(record),
        }
    }

    fn step(self) -> Step {
        match next(self.sight(), self.asked) {
            Next::Dial(record) => Step::Dial(Dial { record: record.clone(), seen: self }),
            Next::Lock => Step::Lock(Lock { seen: self }),
            Next::Done(verdict) => self.done(verdict),
        }
    }

    fn done(self, verdict: Verdict) -> Step {
        Step::Done(Done { verdict, held: matches!(self.asked, Asked::Answered(_)), found: self.found })
    }
}

/// Read the point, without a lock, and without creating it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Read {
    look: Look,
}

impl Read {
    /// The point holds this.
    pub fn found(self, found: Found) -> Step {
        Seen { look: self.look, found, failure: None, asked: Asked::NotYet }.step()
    }
}

/// Dial the record with the intent *status*.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dial {
    record: Record,
    seen: Seen,
}

impl Dial {
    /// Returns the record to dial.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The server answered.
    pub fn welcomed(self, welcome: Welcome) -> Step {
        self.seen.done(Verdict::Live(welcome))
    }

    /// The dial failed.
    pub fn failed(self, failure: DialFailure) -> Step {
        match failure {
            DialFailure::Unsupported(answer) => self.seen.done(Verdict::Incompatible(answer)),
            _ => Seen { failure: Some(failure), ..self.seen }.step(),
        }
    }
}

/// Try the point lock, without creating the point.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lock {
    seen: Seen,
}

impl Lock {
    /// The lock is held now.
    pub fn got(self) -> Step {
        Step::Reread(Reread { seen: self.seen })
    }

    /// Another process holds the lock, or there is no point.
    pub fn not_got(self) -> Step {
        Seen { asked: Asked::Unavailable, ..self.seen }.step()
    }
}

/// Read the point again, under the lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reread {
    seen: Seen,
}

impl Reread {
    /// The point holds this. `elapsed` is the time since the call began.
    pub fn found(self, found: Found, elapsed: Duration) -> Step {
        let Reread { seen } = self;
        if found == seen.found {
            Step::Probe(Probe { seen })
        } else if elapsed < seen.look.connect {
            Step::Read(Read { look: seen.look })
        } else {
            Seen { asked: Asked::Unavailable, ..seen }.step()
        }
    }
}

/// Probe the lifetime lock: try it shared, and release it at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Probe {
    seen: Seen,
}

impl Probe {
    /// The result of the probe.
    pub fn answered(self, lifetime: Lifetime) -> Step {
        Seen { asked: Asked::Answered(lifetime), ..self.seen }.step()
    }
}

/// The end of an inspection.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Done {
    /// The result.
    pub verdict: Verdict,
    /// The content of the point.
    pub found: Found,
    /// Whether the point lock is held, so that the result is still true.
    pub held: bool,
}

#[cfg(test)]
mod tests;
