//! The client's machine of the dialect.
//!
//! ```text
//!   Lock ─▶ Read ─▶ Dial ─▶ SendCookie ─▶ Unlock ─▶ Done
//!     │       │       │ refused, reset
//!     │       ▼       ▼
//!     │     Clear ─▶ Introduce ─▶ Spawn ─▶ Await ─▶ Write ─▶ Dial …
//!     ▼
//!   Backoff ─▶ Lock                            (a dial that is met with silence comes back here, too)
//! ```
//!
//! All of it is under the point lock, as in the programs that it shares the point with: their record is two writes, and
//! read without the lock it may be half there. To *SendCookie* is all of the handshake. A server that is about to be idle
//! needs the lock as well, so who said its cookie under it is not lost to that.
//!
//! *Refused* and *reset* mean that the server is dead: its listener was there before its record was, and never comes
//! back. Silence means nothing; its queue may be full, for its servers take one client after the other.

use crate::proto::child::Why;
pub use crate::proto::connect::{DialFailure, Policy};
use crate::proto::cookie::Cookie;
use crate::proto::lock::{Means, Tried};
use crate::proto::random::Random;

use super::record::{Found, Record};

/// How many servers one connect starts.
const STARTS: u8 = 3;

/// What this connect is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Goal {
    /// To be served.
    Connect(Policy),
    /// To become the server, unless there is one.
    Serve,
}

/// What a connect holds at a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holds {
    /// The point lock.
    pub lock: bool,
    /// A listener for a server to be, and the first connection to it.
    pub port: bool,
    /// A child that is not registered: it has to be killed. It has the listener.
    pub child: bool,
}

/// The question that comes next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Step {
    Lock(Lock),
    Read(Read),
    Dial(Dial),
    SendCookie(SendCookie),
    Clear(Clear),
    Introduce(Introduce),
    Spawn(Spawn),
    Await(Await),
    Write(Write),
    Kill(Kill),
    Unlock(Unlock),
    Backoff(Backoff),
    Done(Done),
}

/// How a connect ended. Nothing is held, but for the point lock at [`Done::Start`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Done {
    /// The server of this record was told the cookie.
    Connected(Record),
    /// [`Goal::Serve`]: something listens where this record says.
    Live(Record),
    /// [`Goal::Serve`]: the point is ours to serve, and the point lock is held until it is registered.
    Start,
    /// Serve yourself, in this process: the policy asks for it.
    Internal,
    /// The point belongs to servers of the native dialect.
    OtherDialect,
    /// A server could not be started.
    Failed,
    /// There is less time left than a start may take.
    TooLate,
    /// Our own trouble: the driver knows which.
    Trouble,
}

/// What decides on the way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Attempt {
    goal: Goal,
    /// How many servers were started.
    starts: u8,
}

impl Attempt {
    const INTERNAL: Goal = Goal::Connect(Policy::Internal);

    /// Nobody serves here.
    fn without_a_server(self) -> Step {
        match self.goal {
            Attempt::INTERNAL => unlock(Then::Done(Done::Internal)),
            _ if self.starts == STARTS => self.failed(),
            _ => Step::Clear(Clear { attempt: self }),
        }
    }

    /// What is there is none of ours, or cannot be reached: `Internal` does without it.
    fn turned_away(self, then: impl FnOnce(Attempt) -> Then) -> Step {
        unlock(if self.goal == Attempt::INTERNAL { Then::Done(Done::Internal) } else { then(self) })
    }

    fn failed(self) -> Step {
        unlock(self.fails())
    }

    fn fails(self) -> Then {
        Then::Done(match self.goal {
            Goal::Connect(Policy::Robust) => Done::Internal,
            _ => Done::Failed,
        })
    }
}

impl Step {
    /// The first step.
    pub const fn new(goal: Goal) -> Self {
        Step::Lock(Lock { attempt: Attempt { goal, starts: 0 } })
    }

