//! What threads share in `admission`, `reaper` and `registry`, and the clock.
//!
//! `tests/loom` includes these files beside a `sync` of its own, made of what loom explores.

pub(super) use std::sync::{Mutex, MutexGuard};
#[cfg(not(feature = "tokio"))]
pub(super) use std::time::Instant;

#[cfg(feature = "tokio")]
pub(super) use self::with_tokio::*;

#[cfg(feature = "tokio")]
mod with_tokio {
    pub(in crate::driver) use std::sync::atomic::{AtomicU32, Ordering};

    pub(in crate::driver) use tokio::sync::{Notify, watch};
    pub(in crate::driver) use tokio::time::{Instant, timeout_at};
}
