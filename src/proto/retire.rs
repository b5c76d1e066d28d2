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
/// The server tries to take the point lock for `lock`, and then drains for `drain`. Each of the two may be late by the
/// patience for one message.
pub const fn longest_wait(lock: Duration, drain: Duration, patience: Duration) -> Duration {
    lock.saturating_add(drain).saturating_add(patience.saturating_mul(2))
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
    fn the_wait_for_an_exit_covers_lock_and_drain_and_does_not_overflow() {
        let s = Duration::from_secs;
        assert_eq!(longest_wait(s(10), s(60), s(2)), s(74));
        assert_eq!(longest_wait(s(10), s(0), s(2)), s(14));
        assert_eq!(longest_wait(Duration::MAX, s(10), s(2)), Duration::MAX);
        assert_eq!(longest_wait(s(10), Duration::MAX, s(2)), Duration::MAX);
    }
}
