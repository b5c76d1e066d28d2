//! What a try of a lock came to, and what that means.
//!
//! A lock is tried, never waited for. Only a lock of the file to which the path leads protects anything: a file that was
//! removed or replaced can be locked, too, and its lock keeps nobody out.

use super::connect::Lifetime;

/// What one try of a lock came to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tried {
    /// It is held now, and the path leads to the file that is locked.
    Locked,
    /// Somebody else holds it.
    Busy,
    /// The file was locked, and given back: the path leads to another file by now, or to none.
    Elsewhere,
    /// There is no file, and none was to be created.
    Absent,
    /// It could not be tried. The driver has the error.
    Failed,
}

/// What a try of the point lock means to a client and to a server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Means {
    /// The point may be read and written.
    Held,
    /// Try again later.
    Later,
    /// There is no point. Whoever creates the file tries again.
    NoPoint,
    /// Our own trouble: it says nothing about anybody else.
    Trouble,
}

impl Tried {
    /// Returns what this means where the lock is the point lock.
    pub const fn means(self) -> Means {
        match self {
            Tried::Locked => Means::Held,
            Tried::Busy | Tried::Elsewhere => Means::Later,
            Tried::Absent => Means::NoPoint,
            Tried::Failed => Means::Trouble,
        }
    }

    /// Returns what this means where the lock is the lifetime lock, shared and given back at once. A file that was replaced
    /// meanwhile says nothing about the new one, and *held* is the answer that proves nothing.
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
    fn only_a_lock_of_the_file_to_which_the_path_leads_is_held_or_free() {
        for (tried, means, lifetime) in [
            (Tried::Locked, Means::Held, Lifetime::Free),
            (Tried::Busy, Means::Later, Lifetime::Held),
            (Tried::Elsewhere, Means::Later, Lifetime::Held),
            (Tried::Absent, Means::NoPoint, Lifetime::Absent),
            (Tried::Failed, Means::Trouble, Lifetime::CannotTell),
        ] {
            assert_eq!((tried.means(), tried.lifetime()), (means, lifetime), "{tried:?}");
        }
    }
}
