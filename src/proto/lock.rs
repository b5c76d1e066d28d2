//! The result of an attempt to take a lock, and its meaning.
//!
//! A process tries a lock and never blocks on it. A lock protects only if it is on the file to which the path leads: a
//! file that was removed or replaced can be locked, too, but other processes do not open it any more.

/// The result of one attempt to take a lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tried {
    /// The lock is held now, and the path leads to the locked file.
    Locked,
    /// Another process holds the lock.
    Busy,
    /// The file was locked and unlocked again, because the path leads to another file by now, or to none.
    Elsewhere,
    /// There is no file, and the caller did not ask to create it.
    Absent,
    /// The attempt failed. The driver has the error.
    Failed,
}

/// The meaning of an attempt to take the point lock, for a client or a server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Means {
    /// The point may be read and written.
    Held,
    /// The caller tries again later.
    Later,
    /// There is no point. A caller that creates the file tries again.
    NoPoint,
    /// A local error, which says nothing about other processes.
    LocalError,
}

/// The state of the lifetime lock, probed under the point lock. *Free* stays true while the point lock is held; *held*
/// may change at any time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lifetime {
    /// No server is alive, regardless of the record.
    Free,
    /// A process holds it: a server, or one that is exiting.
    Held,
    /// There is no life file: no server is alive, or the file was removed and its server has not made it again.
    Absent,
    /// It cannot be opened, or the file system has no locks.
    CannotTell,
}

impl Tried {
    /// Returns what this means if the lock is the point lock.
    pub const fn means(self) -> Means {
        match self {
            Tried::Locked => Means::Held,
            Tried::Busy | Tried::Elsewhere => Means::Later,
            Tried::Absent => Means::NoPoint,
            Tried::Failed => Means::LocalError,
        }
    }

    /// Returns what this means if the lock is the lifetime lock, taken shared and released at once. If the file was
    /// replaced meanwhile, the state of the new file's lock is unknown; *held* is the answer that proves nothing.
    pub const fn lifetime(self) -> Lifetime {
        match self {
            Tried::Locked => Lifetime::Free,
            Tried::Busy | Tried::Elsewhere => Lifetime::Held,
            Tried::Absent => Lifetime::Absent,
            Tried::Failed => Lifetime::CannotTell,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_counts_only_on_the_file_to_which_the_path_leads() {
        for (tried, means, lifetime) in [
            (Tried::Locked, Means::Held, Lifetime::Free),
            (Tried::Busy, Means::Later, Lifetime::Held),
            (Tried::Elsewhere, Means::Later, Lifetime::Held),
            (Tried::Absent, Means::NoPoint, Lifetime::Absent),
            (Tried::Failed, Means::LocalError, Lifetime::CannotTell),
        ] {
            assert_eq!((tried.means(), tried.lifetime()), (means, lifetime), "{tried:?}");
        }
    }
}
