//! The serving machine, from *Serve* to *Done*. A server of either dialect enters it when its start is over.
//!
//! ```text
//!   Serve ─▶ Check ─▶ Lock ─▶ Recheck ─▶ Restore ─▶ Unlock ─▶ Serve        (the point was damaged)
//!                             Recheck ─▶ Reclaim ─▶ Recheck                (the life file was removed)
//!   Serve ─▶ Lock ─▶ Look ─▶ Withdraw ─▶ Close ─▶ Unlock ─▶ Drain ─▶ Release ─▶ Done
//! ```
//!
//! Only *Withdraw* and *Restore* touch the point, under the point lock. Clients are counted at one [`Gate`], and *Look*
//! shuts it. What *Check* makes of the files is a table of each dialect: `Checked::of` in [`super::serve`] and `checked` in
//! `sequoia::serve`. The dialect of sequoia has no life file: it finds none gone, so it never comes to *Reclaim*, and its
//! *Release* releases nothing.
//!
//! Connections are machines of their own ([`super::handshake`]); they meet this one at the gate alone.

mod due;
mod facts;
mod gate;
mod occupancy;
pub mod pending;
mod shutdown;

pub use self::due::Due;
pub use self::facts::Facts;
pub use self::gate::{Gate, Retire};
pub use self::occupancy::Occupancy;
pub use self::shutdown::{Draining, LifetimeLock, Shutdown, Tries};
use super::lock::{Means, Tried};

/// What a server holds at a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holds {
    /// The point lock.
    pub lock: bool,
    /// The lifetime lock, where the dialect has one.
    pub life: bool,
}

/// The question that comes next. Each variant is an action of the protocol.
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
    /// It served, and retired.
    Retired(Retire),
    /// Somebody else holds the lifetime lock.
    Busy,
    /// It has no handler, or nowhere to listen.
    Failed,
    /// In the dialect of sequoia: no client told it a cookie.
    NoCookie,
}

impl Step {
    /// The name of this step's action in the protocol.
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

    /// What is held while this question is open.
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

    /// Serves: this server was registered by a client.
    pub(super) const fn registered() -> Self {
        Step::Serve(Serve(()))
    }

    /// Serves, and unlocks the point first: this server wrote its own record.
    pub(super) const fn wrote() -> Self {
        Step::Unlock(Unlock { then: Then::Serve })
    }

    /// Unlocks the point, and ends.
    pub(super) const fn gives_up_locked(done: Done) -> Self {
        Step::Unlock(Unlock { then: Then::Done(done) })
    }

    /// Ends without having served, and with the point not locked.
    pub(super) const fn gives_up(done: Done) -> Self {
        match done {
            Done::Failed => Step::Release(Release { done }),
            done => Step::Done(done),
        }
    }
}

/// Serve, until something is to be done. Clients come and go at the gate meanwhile.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Serve(());

impl Serve {
    /// It is time to look after the files.
    pub fn check(self) -> Step {
        Step::Check(Check(()))
    }

    /// Nobody has been counted for the idle period.
    pub fn idle(self) -> Step {
        Step::Lock(Lock { purpose: Purpose::Idle })
    }

    /// Somebody asked this server to retire.
    pub fn requested(self) -> Step {
        Step::Lock(Lock { purpose: Purpose::Requested })
    }
}

/// What *Check* found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Checked {
    /// The life file is the one I locked, and the point holds exactly my record.
    Mine,
    /// The point is gone, damaged, or holds an old record: it is mine to restore.
    Damaged,
    /// The life file is gone, or is one that nobody has locked: it is mine to make again.
    LifeFileGone,
    /// The life file is another's, or the point is somebody else's.
    Lost,
    /// Reading failed; that says nothing.
    CannotTell,
}

/// Look after the files, without a lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Check(());

impl Check {
    /// What was found.
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

/// Try the point lock, once; the path must lead to the locked file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lock {
    purpose: Purpose,
}

impl Lock {
    /// What a try came to. The file is created where there is none, so *no point* is one more reason to try again.
    pub fn tried(self, tried: Tried) -> Step {
        match tried.means() {
            Means::Held => self.got(),
            Means::Later | Means::NoPoint => self.busy(),
            Means::Trouble => self.failed(),
        }
    }

    /// Returns whether the idle period begins anew with this answer: an idle server finds the point lock busy, and stays.
    pub fn rests(&self, tried: Tried) -> bool {
        self.purpose == Purpose::Idle && matches!(tried.means(), Means::Later | Means::NoPoint)
    }

    /// It is held now.
    pub fn got(self) -> Step {
        match self.purpose {
            Purpose::Idle => Step::Look(Look { why: Retire::Idle, held: true }),
            Purpose::Requested => Step::Look(Look { why: Retire::Requested, held: true }),
            Purpose::Restore => Step::Recheck(Recheck(())),
        }
    }

