//! Locks of whole files by `flock`. They are advisory, so a file can be read while it is locked.

use std::io;
use std::path::{Path, PathBuf};

use super::super::lock::{Hold, TryLock};
use super::file::{self, File, FileId, Mode};
use super::flock;
use crate::error::Error;

/// Opens a private file and tries to lock it, once. On other systems the two are one call.
pub(crate) fn try_lock(path: &Path, mode: Mode, hold: Hold) -> Result<TryLock<LockedFile>, Error> {
    match file::open(path, mode)? {
        Some(file) => lock(path, file, hold),
        None => Ok(TryLock::Absent),
    }
}

/// Tries to lock an open file.
fn lock(path: &Path, file: File, hold: Hold) -> Result<TryLock<LockedFile>, Error> {
    match flock::try_lock(&file, hold) {
        Ok(true) => {
            let locked = LockedFile { path: path.to_owned(), file };
            Ok(if locked.is_current()? { TryLock::Locked(locked) } else { TryLock::Elsewhere })
        }
        Ok(false) => Ok(TryLock::Busy),
        Err(error) => Err(Error::file(path, error)),
    }
}

/// A locked file. Dropping it unlocks the file explicitly, because a fork may hold a copy of the descriptor.
#[derive(Debug)]
pub(crate) struct LockedFile {
    path: PathBuf,
    file: File,
}

impl LockedFile {
    /// Returns the path by which the file was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file, to be read and written under the lock.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Empties the file.
    pub(crate) fn empty(&self) -> io::Result<()> {
        file::empty(&self.path, &self.file)
    }

    /// Returns the identity of the file.
    pub(crate) fn id(&self) -> Option<FileId> {
        FileId::of(&self.file).ok()
    }

    /// Returns whether the path still leads to this file.
    pub(crate) fn is_current(&self) -> Result<bool, Error> {
        leads_to(&self.path, &self.file).map_err(|error| Error::file(&self.path, error))
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        flock::unlock(&self.file);
    }
}

/// Returns whether `path` leads to the file that is open as `file`.
///
/// A path that leads to no file is a *no*; a path that cannot be looked up is an error.
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let here = FileId::of(file)?;
    match FileId::at(path) {
        Ok(there) => Ok(there == here),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::lock::Tried;

    fn tried(path: &Path, mode: Mode, hold: Hold) -> Tried {
        try_lock(path, mode, hold).unwrap().tried()
    }

    #[test]
    fn a_shared_lock_excludes_an_exclusive_one_and_no_other_shared_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("point");
        assert_eq!(tried(&path, Mode::Read, Hold::Shared), Tried::Absent);
        assert_eq!(tried(&path, Mode::Lock, Hold::Exclusive), Tried::Absent);
        assert!(!path.exists(), "no file is created just to be locked");
        let exclusive = try_lock(&path, Mode::Create, Hold::Exclusive).unwrap().locked().expect("the lock is free");
        assert_eq!(tried(&path, Mode::Read, Hold::Shared), Tried::Busy);
        assert_eq!(tried(&path, Mode::Create, Hold::Exclusive), Tried::Busy);
        drop(exclusive);
        let shared =
            try_lock(&path, Mode::Read, Hold::Shared).unwrap().locked().expect("the exclusive lock was released");
        assert_eq!(tried(&path, Mode::Read, Hold::Shared), Tried::Locked);
        assert_eq!(tried(&path, Mode::Lock, Hold::Exclusive), Tried::Busy);
        drop(shared);
        assert_eq!(tried(&path, Mode::Lock, Hold::Exclusive), Tried::Locked);
    }

    #[test]
    fn a_lock_is_released_if_the_path_leads_to_another_file() {
        let home = tempfile::tempdir().unwrap();
        let (path, old) = (home.path().join("point"), home.path().join("old"));
        let opened = |path| file::open(path, Mode::Create).unwrap().unwrap();
        for replaced in [false, true] {
            let first = opened(&path);
            std::fs::rename(&path, &old).unwrap();
            if replaced {
                opened(&path);
            }
            for hold in [Hold::Exclusive, Hold::Shared] {
                let tried = lock(&path, first.try_clone().unwrap(), hold).unwrap().tried();
                assert_eq!(tried, Tried::Elsewhere, "replaced: {replaced}, {hold:?}");
            }
            assert_eq!(tried(&old, Mode::Lock, Hold::Exclusive), Tried::Locked, "the lock was released");
        }
        let locked = try_lock(&path, Mode::Create, Hold::Exclusive).unwrap().locked().unwrap();
        assert!(locked.is_current().unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(!locked.is_current().unwrap(), "the file was removed while it was locked");
    }

    #[test]
    fn a_path_may_lead_elsewhere_and_a_path_below_a_file_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("point");
        let locked = file::open(&path, Mode::Create).unwrap().unwrap();
        assert!(leads_to(&path, &locked).unwrap());
        std::fs::rename(&path, home.path().join("elsewhere")).unwrap();
        assert!(!leads_to(&path, &locked).unwrap());
        file::open(&path, Mode::Create).unwrap();
        assert!(!leads_to(&path, &locked).unwrap(), "another file has the same name");
        leads_to(&path.join("below"), &locked).expect_err("a file is no directory");
    }
}
