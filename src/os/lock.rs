//! A try of a lock, as every system has it: open and lock are one call, and the answer is one of four.

#[cfg(unix)]
pub(crate) use super::unix::lock::{LockedFile, try_lock};
use crate::proto::lock::Tried;

/// Whether others may hold the lock, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    /// Others may share it. Nobody may have it for itself meanwhile.
    Shared,
    /// Nobody else may have it.
    Exclusive,
}

/// What a try of a lock came to, with the lock where it is held.
#[derive(Debug)]
pub(crate) enum TryLock<L> {
    /// It is held, and the path leads to the file that is locked.
    Locked(L),
    /// Somebody else holds it.
    Busy,
    /// The path leads to another file by now, or to none. A system that locks by opening never answers this.
    Elsewhere,
    /// There is no file, and none was to be created.
    Absent,
}

impl<L> TryLock<L> {
    /// Returns the answer for the machine.
    pub(crate) fn tried(&self) -> Tried {
        match self {
            TryLock::Locked(_) => Tried::Locked,
            TryLock::Busy => Tried::Busy,
            TryLock::Elsewhere => Tried::Elsewhere,
            TryLock::Absent => Tried::Absent,
        }
    }

    /// Returns the lock where it is held.
    pub(crate) fn locked(self) -> Option<L> {
        match self {
            TryLock::Locked(lock) => Some(lock),
            TryLock::Busy | TryLock::Elsewhere | TryLock::Absent => None,
        }
    }

    /// Makes something of the lock where it is held.
    pub(crate) fn map<T>(self, make: impl FnOnce(L) -> T) -> TryLock<T> {
        match self {
            TryLock::Locked(lock) => TryLock::Locked(make(lock)),
            TryLock::Busy => TryLock::Busy,
            TryLock::Elsewhere => TryLock::Elsewhere,
            TryLock::Absent => TryLock::Absent,
        }
    }
}
