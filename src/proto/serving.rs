//! The serving machine, from *Serve* to *Done*. A server of either dialect enters it at the end of its start.
//!
//! ```text
//!   Serve ─▶ Check ─▶ Lock ─▶ Recheck ─▶ Restore ─▶ Unlock ─▶ Serve        (the point was damaged)
//!                             Recheck ─▶ Reclaim ─▶ Recheck                (the life file was removed)
//!   Serve ─▶ Lock ─▶ Look ─▶ Withdraw ─▶ Close ─▶ Unlock ─▶ Drain ─▶ Release ─▶ Done
//! ```
//!
//! Only *Withdraw* and *Restore* change the point, under the point lock. Clients are counted at one [`Gate`], which
//! *Look* shuts. Each dialect has its own table for the result of *Check*: `Checked::of` in [`super::serve`] and
//! `checked` in `sequoia::serve`. The dialect of sequoia has no life file, so it never reaches *Reclaim*, and its
//! *Release* releases nothing.
//!
//! Each connection has a machine of its own ([`super::handshake`]), which shares only the gate with this one.

mod checks;
mod due;
mod facts;
mod gate;
mod lost;
mod occupancy;
pub mod pending;
mod shutdown;

pub use self::checks::{Checks, Seen, Source, Watched};
pub use self::due::Due;
pub use self::facts::Facts;
pub use self::gate::{Gate, Retire};
pub use self::lost::WhenLost;
pub use self::occupancy::Occupancy;
pub use self::shutdown::{Cause, Draining, LifetimeLock, Shutdown, Tries};
use super::lock::{Means, Tried};

/// What a server holds at a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holds {
    /// The point lock.
    pub lock: bool,
    /// The lifetime lock, where the dialect has one.
    pub life: bool,
}

/// The effect that the driver performs next. Each variant is an action of the protocol.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Step {
    Serve(Serve),
    Check(Check),
    Lock(Lock),
    Backoff(Backoff),
    Recheck(Recheck),
    Reclaim(Reclaim),
    Restore(Restore),
    Look(Look),
    Withdraw(Withdraw),
    Close(Close),
    Unlock(Unlock),
    Drain(Drain),
    Release(Release),
    Done(Done),
}

/// How a server ended. Nothing is held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Done {
    /// The server served, and retired.
    Retired(Retire),
    /// Another process holds the lifetime lock.
    Busy,
    /// The server could not build its handler, or could not listen.
    Failed,
    /// In the dialect of sequoia: no client sent a cookie.
    NoCookie,
}

impl Step {
    /// Returns the name of this step's action in the protocol.
    pub const fn name(&self) -> &'static str {
        match self {
            Step::Serve(_) => "Serve",
            Step::Check(_) => "Check",
            Step::Lock(_) => "Lock",
            Step::Backoff(_) => "Backoff",
            Step::Recheck(_) => "Recheck",
            Step::Reclaim(_) => "Reclaim",
            Step::Restore(_) => "Restore",
            Step::Look(_) => "Look",
            Step::Withdraw(_) => "Withdraw",
            Step::Close(_) => "Close",
            Step::Unlock(_) => "Unlock",
            Step::Drain(_) => "Drain",
            Step::Release(_) => "Release",
            Step::Done(_) => "Done",
        }
    }

    /// Returns what is held during this step.
    pub const fn holds(&self) -> Holds {
        let (lock, life) = match self {
            Step::Done(_) => (false, false),
            Step::Recheck(_) | Step::Reclaim(_) | Step::Restore(_) | Step::Withdraw(_) => (true, true),
            Step::Look(Look { held, .. }) | Step::Close(Close { held, .. }) => (*held, true),
            Step::Unlock(Unlock { then }) => (true, !matches!(then, Then::Done(Done::Busy))),
            _ => (false, true),
        };
        Holds { lock, life }
    }

    /// Returns the first step of a server that a client registered.
    pub(crate) const fn registered() -> Self {
        Step::Serve(Serve(()))
    }

    /// Returns the first step of a server that wrote its own record. It unlocks the point before it serves.
    pub(super) const fn wrote() -> Self {
        Step::Unlock(Unlock { then: Then::Serve })
    }

    /// Returns the step that unlocks the point and then ends.
    pub(super) const fn gives_up_locked(done: Done) -> Self {
        Step::Unlock(Unlock { then: Then::Done(done) })
    }

    /// Returns the last step of a server that did not serve and holds no point lock.
    pub(super) const fn gives_up(done: Done) -> Self {
        match done {
            Done::Failed => Step::Release(Release { done }),
            done => Step::Done(done),
        }
    }
}