    /// The name of this step.
    pub const fn name(&self) -> &'static str {
        match self {
            Step::Lock(_) => "Lock",
            Step::Read(_) => "Read",
            Step::Dial(_) => "Dial",
            Step::SendCookie(_) => "SendCookie",
            Step::Clear(_) => "Clear",
            Step::Introduce(_) => "Introduce",
            Step::Spawn(_) => "Spawn",
            Step::Await(_) => "Await",
            Step::Write(_) => "Write",
            Step::Kill(_) => "Kill",
            Step::Unlock(_) => "Unlock",
            Step::Backoff(_) => "Backoff",
            Step::Done(_) => "Done",
        }
    }

    /// What is held while this question is open, and must be released when it is dropped unanswered.
    pub const fn holds(&self) -> Holds {
        let (lock, port, child) = match self {
            Step::Lock(_) | Step::Backoff(_) => (false, false, false),
            Step::Read(_) | Step::Dial(_) | Step::SendCookie(_) | Step::Clear(_) => (true, false, false),
            Step::Introduce(_) | Step::Unlock(_) => (true, false, false),
            Step::Spawn(_) => (true, true, false),
            Step::Await(_) | Step::Write(_) | Step::Kill(_) => (true, false, true),
            Step::Done(done) => (matches!(done, Done::Start), false, false),
        };
        Holds { lock, port, child }
    }
}

/// Try the point lock; the path must lead to the locked file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lock {
    attempt: Attempt,
}

impl Lock {
    /// Whether the file is created where there is none. With [`Policy::Internal`] nothing is.
    pub fn creates(&self) -> bool {
        self.attempt.goal != Attempt::INTERNAL
    }

    /// What the try came to.
    pub fn tried(self, tried: Tried) -> Step {
        let Lock { attempt } = self;
        match tried.means() {
            Means::Held => Step::Read(Read { attempt }),
            Means::NoPoint if attempt.goal == Attempt::INTERNAL => Step::Done(Done::Internal),
            Means::Later | Means::NoPoint => Step::Backoff(Backoff { attempt, silent: false }),
            Means::Trouble => Step::Done(Done::Trouble),
        }
    }
}

/// Read the point, under the lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Read {
    attempt: Attempt,
}

impl Read {
    /// What the point holds.
    pub fn found(self, found: Found) -> Step {
        match found {
            Found::Record(record) => Step::Dial(Dial { attempt: self.attempt, record }),
            Found::OtherDialect => self.attempt.turned_away(|_| Then::Done(Done::OtherDialect)),
            Found::Absent | Found::Empty | Found::Malformed(_) => self.attempt.without_a_server(),
        }
    }
}

/// What to make of a dial's outcome.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// The server is gone.
    Dead,
    /// It proves nothing.
    Unknown,
    /// Our own trouble.
    Ours,
}

/// Outcome → class. A socket that is connected to itself says that nobody else has the port.
pub const fn class(failure: DialFailure) -> Class {
    match failure {
        DialFailure::Local => Class::Ours,
        DialFailure::Refused | DialFailure::Closed | DialFailure::SelfConnect => Class::Dead,
        DialFailure::NotWritable
        | DialFailure::TimedOut
        | DialFailure::NotAdmitted
        | DialFailure::InvalidReply
        | DialFailure::Impostor
        | DialFailure::Unsupported(_)
        | DialFailure::TooNew => Class::Unknown,
    }
}

impl Attempt {
    fn failure(self, failure: DialFailure) -> Step {
        match class(failure) {
            Class::Dead => self.without_a_server(),
            Class::Unknown => self.turned_away(|attempt| Then::Backoff(attempt, true)),
            Class::Ours => unlock(Then::Done(Done::Trouble)),
        }
    }
}

/// Connect to the record's address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dial {
    attempt: Attempt,
    record: Record,
}

impl Dial {
    /// The record that is being dialled.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Something accepts.
    pub fn connected(self) -> Step {
        let Dial { attempt, record } = self;
        match attempt.goal {
            Goal::Serve => unlock(Then::Done(Done::Live(record))),
            Goal::Connect(_) => Step::SendCookie(SendCookie { attempt, record }),
        }
    }

    /// The dial came to nothing.
    pub fn failed(self, failure: DialFailure) -> Step {
        self.attempt.failure(failure)
    }
}

/// Say the cookie.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SendCookie {
    attempt: Attempt,
    record: Record,
}

impl SendCookie {
    /// The record that is being dialled.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// It was said. There is no answer.
    pub fn sent(self) -> Step {
        unlock(Then::Done(Done::Connected(self.record)))
    }

    /// The dial came to nothing.
    pub fn failed(self, failure: DialFailure) -> Step {
        self.attempt.failure(failure)
    }
}

