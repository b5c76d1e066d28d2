//! The client's machine: from a point's name to a server that welcomed us.
//!
//! ```text
//!   Read ──dialable──▶ Dial ─▶ Hello ─▶ Prove ─▶ Welcome ──▶ Done
//!     │                  └────────┴─ suspicion ─────┘
//!     ▼                                 │
//!   Lock ◀──────────────────────────────┘        (Unlock, Backoff, and Read again on the way back)
//!     ▼
//!   Reread ─▶ Probe ──free──▶ Clear ─▶ Spawn ─▶ Await ─▶ Verify ─▶ Write ─▶ Confirm ─▶ Dial (holding)
//! ```
//!
//! A [`Step`] is a question; the only way on is to answer it, once, with what its methods take. What is
//! held meanwhile (the point lock, a child, its record) is the driver's, told by [`Step::holds`]: whoever
//! drops a step, at the deadline or because nobody waits any more, releases just that.
//!
//! The machine promises `ClearOnlyIfFree`, `PolicyFidelity`, `NoSpuriousError` and `NoChildLeft`; it
//! relies on the driver to answer truly, and on locks that are locks. Only what decides is in a step.
//! Why it all came about is the driver's story.

mod attempt;
mod dial;
mod facts;
mod start;
mod verdict;

use self::attempt::Attempt;
pub use self::attempt::{Goal, Policy, Versions};
pub use self::dial::{Dial, Hello, Proof, Prove, Welcome};
use self::dial::{DialMode, Dialing};
pub use self::facts::Facts;
pub use self::start::{Await, Confirm, Fallback, Looked, Spawn, Verify, Write};
pub use self::verdict::{Class, DialFailure, Lifetime, Refusal, Row};
use self::verdict::{Verdict, verdict};
use super::cookie::Cookie;
use super::handshake;
use super::lock::{Means, Tried};
use super::random::Random;
use super::record::{Found, Record};
use super::scope::{Difference, Place};

/// How many servers one connect starts that were not busy.
const STARTS: u8 = 3;

/// What a connect holds at a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holds {
    /// The point lock.
    pub lock: bool,
    /// A child that is not registered: it has to be killed.
    pub child: bool,
    /// A record in the point that is this child's: it has to be withdrawn.
    pub record: bool,
}

impl Holds {
    /// Whether the record in the point is withdrawn when this is released: only the child's own, and only under the lock.
    pub const fn withdraws(self) -> bool {
        self.lock && self.record
    }
}

/// The question that comes next. Each variant is an action of the protocol.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Step {
    Read(Read),
    Lock(Lock),
    Reread(Reread),
    Probe(Probe),
    Clear(Clear),
    Spawn(Spawn),
    Await(Await),
    Verify(Verify),
    Write(Write),
    Confirm(Confirm),
    Fallback(Fallback),
    Dial(Dial),
    Hello(Hello),
    Prove(Prove),
    Welcome(Welcome),
    Kill(Kill),
    Unlock(Unlock),
    Backoff(Backoff),
    Wait(Wait),
    Done(Done),
}

/// How a connect ended. Nothing is held, but for the point lock at [`Done::Start`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Done {
    /// Welcomed by the server of this record. To [`Goal::Serve`] it says: somebody serves already.
    Welcomed(Record, handshake::Welcome),
    /// [`Goal::Serve`]: the point is ours to serve, and the point lock is held until it is registered.
    Start,
    /// [`Goal::Retire`]: there is no server.
    Absent,
    /// Serve yourself, in this process: the policy asks for it.
    Internal,
    /// The point is not for us.
    Refused(Refusal),
    /// A live server that does not support what we ask for.
    Unsupported(handshake::Answer),
    /// A live server of a newer version than we understand.
    TooNew(Record),
    /// A server could not be started.
    Failed,
    /// A server said *ready* and does not hold the lifetime lock.
    Unverified,
    /// There is less time left than a start may take.
    TooLate,
    /// Our own trouble: the driver knows which.
    Trouble,
}

impl Step {
    /// The first step.
    pub fn new(goal: Goal, here: Place, versions: Versions) -> Self {
        let attempt =
            Attempt { goal, here, versions, replaced: None, suspect: None, waited: false, dials: 0, starts: 0 };
        Step::Read(Read { attempt, again: false })
    }

