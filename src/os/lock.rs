//! One attempt to lock a file, the same on every system: opening and locking are one call with four results.

#[cfg(rendezvous_sim)]
pub(crate) use super::sim::lock::{LockedFile, try_lock};
#[cfg(all(unix, not(rendezvous_sim)))]
pub(crate) use super::unix::lock::{LockedFile, try_lock};
use crate::proto::lock::Tried;

/// Whether other processes may hold the lock at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    /// Others may share the lock, and no process can hold it exclusively meanwhile.
    Shared,
    /// No other process can hold the lock.
    Exclusive,
}

/// The result of one attempt to lock a file.
#[derive(Debug)]
pub(crate) enum TryLock<L> {
    /// This process holds the lock, and the path leads to the locked file.
    Locked(L),
    /// Another process, or another open file of this one, holds the lock.
    Busy,
    /// The path leads to another file by now, or to none. A system that locks by opening never returns this.
    Elsewhere,
    /// There is no file, and the mode does not create one.
    Absent,
}

impl<L> TryLock<L> {
    /// Returns the result as the machine's input.
    pub(crate) fn tried(&self) -> Tried {
        match self {
            TryLock::Locked(_) => Tried::Locked,
            TryLock::Busy => Tried::Busy,
            TryLock::Elsewhere => Tried::Elsewhere,
            TryLock::Absent => Tried::Absent,
        }
    }

    /// Returns the lock if this process holds it.
    pub(crate) fn locked(self) -> Option<L> {
        match self {
            TryLock::Locked(lock) => Some(lock),
            TryLock::Busy | TryLock::Elsewhere | TryLock::Absent => None,
        }
    }

    /// Applies `make` to the lock if this process holds it.
    pub(crate) fn map<T>(self, make: impl FnOnce(L) -> T) -> TryLock<T> {
        match self {
            TryLock::Locked(lock) => TryLock::Locked(make(lock)),
            TryLock::Busy => TryLock::Busy,
            TryLock::Elsewhere => TryLock::Elsewhere,
            TryLock::Absent => TryLock::Absent,
        }
    }
}
