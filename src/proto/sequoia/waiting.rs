//! What a connect in the dialect waits for, by its steps. No record names a process.

use super::connect::Step;
use crate::proto::waiting::{Kind, Seen};

impl Step {
    /// Returns what this step waits for, with the child that was started, if there is one.
    pub fn seen(&self, child: Option<u32>) -> Seen {
        match self {
            Step::Lock(_) | Step::Clear(_) | Step::Introduce(_) | Step::Write(_) => Seen::Nothing,
            Step::Kill(_) | Step::Unlock(_) | Step::Done(_) => Seen::Nothing,
            Step::Read(_) => Seen::Locked,
            Step::Dial(_) | Step::SendCookie(_) => Seen::waits(Kind::Answer, None),
            Step::Spawn(_) | Step::Await(_) => Seen::waits(Kind::Start, child),
            Step::Backoff(backoff) => match backoff.is_silent() {
                true => Seen::waits(Kind::Answer, None),
                false => Seen::waits(Kind::PointLock, None),
            },
        }
    }
}