    /// Somebody else holds it. An idle server stays, and its idle period begins anew.
    pub fn busy(self) -> Step {
        match self.purpose {
            Purpose::Idle => Step::Serve(Serve(())),
            purpose => Step::Backoff(Backoff { purpose }),
        }
    }

    /// It cannot be tried: our own trouble. An idle server goes without withdrawing, for nobody else can open the
    /// point either; the others try again.
    pub fn failed(self) -> Step {
        match self.purpose {
            Purpose::Idle => Step::Look(Look { why: Retire::Idle, held: false }),
            purpose => Step::Backoff(Backoff { purpose }),
        }
    }
}

/// Wait a millisecond or two for the point lock, serving all the while.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Backoff {
    purpose: Purpose,
}

impl Backoff {
    /// The time is over: try again.
    pub fn elapsed(self) -> Step {
        Step::Lock(Lock { purpose: self.purpose })
    }

    /// Somebody asked this server to retire, or did so before.
    pub fn requested(self) -> Step {
        Step::Lock(Lock { purpose: Purpose::Requested })
    }

    /// The drain deadline is over, which only a fault can explain: a server that was told goes without
    /// withdrawing, one that restores leaves it to the next Check.
    pub fn overdue(self) -> Step {
        match self.purpose {
            Purpose::Requested => Step::Look(Look { why: Retire::Requested, held: false }),
            _ => Step::Serve(Serve(())),
        }
    }
}

/// Check once more, under the point lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Recheck(());

impl Recheck {
    /// What was found.
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

/// Make the life file again, and lock it, as at *Claim*; nobody else can have taken it for free, for the point is locked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reclaim(());

impl Reclaim {
    /// It is mine again.
    pub fn claimed(self) -> Step {
        Step::Recheck(Recheck(()))
    }

    /// Another has locked it: an orphan, which nobody registers.
    pub fn lost(self) -> Step {
        Step::Unlock(Unlock { then: Then::Lost })
    }

    /// It cannot be made: our own trouble. The next Check tries again.
    pub fn failed(self) -> Step {
        Step::Unlock(Unlock { then: Then::Serve })
    }
}

/// Truncate the point and write the own record again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Restore(());

impl Restore {
    /// It was done; whether it succeeded, the next Check tells.
    pub fn restored(self) -> Step {
        Step::Unlock(Unlock { then: Then::Serve })
    }
}

/// Look at the gate, and shut it: see [`Gate::look`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Look {
    why: Retire,
    held: bool,
}

impl Look {
    /// Why: what the gate wants to know.
    pub fn why(&self) -> Retire {
        self.why
    }

    /// Nobody is admitted any more.
    pub fn shut(self) -> Step {
        let Look { why, held } = self;
        if held { Step::Withdraw(Withdraw { why }) } else { Step::Close(Close { why, held }) }
    }

    /// A client was counted meanwhile: stay.
    pub fn counted(self) -> Step {
        if self.held { Step::Unlock(Unlock { then: Then::Serve }) } else { Step::Serve(Serve(())) }
    }
}

/// Truncate the point, if the record in it is mine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Withdraw {
    why: Retire,
}

impl Withdraw {
    /// Nobody can find this server any more.
    pub fn withdrawn(self) -> Step {
        Step::Close(Close { why: self.why, held: true })
    }
}

/// Stop listening, and close the connections that were not welcomed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Close {
    why: Retire,
    held: bool,
}

impl Close {
    /// Nobody can reach this server any more.
    pub fn closed(self) -> Step {
        let Close { why, held } = self;
        if held { Step::Unlock(Unlock { then: Then::Drain(why) }) } else { Step::Drain(Drain { why }) }
    }
}

/// Release the point lock, by an explicit unlock.
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
    /// It is released.
    pub fn unlocked(self) -> Step {
        match self.then {
            Then::Serve => Step::Serve(Serve(())),
            Then::Lost => Step::Look(Look { why: Retire::Lost, held: false }),
            Then::Drain(why) => Step::Drain(Drain { why }),
            Then::Done(done) => Step::gives_up(done),
        }
    }
}

/// Let the clients that are left finish, until the drain deadline.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Drain {
    why: Retire,
}

impl Drain {
    /// They are gone, or their time is over, and the handler with them.
    pub fn drained(self) -> Step {
        Step::Release(Release { done: Done::Retired(self.why) })
    }
}

/// Release the lifetime lock, when no code of the handler runs any more.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Release {
    done: Done,
}

impl Release {
    /// It is released: a successor may begin.
    pub fn released(self) -> Step {
        Step::Done(self.done)
    }
}

#[cfg(test)]
mod tests;
