//! Starts a server: the process, its reply, its record, and what follows a failure.

use super::dial::{DialMode, Dialing};
use super::{After, Attempt, Dial, Done, Goal, Kill, Lifetime, Policy, Refusal, Step, Then, Versions, unlock};
use crate::proto::cookie::Cookie;
use crate::proto::record::Record;
use crate::proto::scope::Reach;

impl Attempt {
    /// Returns the step after a failed start, which depends on the policy.
    pub(super) fn failed(self, child: bool) -> Step {
        let next = match self.goal {
            Goal::Connect(Policy::Robust) => After::Fallback(self),
            _ => After::Unlock(Then::Done(Done::Failed)),
        };
        if child { Step::Kill(Kill { next }) } else { next.step() }
    }
}

/// Starts a process, and sends it its cookie and budget.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Spawn {
    pub(super) attempt: Attempt,
    pub(super) cookie: Cookie,
}

impl Spawn {
    /// Returns the secret of the server that is started.
    pub fn cookie(&self) -> &Cookie {
        &self.cookie
    }

    /// The child runs.
    pub fn spawned(self) -> Step {
        let Spawn { mut attempt, cookie } = self;
        attempt.starts += 1;
        Step::Await(Await { attempt, cookie })
    }

    /// The program cannot be executed: it is missing, not permitted, or not a program.
    pub fn cannot_execute(self) -> Step {
        self.attempt.failed(false)
    }
}

/// Waits for the child's reply, its exit or the end of its budget, whichever comes first.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Await {
    pub(super) attempt: Attempt,
    pub(super) cookie: Cookie,
}

impl Await {
    /// The child listens, and sent its record.
    pub fn ready(self, record: Record) -> Step {
        let Await { attempt, cookie } = self;
        let ours = record.cookie == cookie && attempt.here.reach(&record.scope, &record.address) != Reach::Apart;
        let Versions { ours: wanted, newest, .. } = attempt.versions;
        match ours {
            // A newer server that serves already is left alone, too; an internal server would be no substitute for it.
            true if record.version > newest => {
                Step::Kill(Kill { next: After::Unlock(Then::Done(Done::TooNew(record))) })
            }
            true if record.version >= wanted => Step::Verify(Verify { attempt, record }),
            // If an older child were registered, each client of this version would replace it again.
            _ => attempt.failed(true),
        }
    }

    /// The child could not take the lifetime lock. This does not count as a start.
    pub fn busy(self) -> Step {
        let mut attempt = self.attempt;
        attempt.starts -= 1;
        Step::Kill(Kill { next: After::Unlock(Then::Backoff(attempt, false)) })
    }

    /// The child reported a failure, wrote no valid reply, exited, or used up its budget.
    pub fn failed(self) -> Step {
        self.attempt.failed(true)
    }
}

/// Probes the lifetime lock again: the child must hold it now.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Verify {
    pub(super) attempt: Attempt,
    pub(super) record: Record,
}

impl Verify {
    /// The lifetime lock was probed.
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

/// Writes the child's record, in one write at offset 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write {
    pub(super) attempt: Attempt,
    pub(super) record: Record,
}

impl Write {
    /// Returns the record to write.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The record is written completely.
    pub fn written(self) -> Step {
        let Write { attempt, record } = self;
        Step::Confirm(Confirm { attempt, record })
    }
}

/// Sends *registered* to the child. From here on the child is a server like any other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Confirm {
    pub(super) attempt: Attempt,
    pub(super) record: Record,
}

impl Confirm {
    /// The message was sent. The dial shows whether it arrived.
    pub fn confirmed(self) -> Step {
        let Confirm { attempt, record } = self;
        Step::Dial(Dial { dialing: Dialing { attempt, record, how: DialMode::Holding } })
    }
}

/// Checks again before serving in this process: the path must lead to the locked file, and the lifetime lock must be
/// free. The lifetime lock is probed until `patience` is over, for a killed child may still be exiting.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fallback {
    pub(super) attempt: Attempt,
}

/// The result of the check before serving in this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Looked {
    /// No server is alive.
    Free,
    /// A server may be alive, or the point lock that is held no longer protects the point.
    NotFree,
    /// The lifetime lock is still held: probe it again after a pause.
    Again,
}

impl Looked {
    /// Decides by whether the point's path leads to the locked file, the lifetime lock, and whether `patience` is over.
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

    /// A server may be alive.
    pub fn not_free(self) -> Step {
        unlock(Then::Backoff(self.attempt, false))
    }
}
