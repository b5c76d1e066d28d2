//! The client's machine in the dialect.
//!
//! ```text
//!   Lock ─▶ Read ─▶ Dial ─▶ SendCookie ─▶ Unlock ─▶ Done
//!     │       │       │ refused, reset
//!     │       ▼       ▼
//!     │     Clear ─▶ Introduce ─▶ Spawn ─▶ Await ─▶ Write ─▶ Dial …
//!     ▼
//!   Backoff ─▶ Lock                            (also after a dial that the server does not answer)
//! ```
//!
//! The client holds the point lock throughout, like the other programs of the point: they write a record in two writes,
//! so that a reader without the lock may see half of it. *SendCookie* is the whole handshake. A server needs the lock
//! to retire for idleness, so it does not miss a client that sent its cookie under the lock.
//!
//! *Refused* and *reset* mean that the server is dead: its listener existed before its record, and never comes back. A
//! timeout means nothing: the server accepts one client after the other, and its queue may be full.

use crate::proto::child::Why;
pub use crate::proto::connect::{DialFailure, Policy};
use crate::proto::cookie::Cookie;
use crate::proto::lock::{Means, Tried};
use crate::proto::random::Random;

use super::record::{Found, Record};

/// The number of servers that one connect starts.
const STARTS: u8 = 3;

/// The goal of a connect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Goal {
    /// To become a client of the server, which is started if there is none.
    Connect(Policy),
    /// To become a client of the server, if there is one. Nothing is started, and nothing on disk changes.
    Join,
    /// To become the server, unless there is one.
    Serve,
}

/// What a connect holds at a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holds {
    /// The point lock.
    pub lock: bool,
    /// A listener for the server that is about to start, and the first connection to it.
    pub port: bool,
    /// A child that is not registered, and has the listener. It must be killed.
    pub child: bool,
}

/// The effect that the driver performs next.
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

/// How a connect ended. Nothing is held, except the point lock at [`Done::Start`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Done {
    /// The cookie was sent to the server of this record.
    Connected(Record),
    /// [`Goal::Join`]: the server of the record is dead, or there is no record.
    Absent,
    /// [`Goal::Serve`]: a process listens at the address of this record.
    Live(Record),
    /// [`Goal::Serve`]: this process becomes the server, and holds the point lock until it is registered.
    Start,
    /// The policy requires an internal server, in this process.
    Internal,
    /// The point belongs to servers of the native dialect.
    OtherDialect,
    /// A server could not be started.
    Failed,
    /// Less time is left than a start may take.
    TooLate,
    /// A local error, which the driver has recorded.
    Trouble,
}

/// The state that decisions depend on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Attempt {
    goal: Goal,
    /// The number of servers that were started.
    starts: u8,
}

impl Attempt {
    const INTERNAL: Goal = Goal::Connect(Policy::Internal);

    /// Returns the next step if no server is alive.
    fn without_a_server(self) -> Step {
        match self.goal {
            Attempt::INTERNAL => unlock(Then::Done(Done::Internal)),
            Goal::Join => unlock(Then::Done(Done::Absent)),
            _ if self.starts == STARTS => self.failed(),
            _ => Step::Clear(Clear { attempt: self }),
        }
    }

    /// Returns the next step if the server cannot be used or reached. `Internal` continues without it.
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
    /// Returns the first step.
    pub const fn new(goal: Goal) -> Self {
        Step::Lock(Lock { attempt: Attempt { goal, starts: 0 } })
    }

    /// Returns the name of this step.
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

    /// Returns what is held during this step, and must be released if the step is dropped.
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

/// Tries the point lock. The path must lead to the locked file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lock {
    attempt: Attempt,
}

impl Lock {
    /// Returns whether the try creates the file if there is none. [`Policy::Internal`] and [`Goal::Join`] create nothing.
    pub fn creates(&self) -> bool {
        !matches!(self.attempt.goal, Attempt::INTERNAL | Goal::Join)
    }

    /// The lock was tried.
    pub fn tried(self, tried: Tried) -> Step {
        let Lock { attempt } = self;
        match tried.means() {
            Means::Held => Step::Read(Read { attempt }),
            Means::NoPoint if attempt.goal == Attempt::INTERNAL => Step::Done(Done::Internal),
            Means::NoPoint if attempt.goal == Goal::Join => Step::Done(Done::Absent),
            Means::Later | Means::NoPoint => Step::Backoff(Backoff { attempt, silent: false }),
            Means::LocalError => Step::Done(Done::Trouble),
        }
    }
}

/// Reads the point, under the lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Read {
    attempt: Attempt,
}

impl Read {
    /// The point was read.
    pub fn found(self, found: Found) -> Step {
        match found {
            Found::Record(record) => Step::Dial(Dial { attempt: self.attempt, record }),
            Found::OtherDialect => self.attempt.turned_away(|_| Then::Done(Done::OtherDialect)),
            Found::Absent | Found::Empty | Found::Malformed(_) => self.attempt.without_a_server(),
        }
    }
}

/// The class of a failed dial, which decides what follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// The server is dead.
    Dead,
    /// The failure shows nothing about the server.
    Unknown,
    /// A local error.
    Local,
}

/// Returns the class of a failure. A socket that is connected to itself shows that no process listens at the port.
pub const fn class(failure: DialFailure) -> Class {
    match failure {
        DialFailure::Local => Class::Local,
        DialFailure::Refused | DialFailure::Closed | DialFailure::SelfConnect => Class::Dead,
        DialFailure::NotWritable
        | DialFailure::TimedOut
        | DialFailure::NotAdmitted
        | DialFailure::InvalidReply
        | DialFailure::Impostor
        | DialFailure::Unsupported(_)
        | DialFailure::TooNew
        | DialFailure::TooOld
        | DialFailure::OtherProtocol(_)
        | DialFailure::Full(_)
        | DialFailure::TurnedAway(_) => Class::Unknown,
    }
}

