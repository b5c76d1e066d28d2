//! What a server that serves does first.

use super::{Serve, Step};

/// What is due while a server serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Due {
    /// Somebody asked this server to retire.
    pub shutdown: bool,
    /// It is time to look after the files.
    pub check: bool,
    /// The idle period is over.
    pub idle: bool,
}

impl Serve {
    /// Goes on to the first that is due: shutdown, then check, then idle.
    ///
    /// A server that was asked to retire does nothing else first. One that is always idle, and always finds the point lock
    /// busy, still looks after its files.
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
