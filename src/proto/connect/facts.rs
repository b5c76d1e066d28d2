//! What a step remembers, for the table that ties the machine's states to the spec's: see `model/`.

use super::dial::{Contact, How};
use super::quest::Quest;
use super::*;

/// What decides at a step, beside its name, in the words of the spec.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts<'a> {
    /// The record that was dialled last, to no avail.
    pub suspect: Option<&'a Record>,
    /// How many records were dialled without the lock.
    pub dials: u8,
    /// How many servers were started that were not busy.
    pub starts: u8,
    /// The record that is being dialled.
    pub dialled: Option<&'a Record>,
    /// How: `Free`, `Again` or `Holding`; empty where nothing is dialled.
    pub how: &'static str,
    /// Whether the suspect is dialled again if it is still there.
    pub again: bool,
    /// Whether it was waited for a life file that is not there.
    pub waited: bool,
    /// What the record was found to be.
    pub row: Option<Row>,
    /// What comes after *Kill*, *Fallback* and *Unlock*: `Backoff`, `Again`, `Wait`, `Fallback`, or how it ends.
    pub then: &'static str,
}

impl Step {
    /// What this step remembers.
    pub fn facts(&self) -> Facts<'_> {
        match self {
            Step::Read(Read { quest, again })
            | Step::Backoff(Backoff { quest, again })
            | Step::Wait(Wait { quest, again }) => Facts { again: *again, ..quest.facts() },
            Step::Lock(Lock { quest })
            | Step::Reread(Reread { quest })
            | Step::Clear(Clear { quest })
            | Step::Spawn(Spawn { quest, .. })
            | Step::Await(Await { quest, .. })
            | Step::Verify(Verify { quest, .. })
            | Step::Write(Write { quest, .. })
            | Step::Confirm(Confirm { quest, .. }) => quest.facts(),
            Step::Probe(Probe { quest, row, .. }) => Facts { row: Some(*row), ..quest.facts() },
            Step::Fallback(Fallback { quest }) | Step::Kill(Kill { next: After::Fallback(quest) }) => {
                Facts { then: "Fallback", ..quest.facts() }
            }
            Step::Dial(Dial { contact })
            | Step::Hello(Hello { contact, .. })
            | Step::Prove(Prove { contact, .. })
            | Step::Welcome(Welcome { contact, .. }) => contact.facts(),
            Step::Kill(Kill { next: After::Unlock(then) }) | Step::Unlock(Unlock { then }) => then.facts(),
            Step::Done(_) => Facts::default(),
        }
    }
}

impl Quest {
    fn facts(&self) -> Facts<'_> {
        let Quest { suspect, dials, starts, waited, .. } = self;
        Facts { suspect: suspect.as_ref(), dials: *dials, starts: *starts, waited: *waited, ..Facts::default() }
    }
}

impl Contact {
    fn facts(&self) -> Facts<'_> {
        let how = match self.how {
            How::Free => "Free",
            How::Again => "Again",
            How::Holding => "Holding",
        };
        Facts { dialled: Some(&self.record), how, ..self.quest.facts() }
    }
}

impl Then {
    fn facts(&self) -> Facts<'_> {
        match self {
            Then::Backoff(quest, again) => Facts { then: if *again { "Again" } else { "Backoff" }, ..quest.facts() },
            Then::Wait(quest, again) => Facts { then: "Wait", again: *again, ..quest.facts() },
            Then::Done(done) => Facts { then: done.name(), ..Facts::default() },
        }
    }
}

impl Done {
    /// The name of this end in the spec.
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
            Done::Failed => "Failed",
            Done::Unverified => "Unverified",
            Done::TooLate => "TooLate",
            Done::Trouble => "Trouble",
        }
    }
}
