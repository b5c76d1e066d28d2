//! When the wheel of the timer of this thread's runtime turns.

use std::cell::Cell;
use std::time::Duration;

use super::clock::now;

thread_local!(static TURNED: Cell<Option<Duration>> = const { Cell::new(None) });

/// Remembers that a runtime of this thread is about to begin.
pub(super) fn begins() {
    TURNED.set(Some(now()));
}

/// Returns a time at which the wheel turned. It turns at each millisecond from then on.
pub(super) fn turned() -> Duration {
    TURNED.get().unwrap_or_else(now)
}
