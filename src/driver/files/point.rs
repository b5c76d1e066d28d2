//! The point: a file, what is in it, and its lock.
//!
//! The lock is tried, never waited for: a thread that waits cannot be called back, and would get the lock
//! after its owner is gone. It is released by an explicit unlock, for a fork may hold a copy of the file.
//! All of it is inline in the caller's task: a few system calls on at most 1 KiB, while a hop to a
//! blocking thread costs more than they do and could not be cancelled.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use zeroize::Zeroize;

use crate::driver::effects;
use crate::driver::os::file::{self, File, FileId, Mode};
use crate::driver::os::lock::{self, Hold, LockedFile, TryLock};
use crate::driver::os::process;
use crate::error::Error;
use crate::proto::record::{Found, Line, Record};

/// Reads what the point holds. It takes no lock, creates no file and reads a bounded amount.
pub(crate) fn read(path: &Path) -> Result<Found, Error> {
    Ok(read_as(path, Found::read)?.unwrap_or(Found::Absent))
}

/// The same, in another dialect; `None` where there is no file.
pub(crate) fn read_as<F>(path: &Path, read: fn(&[u8]) -> F) -> Result<Option<F>, Error> {
    let read = |mut file| found(&mut file, read).map_err(|error| Error::file(path, error));
    file::open(path, Mode::Read)?.map(read).transpose()
}

