//! What a connect waits for, by its steps.

use super::{Row, Step};
use crate::proto::waiting::{Kind, Seen};

/// What the steps of a connect have shown so far: it says what a pause is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trail {
    known: Known,
}

/// The last fact that a connect has found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Known {
    /// Nothing: if it did not get further, the point lock was busy.
    #[default]
    Nothing,
    /// The row of the record that was read under the lock, and its process; or that of a server that was dialled.
    Row(Row, Option<u32>),
    /// This server accepted the request to retire.
    Asked(u32),
    /// This server knows that the client has the cookie, and has not admitted it.
    Proved(u32),
    /// This server has said that it is full.
    Full(u32),
    /// This child replied, or did not: it may be *busy*, since another process holds the lifetime lock.
    Child(Option<u32>),
    /// This child failed, and was killed.
    Killed(Option<u32>),
}

/// A step that pauses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pause {
    Backoff,
    Wait,
}

/// Decides what a pause waits for, by what is known.
const fn paused(pause: Pause, known: Known) -> Seen {
    match (pause, known) {
        (Pause::Wait, Known::Row(_, pid)) => Seen::waits(Kind::LifeFile, pid),
        (Pause::Wait, _) => Seen::waits(Kind::LifeFile, None),
        (Pause::Backoff, Known::Nothing) => Seen::waits(Kind::PointLock, None),
        (Pause::Backoff, Known::Row(row, pid)) => match row {
            Row::Replaced => Seen::waits(Kind::Drain, pid),
            Row::Foreign | Row::Apart => Seen::waits(Kind::OutOfReach, pid),
            Row::Doubtful | Row::Fresh | Row::Suspected => Seen::waits(Kind::Answer, pid),
            Row::Nothing | Row::Newer | Row::OtherDialect => Seen::waits(Kind::LifetimeLock, None),
        },
        (Pause::Backoff, Known::Asked(pid)) => Seen::waits(Kind::Drain, Some(pid)),
        // Of the dials that are over, only those of a full server are followed by a pause.
        (Pause::Backoff, Known::Proved(pid) | Known::Full(pid)) => Seen::waits(Kind::Full, Some(pid)),
        (Pause::Backoff, Known::Child(_)) => Seen::waits(Kind::LifetimeLock, None),
        (Pause::Backoff, Known::Killed(pid)) => Seen::waits(Kind::Exit, pid),
    }
}

impl Trail {
    /// Returns what this step waits for. Each step passes here, in order, with the child that was started, if there is
    /// one.
    pub fn at(&mut self, step: &Step, child: Option<u32>) -> Seen {
        let facts = step.facts();
        let dialled = facts.dialled.map(|record| record.pid);
        match step {
            Step::Read(_) | Step::Clear(_) | Step::Verify(_) | Step::Write(_) | Step::Confirm(_) => Seen::Nothing,
            Step::Kill(_) | Step::Unlock(_) | Step::Done(_) => Seen::Nothing,
            Step::Lock(_) => {
                self.known = Known::Nothing;
                Seen::Nothing
            }
            Step::Reread(_) => Seen::Locked,
            Step::Probe(probe) => {
                self.known = Known::Row(probe.row, probe.record.as_ref().map(|record| record.pid));
                Seen::Nothing
            }
            Step::Spawn(_) | Step::Await(_) => {
                self.known = Known::Child(child);
                Seen::waits(Kind::Start, child)
            }
            Step::Fallback(_) => {
                let pid = if let Known::Child(pid) = self.known { pid } else { None };
                self.known = Known::Killed(pid);
                Seen::waits(Kind::Exit, pid)
            }
            Step::Dial(_) | Step::Hello(_) | Step::Prove(_) => {
                let seen = self.dials(dialled);
                if seen == Seen::waits(Kind::Answer, dialled) {
                    self.known = Known::Row(Row::Suspected, dialled);
                }
                seen
            }
            Step::Welcome(welcome) => {
                let (seen, pid) = (self.dials(dialled), welcome.record().pid);
                self.known = if welcome.replaces() { Known::Asked(pid) } else { Known::Proved(pid) };
                seen
            }
            Step::Backoff(_) => {
                if let Known::Proved(pid) = self.known {
                    self.known = Known::Full(pid);
                }
                paused(Pause::Backoff, self.known)
            }
            Step::Wait(_) => paused(Pause::Wait, self.known),
        }
    }

    /// Returns what a dial of this process waits for: a server that was full is asked for a place again.
    fn dials(&self, dialled: Option<u32>) -> Seen {
        match (self.known, dialled) {
            (Known::Full(full), Some(pid)) if full == pid => Seen::waits(Kind::Full, dialled),
            _ => Seen::waits(Kind::Answer, dialled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_table_of_pause_and_knowledge() {
        use Kind::*;
        for pid in [None, Some(2)] {
            for (known, backoff, wait) in [
                (Known::Nothing, (PointLock, None), None),
                (Known::Asked(2), (Drain, Some(2)), None),
                (Known::Proved(2), (Full, Some(2)), None),
                (Known::Full(2), (Full, Some(2)), None),
                (Known::Child(pid), (LifetimeLock, None), None),
                (Known::Killed(pid), (Exit, pid), None),
                (Known::Row(Row::Nothing, pid), (LifetimeLock, None), pid),
                (Known::Row(Row::Newer, pid), (LifetimeLock, None), pid),
                (Known::Row(Row::OtherDialect, pid), (LifetimeLock, None), pid),
                (Known::Row(Row::Foreign, pid), (OutOfReach, pid), pid),
                (Known::Row(Row::Apart, pid), (OutOfReach, pid), pid),
                (Known::Row(Row::Doubtful, pid), (Answer, pid), pid),
                (Known::Row(Row::Replaced, pid), (Drain, pid), pid),
                (Known::Row(Row::Fresh, pid), (Answer, pid), pid),
                (Known::Row(Row::Suspected, pid), (Answer, pid), pid),
            ] {
                assert_eq!(paused(Pause::Backoff, known), Seen::waits(backoff.0, backoff.1), "{known:?}");
                assert_eq!(paused(Pause::Wait, known), Seen::waits(LifeFile, wait), "{known:?}");
            }
        }
    }
}
