//! The data of a step, for the table that maps the machine's states to those of the spec: see `model/`.

use super::attempt::Attempt;
use super::dial::{DialMode, Dialing};
use super::*;

/// The data of a step besides its name, in the words of the spec.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts<'a> {
    /// The record of the last dial that failed.
    pub suspect: Option<&'a Record>,
    /// The record of an older server that was asked to retire.
    pub replaced: Option<&'a Record>,
    /// The number of records that were dialled without the lock.
    pub dials: u8,
    /// The number of servers that were started and did not report *busy*.
    pub starts: u8,
    /// The record that is being dialled.
    pub dialled: Option<&'a Record>,
    /// The mode of the dial: `Free`, `Again` or `Holding`; empty if nothing is dialled.
    pub how: &'static str,
    /// Whether the suspect is dialled again if its record is still in the point.
    pub again: bool,
    /// Whether the client has waited for a missing life file.
    pub waited: bool,
    /// The row of the record that was read.
    pub row: Option<Row>,
    /// What follows *Kill*, *Fallback* and *Unlock*: `Backoff`, `Again`, `Wait`, `Fallback`, or the name of an end.
    pub then: &'static str,
}

impl Step {
    /// Returns the data of this step.
    pub fn facts(&self) -> Facts<'_> {
        match self {
            Step::Read(Read { attempt, again })
            | Step::Backoff(Backoff { attempt, again })
            | Step::Wait(Wait { attempt, again }) => Facts { again: *again, ..attempt.facts() },
            Step::Lock(Lock { attempt })
            | Step::Reread(Reread { attempt })
            | Step::Clear(Clear { attempt })
            | Step::Spawn(Spawn { attempt, .. })
            | Step::Await(Await { attempt, .. })
            | Step::Verify(Verify { attempt, .. })
            | Step::Write(Write { attempt, .. })
            | Step::Confirm(Confirm { attempt, .. }) => attempt.facts(),
            Step::Probe(Probe { attempt, row, .. }) => Facts { row: Some(*row), ..attempt.facts() },
            Step::Fallback(Fallback { attempt }) | Step::Kill(Kill { next: After::Fallback(attempt) }) => {
                Facts { then: "Fallback", ..attempt.facts() }
            }
            Step::Dial(Dial { dialing })
            | Step::Hello(Hello { dialing, .. })
            | Step::Prove(Prove { dialing, .. })
            | Step::Welcome(Welcome { dialing, .. }) => dialing.facts(),
            Step::Kill(Kill { next: After::Unlock(then) }) | Step::Unlock(Unlock { then }) => then.facts(),
            Step::Done(_) => Facts::default(),
        }
    }
}

impl Attempt {
    fn facts(&self) -> Facts<'_> {
        let Attempt { suspect, replaced, dials, starts, waited, .. } = self;
        let (suspect, replaced) = (suspect.as_ref(), replaced.as_ref());
        Facts { suspect, replaced, dials: *dials, starts: *starts, waited: *waited, ..Facts::default() }
    }
}

impl Dialing {
    fn facts(&self) -> Facts<'_> {
        let how = match self.how {
            DialMode::Free => "Free",
            DialMode::Again => "Again",
            DialMode::Holding => "Holding",
        };
        Facts { dialled: Some(&self.record), how, ..self.attempt.facts() }
    }
}

impl Then {
    fn facts(&self) -> Facts<'_> {
        match self {
            Then::Backoff(attempt, again) => {
                Facts { then: if *again { "Again" } else { "Backoff" }, ..attempt.facts() }
            }
            Then::Wait(attempt, again) => Facts { then: "Wait", again: *again, ..attempt.facts() },
            Then::Done(done) => Facts { then: done.name(), ..Facts::default() },
        }
    }
}

impl Done {
    /// Returns the name of this end in the spec.
    pub const fn name(&self) -> &'static str {
        match self {
            Done::Welcomed(..) => "Welcomed",
            Done::Start => "Start",
            Done::Absent => "Absent",
            Done::Internal => "Internal",
            Done::Refused(Refusal::Incompatible) => "Incompatible",
            Done::Refused(Refusal::OtherDialect) => "OtherDialect",
            Done::Refused(Refusal::ForeignScope) => "ForeignScope",
            Done::Refused(Refusal::CannotTell) => "CannotTell",
            Done::Unsupported(_) => "Unsupported",
            Done::TooNew(_) => "TooNew",
            Done::TooOld(_) => "TooOld",
            Done::OtherProtocol(..) => "OtherProtocol",
            Done::TurnedAway(..) => "TurnedAway",
            Done::Failed => "Failed",
            Done::Unverified => "Unverified",
            Done::TooLate => "TooLate",
            Done::Trouble => "Trouble",
        }
    }
}
