//! The clock of the machines: they take a moment as the time since the first question for it.

use std::sync::LazyLock;
use std::time::Duration;

use super::sync::Instant;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Returns the time since the beginning.
pub(super) fn now() -> Duration {
    BEGAN.elapsed()
}

/// Returns the moment for a timer.
pub(super) fn at(since: Duration) -> Instant {
    *BEGAN + since
}