impl Attempt {
    fn failure(self, failure: DialFailure) -> Step {
        match class(failure) {
            Class::Dead => self.without_a_server(),
            Class::Unknown => self.turned_away(|attempt| Then::Backoff(attempt, true)),
            Class::Local => unlock(Then::Done(Done::Trouble)),
        }
    }
}

/// Connects to the record's address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dial {
    attempt: Attempt,
    record: Record,
}

impl Dial {
    /// Returns the record that is being dialled.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The connection is accepted.
    pub fn connected(self) -> Step {
        let Dial { attempt, record } = self;
        match attempt.goal {
            Goal::Serve => unlock(Then::Done(Done::Live(record))),
            Goal::Connect(_) | Goal::Join => Step::SendCookie(SendCookie { attempt, record }),
        }
    }

    /// The dial failed.
    pub fn failed(self, failure: DialFailure) -> Step {
        self.attempt.failure(failure)
    }
}

/// Sends the cookie.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SendCookie {
    attempt: Attempt,
    record: Record,
}

impl SendCookie {
    /// Returns the record that is being dialled.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The cookie was sent. The server does not reply.
    pub fn sent(self) -> Step {
        unlock(Then::Done(Done::Connected(self.record)))
    }

    /// The dial failed.
    pub fn failed(self, failure: DialFailure) -> Step {
        self.attempt.failure(failure)
    }
}

/// Withdraws the content of the point: it is damaged, or its server is dead.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Clear {
    attempt: Attempt,
}

impl Clear {
    /// The point is empty; `random` was drawn for the cookie of the next server.
    pub fn cleared(self, random: Random) -> Step {
        match self.attempt.goal {
            Goal::Serve => Step::Done(Done::Start),
            _ => Step::Introduce(Introduce { attempt: self.attempt, cookie: Cookie::drawn(random) }),
        }
    }

    /// The point was left alone: less time is left than a start may take.
    pub fn too_late(self) -> Step {
        unlock(Then::Done(Done::TooLate))
    }
}

/// Listens for the server that is about to start, connects first, and sends its cookie. The server reads it when it
/// runs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Introduce {
    attempt: Attempt,
    cookie: Cookie,
}

impl Introduce {
    /// Returns the cookie to send.
    pub fn cookie(&self) -> &Cookie {
        &self.cookie
    }

    /// The cookie was sent, to the port of this record.
    pub fn introduced(self, record: Record) -> Step {
        Step::Spawn(Spawn { attempt: self.attempt, record })
    }
}

/// Starts a process with the listener as its standard input.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Spawn {
    attempt: Attempt,
    record: Record,
}

impl Spawn {
    /// The child runs.
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

/// What happened on the first connection of a child, which carries its cookie.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Introduced {
    /// The child closed the connection, so it has received the cookie.
    Closed,
    /// The child sent this many bytes. No server of the dialect sends any.
    Sent(usize),
    /// The connection broke, as it does when a child exits.
    Broken,
    /// The child exited.
    Exited,
    /// The child's time is over.
    Overdue,
}

impl Introduced {
    /// Returns why the start failed; `None` if it did not.
    pub const fn failure(self) -> Option<Why<'static>> {
        match self {
            Introduced::Closed => None,
            Introduced::Sent(bytes) => Some(Why::Nonsense { bytes }),
            Introduced::Broken | Introduced::Exited => Some(Why::Exited),
            Introduced::Overdue => Some(Why::Overdue),
        }
    }
}

/// Waits until the child closes its first connection, which shows that it has received the cookie; or for its exit or
/// the end of its budget.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Await {
    attempt: Attempt,
    record: Record,
}

impl Await {
    /// The child has received its cookie. (A server of this crate is also ready to serve.)
    pub fn received(self) -> Step {
        let Await { attempt, record } = self;
        Step::Write(Write { attempt, record })
    }

    /// The child exited, broke the connection, sent bytes, or took too long.
    pub fn failed(self) -> Step {
        Step::Kill(Kill { then: self.attempt.fails() })
    }
}

/// Writes the child's record into the empty point, in one write. From here on the child is a server like any other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write {
    attempt: Attempt,
    record: Record,
}

impl Write {
    /// Returns the record to write.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The record is written completely.
    pub fn written(self) -> Step {
        let Write { attempt, record } = self;
        Step::Dial(Dial { attempt, record })
    }
}

/// Kills the child, which is not registered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kill {
    then: Then,
}

impl Kill {
    /// The child was killed. The machine does not wait for its end.
    pub fn killed(self) -> Step {
        unlock(self.then)
    }
}

/// Releases the point lock, by an explicit unlock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Unlock {
    then: Then,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Then {
    /// Backs off, then locks again; whether a server did not answer a dial.
    Backoff(Attempt, bool),
    Done(Done),
}

fn unlock(then: Then) -> Step {
    Step::Unlock(Unlock { then })
}

impl Unlock {
    /// The lock is released.
    pub fn unlocked(self) -> Step {
        match self.then {
            Then::Backoff(attempt, silent) => Step::Backoff(Backoff { attempt, silent }),
            Then::Done(done) => Step::Done(done),
        }
    }
}

/// Waits briefly, holding nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Backoff {
    attempt: Attempt,
    silent: bool,
}

impl Backoff {
    /// Returns whether this connect waits for a server that does not answer.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// The pause is over.
    pub fn elapsed(self) -> Step {
        Step::Lock(Lock { attempt: self.attempt })
    }
}
