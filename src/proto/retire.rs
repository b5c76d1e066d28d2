//! What a client decides that asks a server to retire, beside the machine of [`super::connect`].

use core::time::Duration;

/// Whether a file is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Presence {
    /// It is.
    There,
    /// It is not.
    NotThere,
    /// The system does not say.
    CannotTell,
}

/// Tells whether there is no server, from the point and the life file: nothing is created just to find nobody.
///
/// A server that lives has a life file, whatever became of its point.
pub const fn is_nobody(point: Presence, life: Presence) -> bool {
    matches!((point, life), (Presence::NotThere, Presence::NotThere))
}

/// Returns how long the exit of a server that was asked to retire is awaited.
///
/// The server tries for the point lock until its drain deadline, and drains for as long again. Both may be late by the
/// patience for one message.
pub const fn longest_wait(drain: Duration, patience: Duration) -> Duration {
    drain.saturating_add(patience).saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_there_only_where_neither_point_nor_life_file_is() {
        use Presence::*;
        for point in [There, NotThere, CannotTell] {
            for life in [There, NotThere, CannotTell] {
                let neither = (point, life) == (NotThere, NotThere);
                assert_eq!(is_nobody(point, life), neither, "{point:?} × {life:?}");
            }
        }
    }

    #[test]
    fn an_exit_is_awaited_for_two_drains_and_never_overflows() {
        let (drain, patience) = (Duration::from_secs(10), Duration::from_secs(2));
        assert_eq!(longest_wait(drain, patience), Duration::from_secs(24));
        assert_eq!(longest_wait(Duration::MAX, patience), Duration::MAX);
    }
}
