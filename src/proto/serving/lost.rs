//! What a server does with its sessions when its life file is lost.

use super::{Drain, Retire};

/// What a server does with its sessions when another process has its life file, or its home is gone. The service chooses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum WhenLost {
    /// It retires as for any other reason: its sessions have the time of the drain.
    #[default]
    Retire,
    /// It takes no new client, and its sessions live for as long as their clients want. Nothing keeps another server from
    /// running beside them, so this gives up *OneHandler*.
    KeepSessions,
}

impl WhenLost {
    /// Returns whether a server that retires for `why` drains without a limit. One that still has its life file does not:
    /// its successor waits for it.
    pub const fn keeps_sessions(self, why: Retire, life_is_lost: bool) -> bool {
        matches!((self, why, life_is_lost), (WhenLost::KeepSessions, Retire::Lost, true))
    }
}

impl Drain {
    /// Returns why the server retires.
    pub const fn why(&self) -> Retire {
        self.why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_what_a_service_wants_and_why_its_server_retires() {
        for (when_lost, kept) in [(WhenLost::Retire, false), (WhenLost::KeepSessions, true)] {
            for (why, life_is_lost, keeps) in [
                (Retire::Idle, false, false),
                (Retire::Idle, true, false),
                (Retire::Requested, false, false),
                (Retire::Requested, true, false),
                (Retire::Lost, false, false),
                (Retire::Lost, true, kept),
            ] {
                assert_eq!(when_lost.keeps_sessions(why, life_is_lost), keeps, "{when_lost:?} {why:?} {life_is_lost}");
            }
        }
    }
}
