//! The clock of the machines, which take a moment as the time since the clock was first read.

use std::sync::LazyLock;
use std::time::Duration;

use super::sync::Instant;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Returns the time since the clock was first read.
pub(super) fn now() -> Duration {
    BEGAN.elapsed()
}

/// Returns the moment of this time, for a timer.
pub(super) fn at(since: Duration) -> Instant {
    *BEGAN + since
}