/// Serves until something is due. Clients are admitted at the gate meanwhile.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Serve(());

impl Serve {
    /// It is time to check the files.
    pub fn check(self) -> Step {
        Step::Check(Check(()))
    }

    /// No client has been counted for the idle period.
    pub fn idle(self) -> Step {
        Step::Lock(Lock { purpose: Purpose::Idle })
    }

    /// Retirement was requested.
    pub fn requested(self) -> Step {
        Step::Lock(Lock { purpose: Purpose::Requested })
    }
}

/// The result of *Check*.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Checked {
    /// The life file is the one that this server locked, and the point holds exactly its record.
    Mine,
    /// The point is gone, damaged, or holds an old record. This server has to restore it.
    Damaged,
    /// The life file is gone, or is one that no process has locked. This server has to make it again.
    LifeFileGone,
    /// The life file or the point belongs to another server.
    Lost,
    /// Reading failed, which shows nothing.
    CannotTell,
}

/// Checks the files, without a lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Check(());

impl Check {
    /// The files were checked.
    pub fn checked(self, checked: Checked) -> Step {
        match checked {
            Checked::Mine | Checked::CannotTell => Step::Serve(Serve(())),
            Checked::Damaged | Checked::LifeFileGone => Step::Lock(Lock { purpose: Purpose::Restore }),
            Checked::Lost => Step::Look(Look { why: Retire::Lost, held: false }),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Purpose {
    Idle,
    Requested,
    Restore,
}

/// Tries the point lock once. The path must lead to the locked file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lock {
    purpose: Purpose,
}

impl Lock {
    /// The lock was tried. A try creates the file if there is none, so after *no point* the server tries again, too.
    pub fn tried(self, tried: Tried) -> Step {
        match tried.means() {
            Means::Held => self.got(),
            Means::Later | Means::NoPoint => self.busy(),
            Means::LocalError => self.failed(),
        }
    }

    /// Returns whether this result restarts the idle period: an idle server that finds the point lock busy stays.
    pub fn restarts_idle(&self, tried: Tried) -> bool {
        self.purpose == Purpose::Idle && matches!(tried.means(), Means::Later | Means::NoPoint)
    }

    /// The lock is held now.
    pub fn got(self) -> Step {
        match self.purpose {
            Purpose::Idle => Step::Look(Look { why: Retire::Idle, held: true }),
            Purpose::Requested => Step::Look(Look { why: Retire::Requested, held: true }),
            Purpose::Restore => Step::Recheck(Recheck(())),
        }
    }

    /// Another process holds the lock. An idle server stays, and its idle period restarts.
    pub fn busy(self) -> Step {
        match self.purpose {
            Purpose::Idle => Step::Serve(Serve(())),
            purpose => Step::Backoff(Backoff { purpose }),
        }
    }

    /// The try failed with a local error. An idle server retires without withdrawing, since no other process can open
    /// the point either. For other purposes the server tries again.
    pub fn failed(self) -> Step {
        match self.purpose {
            Purpose::Idle => Step::Look(Look { why: Retire::Idle, held: false }),
            purpose => Step::Backoff(Backoff { purpose }),
        }
    }
}

/// Waits a millisecond or two for the point lock, and serves meanwhile.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Backoff {
    purpose: Purpose,
}

impl Backoff {
    /// The pause is over: the server tries again.
    pub fn elapsed(self) -> Step {
        Step::Lock(Lock { purpose: self.purpose })
    }

    /// Retirement was requested, now or earlier.
    pub fn requested(self) -> Step {
        Step::Lock(Lock { purpose: Purpose::Requested })
    }

