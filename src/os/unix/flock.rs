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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    use super::*;

    #[test]
    fn a_file_that_cannot_be_locked_is_an_error_and_not_busy() {
        let home = tempfile::tempdir().unwrap();
        // A descriptor for a path alone.
        let flags = OFlags::PATH.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(home.path()).unwrap();
        for hold in [Hold::Shared, Hold::Exclusive] {
            try_lock(&file, hold).unwrap_err();
        }
    }
}
