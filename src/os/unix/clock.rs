//! The clock of the system, which may be set at any time. Nothing is measured by it.

use std::time::{Duration, SystemTime};

/// Returns the time by the clock of the system.
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// Returns the time since 1970 by the clock of the system.
pub(crate) fn since_1970() -> Duration {
    wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
