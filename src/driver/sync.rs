//! What threads share in `admission`, `reaper` and `registry`.
//!
//! `tests/loom` includes these files beside a `sync` of its own, made of what loom explores.

pub(super) use std::sync::atomic::{AtomicU32, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard, mpsc};
pub(super) use std::thread;

pub(super) use tokio::sync::{Notify, oneshot, watch};
pub(super) use tokio::time::{Instant, timeout_at};
