//! How long a client waits, and when it is too late to start a server.
//!
//! This module reads no clock. The driver passes the time that is left.

use core::time::Duration;

/// How long a client waits for a child's exit after the end of its output, and for the rest of its output after its
/// exit. The two race, and the exit carries more information.
pub const EXIT_GRACE: Duration = Duration::from_millis(200);

/// The time between two attempts to accept, after one that failed, mostly for want of descriptors. It is a small part
/// of a client's patience, and twenty attempts a second cost nothing.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// When a server's watchdog looks for the second time. A start takes less; then the watchdog ends, so that an idle
/// server has one thread less.
const SECOND_LOOK: Duration = Duration::from_millis(50);

/// The longest pause.
const LONGEST: Duration = Duration::from_millis(50);

/// Returns whether less time is left than a start may take. Then no start begins, since the deadline could interrupt
/// it.
pub const fn is_too_late_to_start(left: Duration, start: Duration) -> bool {
    left.as_nanos() < start.as_nanos()
}

/// Returns the duration of *Wait*: a server checks its files once per `check`, or as soon as the system reports a
/// change of them. It is late by up to `patience`: by a sixteenth of that because it wakes when a timer's wheel turns,
/// and by the rest on a busy machine.
pub const fn wait_for_a_life_file(check: Duration, patience: Duration) -> Duration {
    check.saturating_add(patience)
}

/// Returns how long a server's watchdog pauses before it looks again whether the server is registered: up to a look at
/// the end of `budget`, and before that 50 ms, then twice as long each time. `None`: the budget was over at this look.
pub fn before_the_next_look(elapsed: Duration, budget: Duration) -> Option<Duration> {
    let left = budget.saturating_sub(elapsed);
    (!left.is_zero()).then(|| left.min(SECOND_LOOK.saturating_add(elapsed)))
}

/// Returns the pause before a client dials its own internal server again. A server that retires has a successor, which
/// the client joins at once.
pub const fn before_the_own_server_is_dialled_again(retires: bool) -> Duration {
    Duration::from_millis(if retires { 0 } else { 5 })
}

/// When a wait of a thread that blocks ends: no other task can end it at the deadline of the whole call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bound {
    /// The wait has its own time, and the call goes on after it.
    Own(Duration),
    /// The deadline of the call comes first, and the call ends with it.
    Deadline(Duration),
}

impl Bound {
    /// Returns the bound of a wait that ends at `own` by itself. A call without a deadline bounds itself by its waits.
    pub const fn of(own: Duration, deadline: Option<Duration>) -> Self {
        match deadline {
            Some(deadline) if deadline.as_nanos() < own.as_nanos() => Bound::Deadline(deadline),
            _ => Bound::Own(own),
        }
    }

    /// Returns the time at which the wait ends.
    pub const fn until(self) -> Duration {
        match self {
            Bound::Own(until) | Bound::Deadline(until) => until,
        }
    }
}

/// Returns how long a client waits for a place in the server's queue, before the server says that it is full. The
/// client then has the other half of its `patience` to hear it.
pub fn until_full(patience: Duration, handshake: Duration) -> Duration {
    patience.min(handshake) / 2
}

/// The pauses between tries: one millisecond, then doubled each time up to 50 ms. Each is shortened at random by up to
/// a half, so that clients that arrive together do not collide again.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Pause {
    round: u32,
}

impl Pause {
    /// Returns the next pause.
    pub fn next(&mut self, random: u8) -> Duration {
        let longest = Duration::from_millis(1 << self.round.min(6)).min(LONGEST);
        self.round = self.round.saturating_add(1);
        longest / 2 + longest / 2 * u32::from(random) / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_pause_doubles_up_to_50_ms_and_is_cut_by_a_half_at_most() {
        let (mut shortest, mut longest) = (Pause::default(), Pause::default());
        for round in [1, 2, 4, 8, 16, 32, 50, 50, 50] {
            assert_eq!((shortest.next(0), longest.next(255)), (ms(round) / 2, ms(round)));
        }
        let mut last = Pause { round: u32::MAX };
        assert!([0, 127, 255].map(|random| last.next(random)).iter().all(|pause| (ms(25)..=ms(50)).contains(pause)));
    }

    #[test]
    fn a_start_begins_only_if_its_whole_time_is_left() {
        for (left, late) in [(ms(0), true), (ms(7999), true), (ms(8000), false), (ms(9000), false)] {
            assert_eq!(is_too_late_to_start(left, ms(8000)), late, "{left:?}");
        }
    }

    #[test]
    fn a_client_waits_longer_than_one_check_for_a_life_file() {
        assert_eq!(wait_for_a_life_file(ms(1000), ms(500)), ms(1500));
        assert_eq!(wait_for_a_life_file(Duration::MAX, ms(1)), Duration::MAX);
    }

    #[test]
    fn only_the_successor_of_a_server_that_retires_is_dialled_at_once() {
        assert_eq!([true, false].map(before_the_own_server_is_dialled_again), [ms(0), ms(5)]);
    }

    #[test]
    fn a_watchdog_looks_after_pauses_that_double_and_when_its_budget_is_over() {
        let mut elapsed = ms(0);
        for pause in [50, 100, 200, 400, 250].map(ms) {
            assert_eq!(before_the_next_look(elapsed, ms(1000)), Some(pause), "{elapsed:?}");
            elapsed += pause;
        }
        for late in [ms(1000), ms(1001), Duration::MAX] {
            assert_eq!(before_the_next_look(late, ms(1000)), None, "{late:?}");
        }
        assert_eq!(before_the_next_look(ms(0), ms(0)), None);
        assert_eq!(before_the_next_look(Duration::MAX - ms(1), Duration::MAX), Some(ms(1)));
    }

    #[test]
    fn a_wait_ends_at_its_own_time_or_at_the_deadline_if_that_is_first() {
        for (own, deadline, bound) in [
            (ms(10), None, Bound::Own(ms(10))),
            (Duration::MAX, None, Bound::Own(Duration::MAX)),
            (ms(10), Some(ms(11)), Bound::Own(ms(10))),
            // What both end is the wait's: its answer is there in time.
            (ms(10), Some(ms(10)), Bound::Own(ms(10))),
            (ms(10), Some(ms(9)), Bound::Deadline(ms(9))),
            (ms(10), Some(ms(0)), Bound::Deadline(ms(0))),
        ] {
            assert_eq!(Bound::of(own, deadline), bound, "{own:?} × {deadline:?}");
            assert_eq!(bound.until(), own.min(deadline.unwrap_or(Duration::MAX)));
        }
    }
}