/// Withdraw what the point holds: it is damaged, or its server is dead.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Clear {
    attempt: Attempt,
}

impl Clear {
    /// The point is empty; `random` was drawn for the cookie of the server that comes next.
    pub fn cleared(self, random: Random) -> Step {
        match self.attempt.goal {
            Goal::Serve => Step::Done(Done::Start),
            Goal::Connect(_) => Step::Introduce(Introduce { attempt: self.attempt, cookie: Cookie::drawn(random) }),
        }
    }

    /// Nothing was done: there is less time left than a start may take.
    pub fn too_late(self) -> Step {
        unlock(Then::Done(Done::TooLate))
    }
}

/// Listen for the server to be, connect first, and say its cookie. It will hear it when it runs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Introduce {
    attempt: Attempt,
    cookie: Cookie,
}

impl Introduce {
    /// What to say.
    pub fn cookie(&self) -> &Cookie {
        &self.cookie
    }

    /// It was said, at the port of this record.
    pub fn introduced(self, record: Record) -> Step {
        Step::Spawn(Spawn { attempt: self.attempt, record })
    }
}

/// Start a process, with the listener as its standard input.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Spawn {
    attempt: Attempt,
    record: Record,
}

impl Spawn {
    /// It runs.
    pub fn spawned(self) -> Step {
        let Spawn { mut attempt, record } = self;
        attempt.starts += 1;
        Step::Await(Await { attempt, record })
    }

    /// The program cannot be executed.
    pub fn cannot_execute(self) -> Step {
        self.attempt.failed()
    }
}

/// What came of the first connection of a child, on which it was told its cookie.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Introduced {
    /// It closed it: it heard.
    Closed,
    /// It said so many bytes. No server of the dialect says any.
    Spoke(usize),
    /// It broke. A child that exits leaves it so.
    Broken,
    /// The child exited.
    Exited,
    /// The child's time is over.
    Overdue,
}

impl Introduced {
    /// Returns why the child is no server, where it is none.
    pub const fn failure(self) -> Option<Why<'static>> {
        match self {
            Introduced::Closed => None,
            Introduced::Spoke(bytes) => Some(Why::Nonsense { bytes }),
            Introduced::Broken | Introduced::Exited => Some(Why::Exited),
            Introduced::Overdue => Some(Why::Overdue),
        }
    }
}

/// Await that the child closes its first connection, which says that it heard; or its exit, or the budget's end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Await {
    attempt: Attempt,
    record: Record,
}

impl Await {
    /// It heard its cookie. (One of this crate's own is also ready to serve.)
    pub fn received(self) -> Step {
        let Await { attempt, record } = self;
        Step::Write(Write { attempt, record })
    }

    /// It ended, hung up, or took too long.
    pub fn failed(self) -> Step {
        Step::Kill(Kill { then: self.attempt.fails() })
    }
}

/// Write the child's record into the empty point, in one write. From here on the child is a server like any other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write {
    attempt: Attempt,
    record: Record,
}

impl Write {
    /// What to write.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// It is there, whole.
    pub fn written(self) -> Step {
        let Write { attempt, record } = self;
        Step::Dial(Dial { attempt, record })
    }
}

/// Kill the child, which is not registered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kill {
    then: Then,
}

impl Kill {
    /// It was killed; its end is not awaited.
    pub fn killed(self) -> Step {
        unlock(self.then)
    }
}

/// Release the point lock, by an explicit unlock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Unlock {
    then: Then,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Then {
    /// Back off, then lock again; whether a dial was met with silence.
    Backoff(Attempt, bool),
    Done(Done),
}

fn unlock(then: Then) -> Step {
    Step::Unlock(Unlock { then })
}

impl Unlock {
    /// It is released.
    pub fn unlocked(self) -> Step {
        match self.then {
            Then::Backoff(attempt, silent) => Step::Backoff(Backoff { attempt, silent }),
            Then::Done(done) => Step::Done(done),
        }
    }
}

/// Wait a little, holding nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Backoff {
    attempt: Attempt,
    silent: bool,
}

impl Backoff {
    /// Whether this connect waits for a server that does not answer.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// The time is over.
    pub fn elapsed(self) -> Step {
        Step::Lock(Lock { attempt: self.attempt })
    }
}
