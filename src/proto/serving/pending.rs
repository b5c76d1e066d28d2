//! Limits the pending connections, those without a welcome, and decides which of them is dropped.

/// The number of connections that requested retirement and stay open until the server's exit. Each occupies a
/// descriptor until then.
const RETIRE_WAITERS: usize = 64;

/// How to free a descriptor for a connection that waits to be accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// Lends a descriptor of the reserve.
    Lend,
    /// Closes the oldest pending connection.
    DropOldest,
    /// No descriptor can be freed.
    Nothing,
}

/// Returns how many connections may be pending at once: `limit`, but at most half of the process's descriptors, and at
/// least one.
pub const fn cap(limit: usize, descriptors: usize) -> usize {
    let half = descriptors / 2;
    let cap = if limit < half { limit } else { half };
    if cap == 0 { 1 } else { cap }
}

/// Returns whether the oldest pending connection is closed for a new one. The oldest is the least likely client: one
/// that knows the cookie completes the handshake within a millisecond.
pub const fn is_full(pending: usize, cap: usize) -> bool {
    pending >= cap
}

/// Returns how to make room when no descriptor is left. Up to `reserve` pending connections are left alone: most likely
/// they are clients. Beyond that the oldest is closed, since the new connection has the same right.
pub const fn make_room(pending: usize, reserve: usize, can_lend: bool) -> Room {
    if pending <= reserve && can_lend {
        Room::Lend
    } else if pending > 0 {
        Room::DropOldest
    } else {
        Room::Nothing
    }
}

/// Returns whether one more connection that requested retirement stays open until the server's exit. Otherwise the
/// server closes it earlier.
pub const fn keeps_retire_waiter(kept: usize) -> bool {
    kept < RETIRE_WAITERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_connections_have_their_limit_or_half_of_the_descriptors() {
        for (limit, descriptors, expected) in [
            (64, 1024, 64),
            (512, 1024, 512),
            (513, 1024, 512),
            (1000, 1024, 512),
            (0, 1024, 1),
            (64, 1, 1),
            (64, 9, 4),
        ] {
            assert_eq!(cap(limit, descriptors), expected, "{limit} of {descriptors}");
        }
    }

    #[test]
    fn a_connection_above_the_cap_replaces_the_oldest() {
        for (pending, full) in [(0, false), (3, false), (4, true), (5, true)] {
            assert_eq!(is_full(pending, 4), full, "{pending} pending");
        }
    }

    #[test]
    fn a_shortage_lends_from_the_reserve_or_drops_the_oldest() {
        for (pending, can_lend, room) in [
            (0, true, Room::Lend),
            (0, false, Room::Nothing),
            (1, true, Room::Lend),
            (1, false, Room::DropOldest),
            (16, true, Room::Lend),
            (16, false, Room::DropOldest),
            (17, true, Room::DropOldest),
            (17, false, Room::DropOldest),
        ] {
            assert_eq!(make_room(pending, 16, can_lend), room, "{pending} pending, {can_lend}");
        }
    }

    #[test]
    fn at_most_64_retire_waiters_stay_open_until_the_exit() {
        assert!((0..64).all(keeps_retire_waiter) && !keeps_retire_waiter(64));
    }
}
