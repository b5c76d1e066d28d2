//! The life file and the lifetime lock, which says that a server is alive.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use super::point::Guard;
use crate::driver::os::file::{self, File, Mode};
use crate::driver::os::lock::{self, Hold, LockedFile};
use crate::driver::os::{cleaner, clock, process};
use crate::error::Error;
use crate::proto::connect::Lifetime;
use crate::proto::life::Drains;
use crate::proto::lock::Tried;
use crate::proto::serve::LifeFile;

/// Probes the lifetime lock by a shared try that is released at once. The caller must hold the point lock.
///
/// An answer `CannotTell` comes with the reason.
pub(crate) fn probe(_point: &Guard, path: &Path) -> (Lifetime, Option<Error>) {
    match lock::try_lock(path, Mode::Read, Hold::Shared) {
        Ok(locked) => (locked.tried().lifetime(), None),
        Err(error) => (Tried::Failed.lifetime(), Some(error)),
    }
}

/// Returns what the life file says of a drain, if that is of `holder`, the process that the system reports as the holder
/// of the lock. It takes no lock. `None`: nothing is known.
pub(crate) fn drains(path: &Path, holder: Option<u32>) -> Option<Drains> {
    let mut text = Vec::new();
    file::open(path, Mode::Read).ok()??.take(TEXT_MAX).read_to_end(&mut text).ok()?;
    Drains::read(&text).filter(|drains| drains.is_of(holder, clock::since_1970().as_secs()))
}

/// More bytes than a life file has.
const TEXT_MAX: u64 = 256;

/// The lifetime lock, held by a server.
#[derive(Debug)]
pub(crate) struct Life {
    locked: LockedFile,
    /// Keeps cleaners of temporary files out of the home.
    _kept: Option<File>,
}

impl Life {
    /// Tries to take the lock. Returns `None` if another process holds it or probes it just now.
    pub(crate) fn try_claim(path: &Path) -> Result<Option<Self>, Error> {
        let locked = lock::try_lock(path, Mode::Create, Hold::Exclusive)?.locked();
        Ok(locked.map(|locked| {
            let _kept = path.parent().and_then(cleaner::keep_out);
            let mut life = Life { locked, _kept };
            // For people who look into the file; nothing is decided from it, so nothing is lost without it.
            let _ = life.sign();
            life
        }))
    }

    /// Returns the state of the life file at its path.
    pub(crate) fn file(&self) -> Result<LifeFile, Error> {
        if self.locked.is_current()? {
            return Ok(LifeFile::Mine);
        }
        let path = self.locked.path();
        let lost = match lock::try_lock(path, Mode::Read, Hold::Shared)?.tried() {
            // Where there is no directory, there is no place for it.
            Tried::Absent => path.parent().is_some_and(file::is_gone),
            tried => tried == Tried::Busy,
        };
        Ok(if lost { LifeFile::Lost } else { LifeFile::Unheld })
    }

    /// Creates the life file again and locks it, unless another process has. It then releases the old lock.
    pub(crate) fn reclaim(&mut self) -> Result<LifeFile, Error> {
        match Life::try_claim(self.locked.path())? {
            Some(life) => *self = life,
            // It may have been put back meanwhile.
            None => return self.file(),
        }
        Ok(LifeFile::Mine)
    }

    /// Writes until when the server drains at most. Without room for that, clients are not told, and nothing else happens.
    pub(crate) fn sign_drain(&mut self, drain: Duration) {
        let until = clock::since_1970().saturating_add(drain).as_secs();
        let _ = self.locked.file().write_all(&Drains { pid: process::id(), until }.line());
    }

    /// Leaves the lock to the process: it is released when that ends, and not before.
    pub(crate) fn keep_until_exit(self) {
        std::mem::forget(self);
    }

    /// Writes over the text of the last holder. It cuts off the rest of it first, and does not empty the file: that would
    /// take longer, and ext4 would write the file to the disk when a client closes it, which waits for this server.
    fn sign(&mut self) -> std::io::Result<()> {
        let text = format!("pid {}, locked at {} seconds since 1970\n", process::id(), clock::since_1970().as_secs());
        let (file, len) = (self.locked.file(), text.len() as u64);
        if file.metadata()?.len() > len {
            file.set_len(len)?;
        }
        file.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_file_says_who_drains_until_it_is_claimed_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("life");
        let us = std::process::id();
        assert_eq!(drains(&path, None), None, "there is none");
        let mut life = Life::try_claim(&path).unwrap().expect("it is free");
        assert_eq!(drains(&path, Some(us)), None, "it serves");
        let begun = clock::since_1970().as_secs();
        life.sign_drain(Duration::from_secs(3600));
        let said = drains(&path, Some(us)).expect("it drains");
        assert!(said.pid == us && (begun + 3600..begun + 3700).contains(&said.until), "{said:?}");
        assert_eq!(drains(&path, None), Some(said), "the system does not report the holder");
        assert_eq!(drains(&path, Some(us + 1)), None, "another process has a share in the lock");
        drop(life);
        let _life = Life::try_claim(&path).unwrap().expect("it is free");
        assert_eq!(drains(&path, Some(us)), None, "its successor serves");
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1, "the rest is cut off");
    }

    #[test]
    fn a_lock_that_is_left_to_the_process_is_not_released_before() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("life");
        Life::try_claim(&path).unwrap().expect("it is free").keep_until_exit();
        assert!(Life::try_claim(&path).unwrap().is_none(), "this process is still there");
    }
}
