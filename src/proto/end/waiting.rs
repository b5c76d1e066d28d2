//! What `end_unresponsive` waits for, by its steps.

use super::{After, Look, Step};
use crate::proto::waiting::{Kind, Seen};

impl Step {
    /// Returns what this step waits for. The dial of a *Look* knows its server itself.
    pub fn seen(&self) -> Seen {
        match self {
            Step::Look(Look { silent, .. }) => match silent {
                Some(silent) => Seen::waits(Kind::Answer, Some(silent.record.pid)),
                None => Seen::Nothing,
            },
            Step::Identify(_) | Step::Watch(_) | Step::Owner(_) => Seen::Locked,
            Step::Rest(rest) => Seen::waits(Kind::Answer, Some(rest.silent.record.pid)),
            Step::Kill(kill) => Seen::waits(Kind::Exit, Some(kill.hung.pid)),
            Step::Probe(probe) => Seen::waits(Kind::Exit, Some(probe.hung.pid)),
            Step::Backoff(backoff) => match &backoff.next {
                After::Look(..) => Seen::waits(Kind::PointLock, None),
                After::Probe(probe) => Seen::waits(Kind::Exit, Some(probe.hung.pid)),
            },
            Step::Done(_) => Seen::Nothing,
        }
    }
}