    /// The name of this step's action in the protocol.
    pub const fn name(&self) -> &'static str {
        match self {
            Step::Read(_) => "Read",
            Step::Lock(_) => "Lock",
            Step::Reread(_) => "Reread",
            Step::Probe(_) => "Probe",
            Step::Clear(_) => "Clear",
            Step::Spawn(_) => "Spawn",
            Step::Await(_) => "Await",
            Step::Verify(_) => "Verify",
            Step::Write(_) => "Write",
            Step::Confirm(_) => "Confirm",
            Step::Fallback(_) => "Fallback",
            Step::Dial(_) => "Dial",
            Step::Hello(_) => "Hello",
            Step::Prove(_) => "Prove",
            Step::Welcome(_) => "Welcome",
            Step::Kill(_) => "Kill",
            Step::Unlock(_) => "Unlock",
            Step::Backoff(_) => "Backoff",
            Step::Wait(_) => "Wait",
            Step::Done(_) => "Done",
        }
    }

    /// What is held while this question is open, and must be released when it is dropped unanswered.
    pub const fn holds(&self) -> Holds {
        let (lock, child, record) = match self {
            Step::Read(_) | Step::Lock(_) | Step::Backoff(_) | Step::Wait(_) => (false, false, false),
            Step::Reread(_) | Step::Probe(_) | Step::Clear(_) | Step::Spawn(_) => (true, false, false),
            Step::Await(_) | Step::Verify(_) | Step::Write(_) | Step::Kill(_) => (true, true, false),
            Step::Confirm(_) => (true, true, true),
            Step::Fallback(_) | Step::Unlock(_) => (true, false, false),
            Step::Dial(Dial { dialing })
            | Step::Hello(Hello { dialing, .. })
            | Step::Prove(Prove { dialing, .. })
            | Step::Welcome(Welcome { dialing, .. }) => (matches!(dialing.how, DialMode::Holding), false, false),
            Step::Done(done) => (matches!(done, Done::Start), false, false),
        };
        Holds { lock, child, record }
    }
}

/// Read the point: no lock, nothing created, at most [`Record::MAX`]` + 1` bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Read {
    attempt: Attempt,
    /// The suspect is dialled again if it is still there.
    again: bool,
}

impl Read {
    /// What the point holds.
    pub fn found(self, found: Found) -> Step {
        let Read { mut attempt, again } = self;
        match found {
            Found::Record(record) if again && attempt.suspect.as_ref() == Some(&record) => {
                Step::Dial(Dial { dialing: Dialing { attempt, record, how: DialMode::Again } })
            }
            Found::Record(record) if attempt.dialable(&record) => {
                attempt.dials += 1;
                Step::Dial(Dial { dialing: Dialing { attempt, record, how: DialMode::Free } })
            }
            _ => attempt.without_a_server(),
        }
    }
}

/// Try the point lock, creating the file where there is none; its path must still lead to the locked file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lock {
    attempt: Attempt,
}

impl Lock {
    /// What the try came to.
    pub fn tried(self, tried: Tried) -> Step {
        let Lock { attempt } = self;
        match tried.means() {
            Means::Held => Step::Reread(Reread { attempt }),
            Means::Later | Means::NoPoint => Step::Backoff(Backoff { attempt, again: false }),
            Means::Trouble => Step::Done(Done::Trouble),
        }
    }
}

/// Read the point again, under the lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reread {
    attempt: Attempt,
}

impl Reread {
    /// What the point holds.
    pub fn found(self, found: Found) -> Step {
        let Reread { attempt } = self;
        match (attempt.row(&found), found) {
            (Row::Fresh, Found::Record(record)) => {
                Step::Dial(Dial { dialing: Dialing { attempt, record, how: DialMode::Holding } })
            }
            (row, Found::Record(record)) => Step::Probe(Probe { attempt, row, record: Some(record) }),
            (row, _) => Step::Probe(Probe { attempt, row, record: None }),
        }
    }
}

/// Ask the lifetime lock: a shared try-lock, given back at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Probe {
    attempt: Attempt,
    row: Row,
    /// The record that was read, if there is one.
    record: Option<Record>,
}

impl Probe {
    /// What the record was found to be.
    pub fn row(&self) -> Row {
        self.row
    }

    /// The process of the record that was read, and in which part its scope differs from here, if it does.
    pub fn elsewhere(&self) -> Option<(u32, Difference)> {
        let record = self.record.as_ref()?;
        Some((record.pid, self.attempt.here.differs(&record.scope)?))
    }

    /// Whether that says that no server is alive: *free* does, and so does a life file that is not there and that nobody
    /// makes again.
    pub fn is_free(&self, lifetime: Lifetime) -> bool {
        matches!(lifetime, Lifetime::Free | Lifetime::Absent) && self.verdict(lifetime) != Verdict::Wait
    }

