//! The decisions of a client that asks a server to retire, besides those of the machine in [`super::connect`].

use core::time::Duration;

/// Whether a file exists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Presence {
    /// The file exists.
    There,
    /// The file does not exist.
    NotThere,
    /// The system cannot tell.
    CannotTell,
}

/// Returns whether neither file exists, so that there is no server.
///
/// A live server has a life file even if its point was removed. A client checks this first, so that it does not create
/// files only to find no server.
pub const fn is_no_server(point: Presence, life: Presence) -> bool {
    matches!((point, life), (Presence::NotThere, Presence::NotThere))
}

/// Returns how long a client waits for the exit of a server that it asked to retire.
///
/// The server tries to take the point lock until its drain deadline, and then drains for the same time again. Each of
/// the two may be late by the patience for one message.
pub const fn longest_wait(drain: Duration, patience: Duration) -> Duration {
    drain.saturating_add(patience).saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_server_only_if_both_files_are_missing() {
        use Presence::*;
        for point in [There, NotThere, CannotTell] {
            for life in [There, NotThere, CannotTell] {
                let neither = (point, life) == (NotThere, NotThere);
                assert_eq!(is_no_server(point, life), neither, "{point:?} × {life:?}");
            }
        }
    }

    #[test]
    fn the_wait_for_an_exit_is_two_drains_and_does_not_overflow() {
        let (drain, patience) = (Duration::from_secs(10), Duration::from_secs(2));
        assert_eq!(longest_wait(drain, patience), Duration::from_secs(24));
        assert_eq!(longest_wait(Duration::MAX, patience), Duration::MAX);
    }
}