fn found<F>(file: &mut File, read: fn(&[u8]) -> F) -> io::Result<F> {
    let mut bytes = [0; Record::MAX + 1];
    let mut len = 0;
    // A regular file gives all it has at once; the second read is for a file that is written meanwhile,
    // and then what was read is malformed, if it is.
    while len == 0 {
        match file.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => len = read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let found = read(&bytes[..len]);
    bytes.zeroize();
    Ok(found)
}

/// Tries the point lock, creating the file where there is none.
pub(crate) fn try_lock(path: &Path) -> Result<TryLock<Guard>, Error> {
    Ok(lock::try_lock(path, Mode::Create, Hold::Exclusive)?.map(Guard))
}

/// Tries the point lock for an inspection. Creates nothing.
pub(crate) fn try_lock_to_look(path: &Path) -> Result<TryLock<Guard>, Error> {
    let locked = match lock::try_lock(path, Mode::Lock, Hold::Exclusive) {
        // A look changes nothing, so it works where nothing can be written: it shares the lock with other looks, and
        // keeps out whatever would change the point.
        Err(Error::File { source, .. }) if cannot_be_written(&source) => lock::try_lock(path, Mode::Read, Hold::Shared),
        locked => locked,
    };
    Ok(locked?.map(Guard))
}

fn cannot_be_written(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Leaves a record, and a life file beside it, as a server that is gone would have: under the point lock, and in a home
/// that may have to be made.
#[cfg(feature = "test-util")]
pub(crate) fn leave_record(path: &Path, life: &Path, record: &Record) -> Result<(), Error> {
    match try_lock_at_home(path, path.parent().unwrap_or(path))?.locked() {
        Some(mut point) => {
            file::open(life, Mode::Create)?;
            point.clear()?;
            point.write(record)
        }
        None => Err(Error::file(path, io::ErrorKind::WouldBlock.into())),
    }
}

/// Tries the point lock as [`try_lock`] does, and creates the home where there is none.
pub(crate) fn try_lock_at_home(path: &Path, home: &Path) -> Result<TryLock<Guard>, Error> {
    match try_lock(path) {
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            file::create_home(home)?;
            try_lock(path)
        }
        other => other,
    }
}

/// Tries the point lock for a client. With `creates`, it creates a missing file and a missing home.
pub(crate) fn try_lock_for(path: &Path, home: &Path, creates: bool) -> Result<TryLock<Guard>, Error> {
    match creates {
        true => try_lock_at_home(path, home),
        false => try_lock_to_look(path),
    }
}

/// The point lock. Its holder may change the point.
#[derive(Debug)]
pub(crate) struct Guard(LockedFile);

impl Guard {
    /// Returns whether the point's path leads to the file that is locked.
    pub(crate) fn is_current(&self) -> Result<bool, Error> {
        self.0.is_current()
    }

    /// Returns the identity of the locked file.
    pub(crate) fn id(&self) -> Option<FileId> {
        self.0.id()
    }

    /// Reads what the point holds.
    pub(crate) fn found(&mut self) -> Result<Found, Error> {
        self.found_as(Found::read)
    }

    /// The same, in another dialect.
    pub(crate) fn found_as<F>(&mut self, read: fn(&[u8]) -> F) -> Result<F, Error> {
        self.rewind()?;
        found(self.0.file(), read).map_err(|error| self.error(error))
    }

    /// Withdraws whatever the point holds.
    pub(crate) fn clear(&mut self) -> Result<(), Error> {
        self.0.empty().map_err(|error| self.error(error))
    }

    /// Writes a record into the empty point. If not all of it can be written, nothing of it stays.
    pub(crate) fn write(&mut self, record: &Record) -> Result<(), Error> {
        let mut line = Line::new();
        record.write(&mut line);
        self.write_line(&line)
    }

    /// The same, in another dialect.
    pub(crate) fn write_line(&mut self, line: &Line) -> Result<(), Error> {
        process::may_grow_to(1).map_err(|error| self.error(error))?;
        self.rewind()?;
        let written = match self.0.file().write(line) {
            Ok(len) if len == line.len() => return Ok(()),
            Ok(_) => io::Error::new(io::ErrorKind::StorageFull, "the record did not fit"),
            Err(error) => error,
        };
        self.clear()?;
        Err(self.error(written))
    }

    fn rewind(&mut self) -> Result<(), Error> {
        self.0.file().seek(SeekFrom::Start(0)).map(drop).map_err(|error| self.error(error))
    }

    fn error(&self, error: io::Error) -> Error {
        Error::file(self.0.path(), error)
    }
}

impl effects::Point for Guard {
    fn read<F>(&mut self, read: fn(&[u8]) -> F) -> Result<F, Error> {
        self.found_as(read)
    }

    fn is_current(&self) -> Result<bool, Error> {
        Guard::is_current(self)
    }

    fn clear(&mut self) -> Result<(), Error> {
        Guard::clear(self)
    }

    fn write(&mut self, line: &Line) -> Result<(), Error> {
        self.write_line(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::lock::Tried;

    #[test]
    fn a_look_creates_no_point_and_excludes_its_writers() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("point");
        let look = || try_lock_to_look(&path).unwrap();
        assert_eq!(look().tried(), Tried::Absent);
        assert!(!path.exists(), "nothing is made just to be locked");
        let changes = try_lock(&path).unwrap().locked().expect("the lock is free");
        assert_eq!(look().tried(), Tried::Busy, "another process may be changing it");
        drop(changes);
        let look = look().locked().expect("the lock is free");
        assert_eq!(try_lock(&path).unwrap().tried(), Tried::Busy);
        drop(look);
        assert_eq!(try_lock(&path).unwrap().tried(), Tried::Locked);
    }

    /// A locked point in a directory of its own, which has this in it.
    fn locked(bytes: &[u8]) -> (tempfile::TempDir, Guard) {
        let home = tempfile::tempdir().unwrap();
        let mut point = try_lock(&home.path().join("point")).unwrap().locked().expect("the lock is free");
        point.0.file().write_all(bytes).unwrap();
        (home, point)
    }

    #[test]
    fn a_locked_point_is_read_from_its_beginning_each_time() {
        let (_home, mut point) = locked(b"what is no record");
        for _ in 0..2 {
            assert_eq!(point.found_as(<[u8]>::len).unwrap(), "what is no record".len());
            assert_eq!(effects::Point::read(&mut point, <[u8]>::len).unwrap(), "what is no record".len());
        }
    }

    #[test]
    fn a_locked_point_knows_whether_its_path_leads_to_it() {
        let (home, point) = locked(b"");
        assert!(point.is_current().unwrap());
        assert!(effects::Point::is_current(&point).unwrap());
        std::fs::rename(home.path().join("point"), home.path().join("old")).unwrap();
        assert!(!point.is_current().unwrap());
        assert!(!effects::Point::is_current(&point).unwrap());
    }

    #[test]
    fn a_client_that_clears_the_point_empties_it() {
        let (home, mut point) = locked(b"what is no record");
        effects::Point::clear(&mut point).unwrap();
        assert_eq!(std::fs::read(home.path().join("point")).unwrap(), b"");
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let mut directory = File::open(home.path()).unwrap();
        assert_eq!(found(&mut directory, <[u8]>::len).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_record_that_is_left_takes_the_place_of_all_that_was_there() {
        let (home, point) = locked(&[b'x'; Record::MAX]);
        drop(point);
        let (path, record) = (home.path().join("point"), crate::proto::record::tests::sample());
        leave_record(&path, &home.path().join("life"), &record).unwrap();
        assert_eq!(read(&path).unwrap(), Found::Record(record));
    }
}
