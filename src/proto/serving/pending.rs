//! How many connections may be pending, that is without a welcome, and which of them gives way.

/// How many connections that asked for the server's retirement are kept until its exit. Each takes a descriptor that
/// nothing frees before.
const RETIRE_WAITERS: usize = 64;

/// What frees a descriptor for a connection that waits to be accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// A descriptor of the reserve is given up.
    Lend,
    /// The oldest pending connection is closed.
    DropOldest,
    /// Nothing can.
    Nothing,
}

/// Returns how many connections may be pending at once: as many as the limit says, but no more than half of what the process
/// can open, and always one.
pub const fn cap(limit: usize, descriptors: usize) -> usize {
    let half = descriptors / 2;
    let cap = if limit < half { limit } else { half };
    if cap == 0 { 1 } else { cap }
}

/// Returns whether the oldest of so many pending connections is closed for a new one. It is the oldest, for a client that
/// knows the cookie is done in a millisecond.
pub const fn is_full(pending: usize, cap: usize) -> bool {
    pending >= cap
}

/// Returns what makes room when there is no descriptor. A few pending connections are left alone: most likely they are
/// clients. Of more than the reserve has for handshakes, the oldest gives way: the new one has the same right.
pub const fn make_room(pending: usize, reserve: usize, can_lend: bool) -> Room {
    if pending <= reserve && can_lend {
        Room::Lend
    } else if pending > 0 {
        Room::DropOldest
    } else {
        Room::Nothing
    }
}

/// Returns whether one more connection that asked for the retirement is kept until the server's exit. One that is not kept is
/// closed before it.
pub const fn keeps_retire_waiter(kept: usize) -> bool {
    kept < RETIRE_WAITERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_connections_have_the_limit_and_at_most_half_of_the_descriptors() {
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
    fn the_oldest_gives_way_to_the_one_above_the_cap() {
        for (pending, full) in [(0, false), (3, false), (4, true), (5, true)] {
            assert_eq!(is_full(pending, 4), full, "{pending} pending");
        }
    }

    #[test]
    fn a_shortage_takes_from_the_reserve_and_above_it_the_oldest_goes() {
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
    fn sixty_four_retire_waiters_see_the_exit() {
        assert!((0..64).all(keeps_retire_waiter) && !keeps_retire_waiter(64));
    }
}
