//! The client's machine: it leads from the name of a point to a server that welcomes this client.
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
//! Each [`Step`] asks the driver for one effect. A method of the step takes the result of that effect and returns the
//! next step; its documentation states the result. [`Step::holds`] lists what the driver holds meanwhile: the point
//! lock, a child, the child's record. A driver that drops a step, at the deadline or because its caller gave up,
//! releases exactly that.
//!
//! The machine guarantees `ClearOnlyIfFree`, `PolicyFidelity`, `NoSpuriousError` and `NoChildLeft`, provided that the
//! driver reports true results and that the file system's locks exclude each other. A step contains only what decisions
//! depend on; the driver's report has the rest.

mod attempt;
mod dial;
mod facts;
mod start;
mod verdict;
mod waiting;

use self::attempt::Attempt;
pub use self::attempt::{Goal, Older, Policy, Versions};
pub use self::dial::{Dial, Hello, Prove, Welcome};
use self::dial::{DialMode, Dialing};
pub use self::facts::Facts;
pub use self::start::{Await, Confirm, Fallback, Looked, Spawn, Verify, Write};
pub use self::verdict::{Class, DialFailure, Refusal, Row};
use self::verdict::{Verdict, verdict};
pub use self::waiting::Trail;
use super::address::Address;
use super::cookie::Cookie;
use super::handshake;
pub use super::lock::Lifetime;
use super::lock::{Means, Tried};
use super::random::Random;
use super::record::{Found, Record};
use super::scope::{Difference, Place};
use super::tag::Tag;

/// The number of servers that one connect starts. A server that reports *busy* is not counted.
const STARTS: u8 = 3;

/// What a connect holds at a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holds {
    /// The point lock.
    pub lock: bool,
    /// A child that is not registered. It must be killed.
    pub child: bool,
    /// The child's record in the point. It must be withdrawn.
    pub record: bool,
}

impl Holds {
    /// Returns whether releasing this withdraws the record in the point: only the child's own, and only under the lock.
    pub const fn withdraws(self) -> bool {
        self.lock && self.record
    }
}

/// The effect that the driver performs next. Each variant is an action of the protocol.
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

/// How a connect ended. Nothing is held, except the point lock at [`Done::Start`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Done {
    /// The server of this record sent a welcome. For [`Goal::Serve`] this means that another process serves already.
    Welcomed(Record, handshake::Welcome),
    /// [`Goal::Serve`]: this process becomes the server, and holds the point lock until it is registered.
    Start,
    /// [`Goal::Join`] and [`Goal::Retire`]: no server is alive, or there is no point.
    Absent,
    /// The policy requires an internal server, in this process.
    Internal,
    /// This client may not use the point.
    Refused(Refusal),
    /// A live server does not support the request.
    Unsupported(handshake::Answer),
    /// A live server offers a newer version than this client understands.
    TooNew(Record),
    /// A live server offers an older version than this client's, and the client refuses older servers.
    TooOld(Record),
    /// The server of this record is alive, and speaks the protocol of this tag, not this client's.
    OtherProtocol(Record, Tag),
    /// The server of this record is alive, has no room beside so many clients, and wants no client to wait for one.
    TurnedAway(Record, u32),
    /// A server could not be started.
    Failed,
    /// A server reported *ready* but does not hold the lifetime lock.
    Unverified,
    /// Less time is left than a start may take.
    TooLate,
    /// A local error, which the driver has recorded.
    Trouble,
}

impl Step {
    /// Returns the first step. The place of this process is unknown until [`Read::at`] and [`Reread::at`] set it,
    /// before it decides anything.
    pub fn new(goal: Goal, versions: Versions) -> Self {
        let here = Place::UNKNOWN;
        let attempt =
            Attempt { goal, here, versions, replaced: None, suspect: None, waited: false, dials: 0, starts: 0 };
        Step::Read(Read { attempt, again: false })
    }

    /// Returns the name of this step's action in the protocol.
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

    /// Returns what is held during this step, and must be released if the step is dropped.
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

/// Reads the point without the lock: creates nothing, and reads at most [`Record::MAX`]` + 1` bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Read {
    attempt: Attempt,
    /// Whether the suspect is dialled again if its record is still in the point.
    again: bool,
}

impl Read {
    /// Returns whether the next step depends on the place of this process, which [`at`](Read::at) then sets. A socket
    /// leads to its server from everywhere, so nothing is looked up for it.
    pub fn needs_place(&self, found: &Found) -> bool {
        matches!(found, Found::Record(Record { address: Address::Tcp(_), .. }))
    }

    /// This process was found to be at this place.
    #[must_use]
    pub fn at(mut self, here: Place) -> Self {
        self.attempt.here = here;
        self
    }

    /// The point was read.
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

/// Tries the point lock. The path must still lead to the locked file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lock {
    attempt: Attempt,
}

impl Lock {
    /// Returns whether the try creates the file if there is none.
    pub fn creates(&self) -> bool {
        self.attempt.goal.creates()
    }

