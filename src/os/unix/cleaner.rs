//! Protects a server's files from cleaners of temporary files.
//!
//! systemd-tmpfiles and similar programs remove files that were not used for days. A server reads its point, but it
//! only holds the lock of its life file, and connections do not count as a use of its socket.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};

/// The age from which a file is marked as used. Cleaners are configured to remove files of a day at the earliest.
const AGED: Duration = Duration::from_secs(60 * 60);
/// Directories that cleaners clean whatever `TMPDIR` is.
const CLEANED: [&str; 2] = ["/tmp", "/var/tmp"];

/// Marks a file, a directory or a socket as used if its last use is long ago. Errors are ignored: the server can do
/// nothing about them.
pub(crate) fn touch(path: &Path) {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return };
    let age = metadata.modified().ok().and_then(|used| SystemTime::now().duration_since(used).ok());
    if age.is_some_and(|age| age > AGED) {
        let _ = mark_as_used(path);
    }
}

/// Marks a file, a directory or a socket as used.
pub(crate) fn mark_as_used(path: &Path) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Takes a shared lock on a home below a cleaned directory: systemd-tmpfiles skips a locked directory and all that is
/// in it. Returns `None` if the home is not below a cleaned directory, is not private, or cannot be locked.
pub(crate) fn keep_out(home: &Path) -> Option<File> {
    let cleaned = CLEANED.iter().any(|above| home.starts_with(above)) || home.starts_with(std::env::temp_dir());
    let metadata = home.symlink_metadata().ok().filter(|_| cleaned)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = ours.then(|| rustix::fs::open(home, flags, Mode::empty()).ok()).flatten()?;
    rustix::fs::flock(&directory, FlockOperation::NonBlockingLockShared).ok()?;
    Some(directory.into())
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;

    use super::*;

    #[test]
    fn only_an_aged_file_is_marked_as_used() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("life");
        let file = File::create(&path).unwrap();
        for (age, touched) in [(2 * AGED, true), (AGED / 2, false)] {
            let used = SystemTime::now() - age;
            file.set_times(FileTimes::new().set_accessed(used).set_modified(used)).unwrap();
            touch(&path);
            assert_eq!(path.metadata().unwrap().modified().unwrap() > used, touched, "{age:?}");
        }
        touch(&home.path().join("nothing"));
    }

    #[test]
    fn only_a_home_of_ours_is_locked_against_cleaners() {
        let home = super::super::file::create_temporary("home").unwrap();
        let held = keep_out(home.path()).expect("it is below the directory of temporary files");
        let also = keep_out(home.path()).expect("another server of the same home");
        let cleaner = File::open(home.path()).unwrap();
        fs2::FileExt::try_lock_exclusive(&cleaner).expect_err("a cleaner passes over it");
        drop((held, also));
        fs2::FileExt::try_lock_exclusive(&cleaner).expect("no server holds the lock any more");
        assert!(keep_out(Path::new("/")).is_none() && keep_out(Path::new("/tmp")).is_none());
    }
}
