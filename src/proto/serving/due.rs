//! The order of the things that are due while a server serves.

use super::{Serve, Step};

/// What is due while a server serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Due {
    /// Retirement was requested.
    pub shutdown: bool,
    /// It is time to check the files.
    pub check: bool,
    /// The idle period is over.
    pub idle: bool,
}

impl Serve {
    /// Returns the step for the first thing that is due: shutdown, then check, then idle.
    ///
    /// A request to retire takes precedence over everything. A check takes precedence over idleness, so that a server
    /// that is idle but always finds the point lock busy still checks its files.
    pub fn due(self, due: Due) -> Step {
        match due {
            Due { shutdown: true, .. } => self.requested(),
            Due { check: true, .. } => self.check(),
            Due { idle: true, .. } => self.idle(),
            Due { shutdown: false, check: false, idle: false } => Step::Serve(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shutdown_comes_before_check_and_check_before_idle() {
        for (shutdown, check, idle, (name, purpose)) in [
            (false, false, false, ("Serve", "")),
            (false, false, true, ("Lock", "Idle")),
            (false, true, false, ("Check", "")),
            (false, true, true, ("Check", "")),
            (true, false, false, ("Lock", "Requested")),
            (true, false, true, ("Lock", "Requested")),
            (true, true, false, ("Lock", "Requested")),
            (true, true, true, ("Lock", "Requested")),
        ] {
            let due = Due { shutdown, check, idle };
            let next = Serve(()).due(due);
            assert_eq!((next.name(), next.facts().purpose), (name, purpose), "{due:?}");
        }
    }
}
