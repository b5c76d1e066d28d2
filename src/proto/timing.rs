//! How long a client waits, and when it is too late for a start.
//!
//! There is no clock here: the driver says how much time is left.

use core::time::Duration;

/// How long a child's exit is awaited when its output has ended, and the rest of its output when it has exited. The two
/// race, and the exit says more.
pub const EXIT_GRACE: Duration = Duration::from_millis(200);

/// The longest pause.
const LONGEST: Duration = Duration::from_millis(50);

/// Whether there is less time left than a start may take. Then none begins: it could only be cut off.
pub const fn is_too_late_to_start(left: Duration, start: Duration) -> bool {
    left.as_nanos() < start.as_nanos()
}

/// Returns how long *Wait* is: a server looks after its files once in a `check`, and is late by a moment where the machine
/// is busy.
pub const fn wait_for_a_life_file(check: Duration, patience: Duration) -> Duration {
    check.saturating_add(patience)
}

/// Returns the pause before a client's own internal server is dialled again. One that retires has a successor, which is
/// joined at once.
pub const fn before_the_own_server_is_dialled_again(retires: bool) -> Duration {
    Duration::from_millis(if retires { 0 } else { 5 })
}

/// The pauses between tries: one millisecond, twice as long each time, and no longer than 50 ms. Each is cut by up to a half
/// at random, so that those who came together do not meet again.
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
    fn a_start_begins_only_if_all_its_time_is_left() {
        for (left, late) in [(ms(0), true), (ms(7999), true), (ms(8000), false), (ms(9000), false)] {
            assert_eq!(is_too_late_to_start(left, ms(8000)), late, "{left:?}");
        }
    }

    #[test]
    fn a_server_has_more_than_one_check_to_make_its_life_file_again() {
        assert_eq!(wait_for_a_life_file(ms(1000), ms(500)), ms(1500));
        assert_eq!(wait_for_a_life_file(Duration::MAX, ms(1)), Duration::MAX);
    }

    #[test]
    fn only_the_successor_of_a_server_that_retires_is_dialled_at_once() {
        assert_eq!([true, false].map(before_the_own_server_is_dialled_again), [ms(0), ms(5)]);
    }
}
