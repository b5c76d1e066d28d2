//! What a step remembers, for the table that ties the machine's states to the spec's: see `model/`.

use super::*;

/// What decides at a step, beside its name, in the words of the spec; empty where there is nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Why the server retires.
    pub why: Option<Retire>,
    /// Whether it retires holding the point lock.
    pub held: bool,
    /// What the point lock is for: `Idle`, `Requested` or `Restore`.
    pub purpose: &'static str,
    /// What comes after *Unlock*, *Refuse* and *Release*: `Serve`, `Lost`, `Drain`, `Busy` or `Failed`.
    pub then: &'static str,
}

impl Facts {
    /// What is remembered before such an end.
    pub(in crate::proto) fn of_end(done: Done) -> Self {
        Then::Done(done).facts()
    }
}

impl Step {
    /// What this step remembers.
    pub fn facts(&self) -> Facts {
        let nothing = Facts::default();
        match self {
            Step::Lock(Lock { purpose }) | Step::Backoff(Backoff { purpose }) => {
                Facts { purpose: purpose.name(), ..nothing }
            }
            Step::Look(Look { why, held }) | Step::Close(Close { why, held }) => {
                Facts { why: Some(*why), held: *held, ..nothing }
            }
            Step::Withdraw(Withdraw { why }) => Facts { why: Some(*why), held: true, ..nothing },
            Step::Drain(Drain { why }) => Facts { why: Some(*why), ..nothing },
            Step::Unlock(Unlock { then }) => then.facts(),
            Step::Release(Release { done }) => Facts::of_end(*done),
            _ => nothing,
        }
    }
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Purpose::Idle => "Idle",
            Purpose::Requested => "Requested",
            Purpose::Restore => "Restore",
        }
    }
}

impl Then {
    fn facts(self) -> Facts {
        let (why, then) = match self {
            Then::Serve => (None, "Serve"),
            Then::Lost => (None, "Lost"),
            Then::Drain(why) => (Some(why), "Drain"),
            Then::Done(Done::Retired(why)) => (Some(why), ""),
            Then::Done(Done::Busy) => (None, "Busy"),
            Then::Done(Done::Failed) => (None, "Failed"),
            Then::Done(Done::NoCookie) => (None, "NoCookie"),
        };
        Facts { why, then, ..Facts::default() }
    }
}
