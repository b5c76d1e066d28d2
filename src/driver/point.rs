//! The point: a file, what is in it, and its lock.
//!
//! The lock is tried, never waited for: a thread that waits cannot be called back, and would get the lock
//! after its owner is gone. It is released by an explicit unlock, for a fork may hold a copy of the file.
//! All of it is inline in the caller's task: a few system calls on at most 1 KiB, while a hop to a
//! blocking thread costs more than they do and could not be cancelled.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroize;

use super::os::file::{self, FileId, Mode};
use super::os::process;
use crate::error::Error;
use crate::proto::record::{Found, Line, Record};

/// What the point holds. Takes no lock, creates nothing, reads a bounded amount.
pub(crate) fn read(path: &Path) -> Result<Found, Error> {
    Ok(read_as(path, Found::read)?.unwrap_or(Found::Absent))
}

/// The same, in another dialect; `None` where there is no file.
pub(crate) fn read_as<F>(path: &Path, read: fn(&[u8]) -> F) -> Result<Option<F>, Error> {
    file::open(path, Mode::Read)?.map(|mut file| found(path, &mut file, read)).transpose()
}

fn found<F>(path: &Path, file: &mut File, read: fn(&[u8]) -> F) -> Result<F, Error> {
    let mut bytes = [0; Record::MAX + 1];
    let mut len = 0;
    // A regular file gives all it has at once; the second read is for a file that is written meanwhile,
    // and then what was read is malformed, if it is.
    while len == 0 {
        match file.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => len = read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::file(path, error)),
        }
    }
    let found = read(&bytes[..len]);
    bytes.zeroize();
    Ok(found)
}

/// Tries the point lock, creating the file where there is none and `create` says so.
///
/// `None`: somebody else holds it, the path leads to another file by now, or there is no file.
pub(crate) fn try_lock(path: &Path, create: bool) -> Result<Option<Guard>, Error> {
    let try_exclusive = fs2::FileExt::try_lock_exclusive;
    if create {
        return try_lock_as(path, Mode::Create, try_exclusive);
    }
    match try_lock_as(path, Mode::Lock, try_exclusive) {
        // A look changes nothing, so it works where nothing can be written: it shares the lock with other looks, and keeps
        // out whatever would change the point.
        Err(Error::File { source, .. }) if cannot_be_written(&source) => {
            try_lock_as(path, Mode::Read, fs2::FileExt::try_lock_shared)
        }
        locked => locked,
    }
}

fn cannot_be_written(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn try_lock_as(path: &Path, mode: Mode, try_lock: fn(&File) -> io::Result<()>) -> Result<Option<Guard>, Error> {
    let Some(file) = file::open(path, mode)? else { return Ok(None) };
    match try_lock(&file) {
        Ok(()) => {
            let guard = Guard { path: path.to_owned(), file };
            Ok(guard.leads_here()?.then_some(guard))
        }
        Err(error) if is_contended(&error) => Ok(None),
        Err(error) => Err(Error::file(path, error)),
    }
}

/// Leaves a record, and a life file beside it, as a server that is gone would have: under the point lock, and in a home
/// that may have to be made.
pub(crate) fn leave_record(path: &Path, life: &Path, record: &Record) -> Result<(), Error> {
    match try_lock_at_home(path, path.parent().unwrap_or(path))? {
        Some(mut point) => {
            file::open(life, Mode::Create)?;
            point.clear()?;
            point.write(record)
        }
        None => Err(Error::file(path, io::ErrorKind::WouldBlock.into())),
    }
}

/// As [`try_lock`], creating the home where there is none.
pub(crate) fn try_lock_at_home(path: &Path, home: &Path) -> Result<Option<Guard>, Error> {
    match try_lock(path, true) {
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            file::create_home(home)?;
            try_lock(path, true)
        }
        other => other,
    }
}

/// Whether a try of a lock failed because somebody else holds it.
pub(crate) fn is_contended(error: &io::Error) -> bool {
    error.kind() == fs2::lock_contended_error().kind() || error.kind() == io::ErrorKind::Interrupted
}

/// The point lock. Whoever has it may change the point.
#[derive(Debug)]
pub(crate) struct Guard {
    path: PathBuf,
    file: File,
}

impl Guard {
    /// Whether the point's path leads to the file that is locked.
    pub(crate) fn leads_here(&self) -> Result<bool, Error> {
        file::leads_to(&self.path, &self.file).map_err(|error| Error::file(&self.path, error))
    }

    /// Which file it is.
    pub(crate) fn id(&self) -> Option<FileId> {
        FileId::of(&self.file).ok()
    }

    /// What the point holds.
    pub(crate) fn found(&mut self) -> Result<Found, Error> {
        self.found_as(Found::read)
    }

    /// The same, in another dialect.
    pub(crate) fn found_as<F>(&mut self, read: fn(&[u8]) -> F) -> Result<F, Error> {
        self.rewind()?;
        found(&self.path, &mut self.file, read)
    }

    /// Withdraws whatever the point holds.
    pub(crate) fn clear(&mut self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|error| Error::file(&self.path, error))
    }

    /// Writes a record into the empty point. If not all of it can be written, nothing of it stays.
    pub(crate) fn write(&mut self, record: &Record) -> Result<(), Error> {
        let mut line = Line::new();
        record.write(&mut line);
        self.write_line(&line)
    }

    /// The same, in another dialect.
    pub(crate) fn write_line(&mut self, line: &Line) -> Result<(), Error> {
        process::may_write().map_err(|error| Error::file(&self.path, error))?;
        self.rewind()?;
        let written = match self.file.write(line) {
            Ok(len) if len == line.len() => return Ok(()),
            Ok(_) => io::Error::new(io::ErrorKind::StorageFull, "the record did not fit"),
            Err(error) => error,
        };
        self.clear()?;
        Err(Error::file(&self.path, written))
    }

    fn rewind(&mut self) -> Result<(), Error> {
        self.file.seek(SeekFrom::Start(0)).map(drop).map_err(|error| Error::file(&self.path, error))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = fs2::FileExt::unlock(&self.file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shares_the_lock_keeps_out_who_would_change_the_point_and_not_who_looks() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("point");
        let look = || try_lock_as(&path, Mode::Read, fs2::FileExt::try_lock_shared).unwrap();
        assert!(look().is_none() && !path.exists(), "nothing is made just to be locked");
        let changes = try_lock(&path, true).unwrap().expect("nobody has it");
        assert!(look().is_none(), "somebody may be changing it");
        drop(changes);
        let looks = (look().expect("nobody has it"), look().expect("nobody is disturbed"));
        assert!(try_lock(&path, true).unwrap().is_none() && try_lock(&path, false).unwrap().is_none());
        drop(looks);
        assert!(try_lock(&path, false).unwrap().is_some());
    }
}
