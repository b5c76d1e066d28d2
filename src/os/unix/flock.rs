//! `flock` on an open file.

use std::io;

use super::super::lock::Hold;
use super::file::File;

/// Tries to lock an open file, once. `false`: another holder has the lock.
pub(crate) fn try_lock(file: &File, hold: Hold) -> io::Result<bool> {
    let tried = match hold {
        Hold::Shared => fs2::FileExt::try_lock_shared(file),
        Hold::Exclusive => fs2::FileExt::try_lock_exclusive(file),
    };
    match tried {
        Err(error) if is_contended(&error) => Ok(false),
        tried => tried.map(|()| true),
    }
}

/// Returns whether an attempt to lock failed because another holder has the lock.
fn is_contended(error: &io::Error) -> bool {
    error.kind() == fs2::lock_contended_error().kind() || error.kind() == io::ErrorKind::Interrupted
}

/// Unlocks an open file.
pub(crate) fn unlock(file: &File) {
    let _ = fs2::FileExt::unlock(file);
}
