//! The data of a step, for the table that maps the machine's states to those of the spec: see `model/`.

use super::*;

/// The data of a step besides its name, in the words of the spec. Fields that do not apply are empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Why the server retires.
    pub why: Option<Retire>,
    /// Whether the server holds the point lock while it retires.
    pub held: bool,
    /// The purpose of the point lock: `Idle`, `Requested` or `Restore`.
    pub purpose: &'static str,
    /// What follows *Unlock*, *Refuse* and *Release*: `Serve`, `Lost`, `Drain`, `Busy` or `Failed`.
    pub then: &'static str,
}

impl Facts {
    /// Returns the data of a step that leads to this end.
    pub(in crate::proto) fn of_end(done: Done) -> Self {
        Then::Done(done).facts()
    }
}

impl Step {
    /// Returns the data of this step.
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
