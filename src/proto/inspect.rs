//! A look at a point: which server is there, if any, and what is known of it.
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
//! A look changes nothing: it does not create a point to lock it, and it clears and starts nothing. A record that can be
//! dialled is dialled first, so a look at a server that answers takes no lock. What the lifetime lock says counts only for
//! a record that is still there under the point lock.
//!
//! Each [`Step`] is a question, as in [`super::connect`]. One table decides what comes next: [`Sight`] × [`Asked`] → [`Next`].

use core::time::Duration;

use super::connect::{Came, Lifetime, Row};
use super::handshake::{Answer, Welcome};
use super::record::{Found, Malformed, Record};
use super::scope::{Difference, Place};

/// What a point holds, and what came of dialling it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sight<'a> {
    /// There is no file.
    Absent,
    /// There is a file with nothing in it.
    Empty,
    /// The record is damaged.
    Malformed(Malformed),
    /// The record has a newer format than ours.
    Newer(u32),
    /// The record is of another dialect.
    OtherDialect,
    /// The record can be dialled, and was not dialled yet.
    Fresh(&'a Record),
    /// The record is of another machine, in a home whose locks may be no locks between machines.
    Foreign(&'a Record, Difference),
    /// The record names a port that is somebody else's from here, or nobody knows whose.
    Apart(&'a Record, Difference),
    /// The record names a port that is its server's only if the other boot that it names is this one.
    Doubtful(&'a Record),
    /// The record was dialled, and the dial failed.
    Suspected(&'a Record, Came),
}

/// What is known of the lifetime lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Asked {
    /// Nobody has tried to ask it.
    NotYet,
    /// It cannot be asked: another process holds the point lock, there is no point, or the point goes on changing.
    InVain,
    /// It was asked under the point lock, and said this.
    Said(Lifetime),
}

/// What a look does next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Next<'a> {
    /// Dial this record.
    Dial(&'a Record),
    /// Try the point lock, to ask the lifetime lock.
    Lock,
    /// Nothing: the look is over.
    Done(Verdict),
}

/// What a look comes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// The server of the record lives, and this is its welcome.
    Live(Welcome),
    /// There is no server, and no record of one.
    Absent,
    /// There is no server, and the record is damaged.
    Malformed(Malformed),
    /// The server of the record is gone.
    Gone {
        /// Its process, once.
        pid: u32,
    },
    /// There is no record that counts, and somebody is at work on the point.
    Between,
    /// The dial failed, and a server holds the lifetime lock.
    Unresponsive(Came),
    /// The dial failed, and the lifetime lock could not be asked, or there is no life file just now.
    Unknown(Came),
    /// The server of the record lives, and cannot be asked by this program.
    Incompatible(Answer),
    /// The record has a newer format than ours.
    Newer(u32),
    /// The record is of another dialect.
    OtherDialect,
    /// The server of the record cannot be reached from here.
    ForeignScope {
        /// Its process, by its number there.
        pid: u32,
        /// In which part its scope differs from here.
        differs: Difference,
    },
    /// The lifetime lock cannot be asked at all. The driver knows why.
    CannotTell,
}

/// Returns what a look does next: sight × what is known of the lifetime lock.
pub const fn next(sight: Sight<'_>, asked: Asked) -> Next<'_> {
    use Asked::*;
    use Lifetime::*;
    use Next::*;
    match (sight, asked) {
        // Nothing but that is understood of these two records.
        (Sight::Newer(format), _) => Done(Verdict::Newer(format)),
        (Sight::OtherDialect, _) => Done(Verdict::OtherDialect),
        (Sight::Fresh(record), _) => Dial(record),
        (_, NotYet) => Lock,
        (_, Said(CannotTell)) => Done(Verdict::CannotTell),

        (Sight::Absent, InVain | Said(Free | Absent)) => Done(Verdict::Absent),
        (Sight::Absent, Said(Held)) => Done(Verdict::Between),
        (Sight::Empty, Said(Free | Absent)) => Done(Verdict::Absent),
        (Sight::Empty, InVain | Said(Held)) => Done(Verdict::Between),
        (Sight::Malformed(malformed), Said(Free | Absent)) => Done(Verdict::Malformed(malformed)),
        (Sight::Malformed(_), InVain | Said(Held)) => Done(Verdict::Between),

        // Its server may live although the lock is free here.
        (Sight::Foreign(record, differs), _) => Done(Verdict::ForeignScope { pid: record.pid, differs }),
        (Sight::Apart(record, _), Said(Free)) => Done(Verdict::Gone { pid: record.pid }),
        // A server may be making its life file again: *absent* is no proof beside a whole record.
        (Sight::Apart(record, differs), InVain | Said(Held | Absent)) => {
            Done(Verdict::ForeignScope { pid: record.pid, differs })
        }
        // It is of another boot, unless a held lock says otherwise.
        (Sight::Doubtful(record), Said(Free | Absent)) => Done(Verdict::Gone { pid: record.pid }),
        (Sight::Doubtful(record), Said(Held)) => Dial(record),
        (Sight::Doubtful(_), InVain) => Done(Verdict::Between),
        (Sight::Suspected(record, _), Said(Free)) => Done(Verdict::Gone { pid: record.pid }),
        (Sight::Suspected(_, came), Said(Held)) => Done(Verdict::Unresponsive(came)),
        (Sight::Suspected(_, came), InVain | Said(Absent)) => Done(Verdict::Unknown(came)),
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
    /// Returns the first step of a look from this place. A point that changes is read again until `connect` is over.
    pub const fn new(here: Place, connect: Duration) -> Self {
        Step::Read(Read { look: Look { here, connect } })
    }

    /// Tells whether the point lock is held while this question is open. The driver releases it where it is not.
    pub const fn holds_lock(&self) -> bool {
        match self {
            Step::Read(_) | Step::Lock(_) => false,
            Step::Reread(_) | Step::Probe(_) => true,
            Step::Dial(dial) => matches!(dial.seen.asked, Asked::Said(_)),
            Step::Done(done) => done.held,
        }
    }
}

/// From where a look is taken, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Look {
    here: Place,
    connect: Duration,
}

/// What was seen so far.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Seen {
    look: Look,
    found: Found,
    /// What the dial came to, if the record was dialled.
    came: Option<Came>,
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
        match (Row::of(here, record, self.came.is_some()), here.differs(&record.scope), self.came) {
            (Row::Fresh, _, _) => Sight::Fresh(record),
            (Row::Foreign, Some(differs), _) => Sight::Foreign(record, differs),
            (Row::Apart, Some(differs), _) => Sight::Apart(record, differs),
            (_, _, Some(came)) => Sight::Suspected(record, came),
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
        Step::Done(Done { verdict, held: matches!(self.asked, Asked::Said(_)), found: self.found })
    }
}

/// Read the point: no lock, nothing created.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Read {
    look: Look,
}

impl Read {
    /// The point holds this.
    pub fn found(self, found: Found) -> Step {
        Seen { look: self.look, found, came: None, asked: Asked::NotYet }.step()
    }
}

/// Dial the record, with the intent *status*.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dial {
    record: Record,
    seen: Seen,
}