    /// The lock was tried.
    pub fn tried(self, tried: Tried) -> Step {
        let Lock { attempt } = self;
        match tried.means() {
            Means::Held => Step::Reread(Reread { attempt }),
            // Without a point there is no record, and so no server that could be joined.
            Means::NoPoint if !attempt.goal.creates() => Step::Done(Done::Absent),
            Means::Later | Means::NoPoint => Step::Backoff(Backoff { attempt, again: false }),
            Means::LocalError => Step::Done(Done::Trouble),
        }
    }
}

/// Reads the point again, under the lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reread {
    attempt: Attempt,
}

impl Reread {
    /// This process was found to be at this place. It is always needed here: for what was read, or for the record of a
    /// server that is then started.
    #[must_use]
    pub fn at(mut self, here: Place) -> Self {
        self.attempt.here = here;
        self
    }

    /// The point was read.
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

/// Probes the lifetime lock with a shared try-lock, and releases it at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Probe {
    attempt: Attempt,
    row: Row,
    /// The record that was read, if any.
    record: Option<Record>,
}

impl Probe {
    /// Returns the row of the record that was read.
    pub fn row(&self) -> Row {
        self.row
    }

    /// Returns the process of the record, and the part in which its scope differs from this place; `None` if it does
    /// not.
    pub fn elsewhere(&self) -> Option<(u32, Difference)> {
        let record = self.record.as_ref()?;
        Some((record.pid, self.attempt.here.differs(&record.scope)?))
    }

    /// Returns whether this result shows that no server is alive: the lock is free, or there is no life file and no
    /// server has to be given time to make it again.
    pub fn is_free(&self, lifetime: Lifetime) -> bool {
        matches!(lifetime, Lifetime::Free | Lifetime::Absent) && self.verdict(lifetime) != Verdict::Wait
    }

    fn verdict(&self, lifetime: Lifetime) -> Verdict {
        match verdict(self.row, lifetime) {
            Verdict::Wait if self.attempt.waited => Verdict::Start,
            verdict => verdict,
        }
    }

    /// The lifetime lock was probed.
    pub fn answered(self, lifetime: Lifetime) -> Step {
        let verdict = self.verdict(lifetime);
        let Probe { mut attempt, row, record } = self;
        attempt.waited &= lifetime == Lifetime::Absent;
        match verdict {
            Verdict::Start if attempt.goal.starts_nothing() => unlock(Then::Done(Done::Absent)),
            Verdict::Start if attempt.starts == STARTS => attempt.failed(false),
            Verdict::Start => Step::Clear(Clear { attempt }),
            Verdict::DialHolding => match record {
                Some(record) => Step::Dial(Dial { dialing: Dialing { attempt, record, how: DialMode::Holding } }),
                // Without a record there is nothing to dial; reading again loses nothing.
                None => unlock(Then::Backoff(attempt, false)),
            },
            Verdict::BackOff => unlock(Then::Backoff(attempt, false)),
            Verdict::DialAgain => unlock(Then::Backoff(attempt, true)),
            Verdict::Wait => unlock(Then::Wait(attempt, row == Row::Suspected)),
            Verdict::Refuse(refusal) => unlock(Then::Done(Done::Refused(refusal))),
        }
    }
}

/// Withdraws the content of the point. Its server is dead, for the lifetime lock was free.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Clear {
    attempt: Attempt,
}

impl Clear {
    /// The point is empty; `random` was drawn for the cookie of the next server.
    pub fn cleared(self, random: Random) -> Step {
        match self.attempt.goal {
            Goal::Serve => Step::Done(Done::Start),
            _ => Step::Spawn(Spawn { attempt: self.attempt, cookie: Cookie::drawn(random) }),
        }
    }

    /// The point was left alone: less time is left than a start may take.
    pub fn too_late(self) -> Step {
        unlock(Then::Done(Done::TooLate))
    }
}

/// Kills the child, which is not registered.
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
    /// The child was killed. The machine does not wait for its end.
    pub fn killed(self) -> Step {
        self.next.step()
    }
}

/// Releases the point lock, by an explicit unlock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Unlock {
    then: Then,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Then {
    /// Backs off, then reads again; whether a suspect that is still there is dialled again.
    Backoff(Attempt, bool),
    /// Waits for a life file, then reads again; whether a suspect that is still there is dialled again.
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
    /// The lock is released.
    pub fn unlocked(self) -> Step {
        self.then.step()
    }
}

/// Waits briefly, holding nothing. This does not count as an attempt.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Backoff {
    attempt: Attempt,
    again: bool,
}

impl Backoff {
    /// Returns the record of the server that this connect waits for: one that holds its lifetime lock but does not
    /// answer.
    pub fn suspects(&self) -> Option<&Record> {
        self.attempt.suspect.as_ref().filter(|_| self.again)
    }

    /// The pause is over.
    pub fn elapsed(self) -> Step {
        let Backoff { attempt, again } = self;
        Step::Read(Read { attempt, again })
    }
}

/// Waits longer than a server takes to check its files, holding nothing: a server whose life file is gone needs the
/// point lock to make it again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Wait {
    attempt: Attempt,
    again: bool,
}

impl Wait {
    /// The time is over. If there is still no life file, no server needs it.
    pub fn elapsed(self) -> Step {
        let Wait { attempt, again } = self;
        Step::Read(Read { attempt: Attempt { waited: true, ..attempt }, again })
    }
}

#[cfg(test)]
mod tests;
