//! Starting a server: the process, its reply, its record, and what to do where that fails.

use super::dial::{DialMode, Dialing};
use super::{After, Attempt, Dial, Done, Goal, Kill, Lifetime, Policy, Refusal, Step, Then, Versions, unlock};
use crate::proto::cookie::Cookie;
use crate::proto::record::Record;
use crate::proto::scope::Reach;

impl Attempt {
    /// A server cannot be started: what the policy makes of it.
    pub(super) fn failed(self, child: bool) -> Step {
        let next = match self.goal {
            Goal::Connect(Policy::Robust) => After::Fallback(self),
            _ => After::Unlock(Then::Done(Done::Failed)),
        };
        if child { Step::Kill(Kill { next }) } else { next.step() }
    }
}

/// Start a process; its cookie and budget go in.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Spawn {
    pub(super) attempt: Attempt,
    pub(super) cookie: Cookie,
}

impl Spawn {
    /// The secret of the server to be started.
    pub fn cookie(&self) -> &Cookie {
        &self.cookie
    }

    /// There is a child.
    pub fn spawned(self) -> Step {
        let Spawn { mut attempt, cookie } = self;
        attempt.starts += 1;
        Step::Await(Await { attempt, cookie })
    }

    /// The program cannot be executed: not there, not allowed, no program.
    pub fn cannot_execute(self) -> Step {
        self.attempt.failed(false)
    }
}

/// Await the child's reply, its exit and the end of its budget, whichever comes first.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Await {
    pub(super) attempt: Attempt,
    pub(super) cookie: Cookie,
}

impl Await {
    /// It listens, and this is how to reach it.
    pub fn ready(self, record: Record) -> Step {
        let Await { attempt, cookie } = self;
        let ours = record.cookie == cookie && attempt.here.reach(&record) != Reach::Apart;
        let Versions { ours: wanted, newest } = attempt.versions;
        match ours {
            // As beside one that serves already: it is for another client, and we are no substitute for it.
            true if record.version > newest => {
                Step::Kill(Kill { next: After::Unlock(Then::Done(Done::TooNew(record))) })
            }
            true if record.version >= wanted => Step::Verify(Verify { attempt, record }),
            // Registered, an older one would be replaced by the next client of our version: again and again.
            _ => attempt.failed(true),
        }
    }

    /// It could not get the lifetime lock. That is no attempt.
    pub fn busy(self) -> Step {
        let mut attempt = self.attempt;
        attempt.starts -= 1;
        Step::Kill(Kill { next: After::Unlock(Then::Backoff(attempt, false)) })
    }

    /// It said that it failed, said nonsense, exited, or used up its budget.
    pub fn failed(self) -> Step {
        self.attempt.failed(true)
    }
}

/// Ask the lifetime lock once more: now it must be held.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Verify {
    pub(super) attempt: Attempt,
    pub(super) record: Record,
}

impl Verify {
    /// What the lock said.
    pub fn answered(self, lifetime: Lifetime) -> Step {
        let Verify { attempt, record } = self;
        let done = match lifetime {
            Lifetime::Held => return Step::Write(Write { attempt, record }),
            Lifetime::Free | Lifetime::Absent => Done::Unverified,
            Lifetime::CannotTell => Done::Refused(Refusal::CannotTell),
        };
        Step::Kill(Kill { next: After::Unlock(Then::Done(done)) })
    }
}

/// Write the child's record, in one write at offset 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write {
    pub(super) attempt: Attempt,
    pub(super) record: Record,
}

impl Write {
    /// What to write.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// It is there, whole.
    pub fn written(self) -> Step {
        let Write { attempt, record } = self;
        Step::Confirm(Confirm { attempt, record })
    }
}

/// Say *registered* to the child. From here on it is a server like any other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Confirm {
    pub(super) attempt: Attempt,
    pub(super) record: Record,
}

impl Confirm {
    /// It was said; whether it arrived, the dial finds out.
    pub fn confirmed(self) -> Step {
        let Confirm { attempt, record } = self;
        Step::Dial(Dial { dialing: Dialing { attempt, record, how: DialMode::Holding } })
    }
}

/// Look again before serving in this process: the path leads to the locked file, and the lifetime lock is
/// free, tried until `patience` is over, for a killed child may still be dying.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fallback {
    pub(super) attempt: Attempt,
}

/// What a look before serving in this process came to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Looked {
    /// No server is alive.
    Free,
    /// There may be one, or the lock that is held protects nothing.
    NotFree,
    /// The lifetime lock is still held: ask again after a pause.
    Again,
}

impl Looked {
    /// Judges whether the point's path leads to the locked file, what the lifetime lock says, and whether patience is over.
    pub const fn of(is_current: bool, lifetime: Lifetime, is_over: bool) -> Self {
        match (is_current, lifetime, is_over) {
            (true, Lifetime::Free | Lifetime::Absent, _) => Looked::Free,
            (true, Lifetime::Held, false) => Looked::Again,
            (true, Lifetime::Held, true) | (true, Lifetime::CannotTell, _) | (false, _, _) => Looked::NotFree,
        }
    }
}

impl Fallback {
    /// No server is alive.
    pub fn free(self) -> Step {
        unlock(Then::Done(Done::Internal))
    }

    /// There may be one.
    pub fn not_free(self) -> Step {
        unlock(Then::Backoff(self.attempt, false))
    }
}