impl Dial {
    /// Returns what to dial.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The server answered.
    pub fn welcomed(self, welcome: Welcome) -> Step {
        self.seen.done(Verdict::Live(welcome))
    }

    /// The dial failed.
    pub fn failed(self, came: Came) -> Step {
        match came {
            Came::Unsupported(answer) => self.seen.done(Verdict::Incompatible(answer)),
            _ => Seen { came: Some(came), ..self.seen }.step(),
        }
    }
}

/// Try the point lock. A point that is not there is not created to be locked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lock {
    seen: Seen,
}

impl Lock {
    /// It is held now.
    pub fn got(self) -> Step {
        Step::Reread(Reread { seen: self.seen })
    }

    /// Another process holds it, or there is no point.
    pub fn not_got(self) -> Step {
        Seen { asked: Asked::InVain, ..self.seen }.step()
    }
}

/// Read the point again, under the lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reread {
    seen: Seen,
}

impl Reread {
    /// The point holds this; so much time is over since the call began.
    pub fn found(self, found: Found, elapsed: Duration) -> Step {
        let Reread { seen } = self;
        if found == seen.found {
            Step::Probe(Probe { seen })
        } else if elapsed < seen.look.connect {
            Step::Read(Read { look: seen.look })
        } else {
            Seen { asked: Asked::InVain, ..seen }.step()
        }
    }
}

/// Ask the lifetime lock: a shared try-lock, given back at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Probe {
    seen: Seen,
}

impl Probe {
    /// The lock said this.
    pub fn answered(self, lifetime: Lifetime) -> Step {
        Seen { asked: Asked::Said(lifetime), ..self.seen }.step()
    }
}

/// How a look ended.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Done {
    /// What it came to.
    pub verdict: Verdict,
    /// What the point held.
    pub found: Found,
    /// Whether the point lock is held: then nothing of this has changed yet.
    pub held: bool,
}

#[cfg(test)]
mod tests;