    fn verdict(&self, lifetime: Lifetime) -> Verdict {
        match verdict(self.row, lifetime) {
            Verdict::Wait if self.attempt.waited => Verdict::Start,
            verdict => verdict,
        }
    }

    /// What the lock said.
    pub fn answered(self, lifetime: Lifetime) -> Step {
        let verdict = self.verdict(lifetime);
        let Probe { mut attempt, row, record } = self;
        attempt.waited &= lifetime == Lifetime::Absent;
        match verdict {
            Verdict::Start if attempt.goal == Goal::Retire => unlock(Then::Done(Done::Absent)),
            Verdict::Start if attempt.starts == STARTS => attempt.failed(false),
            Verdict::Start => Step::Clear(Clear { attempt }),
            Verdict::DialHolding => match record {
                Some(record) => Step::Dial(Dial { dialing: Dialing { attempt, record, how: DialMode::Holding } }),
                // Only a record is dialled; reading again loses nothing.
                None => unlock(Then::Backoff(attempt, false)),
            },
            Verdict::BackOff => unlock(Then::Backoff(attempt, false)),
            Verdict::DialAgain => unlock(Then::Backoff(attempt, true)),
            Verdict::Wait => unlock(Then::Wait(attempt, row == Row::Suspected)),
            Verdict::Refuse(refusal) => unlock(Then::Done(Done::Refused(refusal))),
        }
    }
}

/// Withdraw what the point holds. It is dead: the lifetime lock was free.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Clear {
    attempt: Attempt,
}

impl Clear {
    /// The point is empty; `random` was drawn for the cookie of the server that comes next.
    pub fn cleared(self, random: Random) -> Step {
        match self.attempt.goal {
            Goal::Serve => Step::Done(Done::Start),
            _ => Step::Spawn(Spawn { attempt: self.attempt, cookie: Cookie::drawn(random) }),
        }
    }

    /// Nothing was done: there is less time left than a start may take.
    pub fn too_late(self) -> Step {
        unlock(Then::Done(Done::TooLate))
    }
}

/// Kill the child, which is not registered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kill {
    next: After,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum After {
    Fallback(Attempt),
    Unlock(Then),
}

impl After {
    fn step(self) -> Step {
        match self {
            After::Fallback(attempt) => Step::Fallback(Fallback { attempt }),
            After::Unlock(then) => unlock(then),
        }
    }
}

impl Kill {
    /// It was killed; its end is not awaited.
    pub fn killed(self) -> Step {
        self.next.step()
    }
}

/// Release the point lock, by an explicit unlock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Unlock {
    then: Then,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Then {
    /// Back off, then read again; whether a suspect that is still there is dialled again.
    Backoff(Attempt, bool),
    /// Wait for a life file, then read again; whether a suspect that is still there is dialled again.
    Wait(Attempt, bool),
    Done(Done),
}

fn unlock(then: Then) -> Step {
    Step::Unlock(Unlock { then })
}

impl Then {
    fn step(self) -> Step {
        match self {
            Then::Backoff(attempt, again) => Step::Backoff(Backoff { attempt, again }),
            Then::Wait(attempt, again) => Step::Wait(Wait { attempt, again }),
            Then::Done(done) => Step::Done(done),
        }
    }
}

impl Unlock {
    /// It is released.
    pub fn unlocked(self) -> Step {
        self.then.step()
    }
}

/// Wait a little, holding nothing. That is no attempt.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Backoff {
    attempt: Attempt,
    again: bool,
}

impl Backoff {
    /// Whether this connect waits for a server that holds its lifetime lock and does not answer.
    pub fn suspects(&self) -> Option<&Record> {
        self.attempt.suspect.as_ref().filter(|_| self.again)
    }

    /// The time is over.
    pub fn elapsed(self) -> Step {
        let Backoff { attempt, again } = self;
        Step::Read(Read { attempt, again })
    }
}

/// Wait for longer than a server takes to look after its files, holding nothing: where there is no life file, it needs the
/// point lock to make it again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Wait {
    attempt: Attempt,
    again: bool,
}

impl Wait {
    /// The time is over. A life file that is not there now is not missed by anybody.
    pub fn elapsed(self) -> Step {
        let Wait { attempt, again } = self;
        Step::Read(Read { attempt: Attempt { waited: true, ..attempt }, again })
    }
}

#[cfg(test)]
mod tests;