    /// The drain deadline is over, which only a fault can cause. A server that was asked to retire does so without
    /// withdrawing; one that restores leaves it to the next *Check*.
    pub fn overdue(self) -> Step {
        match self.purpose {
            Purpose::Requested => Step::Look(Look { why: Retire::Requested, held: false }),
            _ => Step::Serve(Serve(())),
        }
    }
}

/// Checks the files again, under the point lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Recheck(());

impl Recheck {
    /// The files were checked.
    pub fn checked(self, checked: Checked) -> Step {
        let then = match checked {
            Checked::Damaged => return Step::Restore(Restore(())),
            Checked::LifeFileGone => return Step::Reclaim(Reclaim(())),
            Checked::Mine | Checked::CannotTell => Then::Serve,
            Checked::Lost => Then::Lost,
        };
        Step::Unlock(Unlock { then })
    }
}

/// Makes the life file again and locks it, as at *Claim*. It is done under the point lock, so no
/// client takes the lifetime lock for free and starts another server meanwhile.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reclaim(());

impl Reclaim {
    /// The server holds its life file again.
    pub fn claimed(self) -> Step {
        Step::Recheck(Recheck(()))
    }

    /// Another process has locked it: an orphan, which no client registers.
    pub fn lost(self) -> Step {
        Step::Unlock(Unlock { then: Then::Lost })
    }

    /// A local error: it cannot be made. The next *Check* tries again.
    pub fn failed(self) -> Step {
        Step::Unlock(Unlock { then: Then::Serve })
    }
}

/// Truncates the point, and writes this server's own record again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Restore(());

impl Restore {
    /// The write is over. The next *Check* shows whether it succeeded.
    pub fn restored(self) -> Step {
        Step::Unlock(Unlock { then: Then::Serve })
    }
}

/// Looks at the gate, and shuts it: see [`Gate::look`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Look {
    why: Retire,
    held: bool,
}

impl Look {
    /// Returns the reason to retire, which the gate needs.
    pub fn why(&self) -> Retire {
        self.why
    }

    /// The gate is shut: no client is admitted from now on.
    pub fn shut(self) -> Step {
        let Look { why, held } = self;
        if held { Step::Withdraw(Withdraw { why }) } else { Step::Close(Close { why, held }) }
    }

    /// A client was counted meanwhile: the server stays.
    pub fn counted(self) -> Step {
        if self.held { Step::Unlock(Unlock { then: Then::Serve }) } else { Step::Serve(Serve(())) }
    }
}

/// Truncates the point if it holds this server's record.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Withdraw {
    why: Retire,
}

impl Withdraw {
    /// No client can find this server any more.
    pub fn withdrawn(self) -> Step {
        Step::Close(Close { why: self.why, held: true })
    }
}

/// Stops listening, and closes the connections that have no welcome yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Close {
    why: Retire,
    held: bool,
}

impl Close {
    /// No client can reach this server any more.
    pub fn closed(self) -> Step {
        let Close { why, held } = self;
        if held { Step::Unlock(Unlock { then: Then::Drain(why) }) } else { Step::Drain(Drain { why }) }
    }
}

/// Releases the point lock, by an explicit unlock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Unlock {
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Then {
    Serve,
    Lost,
    Drain(Retire),
    Done(Done),
}

impl Unlock {
    /// The lock is released.
    pub fn unlocked(self) -> Step {
        match self.then {
            Then::Serve => Step::Serve(Serve(())),
            Then::Lost => Step::Look(Look { why: Retire::Lost, held: false }),
            Then::Drain(why) => Step::Drain(Drain { why }),
            Then::Done(done) => Step::gives_up(done),
        }
    }
}

/// Lets the remaining clients finish, until the drain deadline.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Drain {
    why: Retire,
}

impl Drain {
    /// The clients are gone or the deadline is over, and the handler has ended.
    pub fn drained(self) -> Step {
        Step::Release(Release { done: Done::Retired(self.why) })
    }
}

/// Releases the lifetime lock, once no code of the handler runs any more.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Release {
    done: Done,
}

impl Release {
    /// The lock is released: a successor may begin.
    pub fn released(self) -> Step {
        Step::Done(self.done)
    }
}

#[cfg(test)]
mod tests;
