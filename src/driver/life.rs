//! The life file and the lifetime lock, which says that a server is alive.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::os::cleaner;
use super::os::file::{self, Mode};
use super::point::{Guard, is_contended};
use crate::error::Error;
use crate::proto::connect::Lifetime;
use crate::proto::serve::LifeFile;

/// Asks the lifetime lock: a shared try that is given back at once. Only who holds the point lock may ask.
///
/// An answer *cannot tell* comes with the reason.
pub(crate) fn probe(_point: &Guard, path: &Path) -> (Lifetime, Option<Error>) {
    match file::open(path, Mode::Read).and_then(|file| file.map(|file| is_held(path, &file)).transpose()) {
        Ok(None) => (Lifetime::Absent, None),
        Ok(Some(false)) => (Lifetime::Free, None),
        Ok(Some(true)) => (Lifetime::Held, None),
        Err(error) => (Lifetime::CannotTell, Some(error)),
    }
}

/// Whether somebody has locked a life file.
fn is_held(path: &Path, file: &File) -> Result<bool, Error> {
    match fs2::FileExt::try_lock_shared(file) {
        Ok(()) => {
            let _ = fs2::FileExt::unlock(file);
            Ok(false)
        }
        Err(error) if is_contended(&error) => Ok(true),
        Err(error) => Err(Error::file(path, error)),
    }
}

/// The lifetime lock, held by a server.
#[derive(Debug)]
pub(crate) struct Life {
    path: PathBuf,
    file: File,
    /// Keeps cleaners of temporary files out of the home.
    _kept: Option<File>,
}

impl Life {
    /// Tries to take it. `None`: somebody else holds it, or asks it just now.
    pub(crate) fn try_claim(path: &Path) -> Result<Option<Self>, Error> {
        let Some(file) = file::open(path, Mode::Create)? else { return Ok(None) };
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => {
                let _kept = path.parent().and_then(cleaner::keep_out);
                let mut life = Life { path: path.to_owned(), file, _kept };
                if !life.is_mine()? {
                    return Ok(None);
                }
                // For people who look into the file; nothing is decided from it, so nothing is lost without it.
                let _ = life.sign();
                Ok(Some(life))
            }
            Err(error) if is_contended(&error) => Ok(None),
            Err(error) => Err(Error::file(path, error)),
        }
    }

    /// What is at the life file's path by now.
    pub(crate) fn file(&self) -> Result<LifeFile, Error> {
        if self.is_mine()? {
            return Ok(LifeFile::Mine);
        }
        let lost = match file::open(&self.path, Mode::Read)? {
            Some(file) => is_held(&self.path, &file)?,
            // Where there is no directory, there is no place for it.
            None => self.path.parent().is_some_and(file::is_gone),
        };
        Ok(if lost { LifeFile::Lost } else { LifeFile::Unheld })
    }

    /// Makes the life file again, and locks it, where nobody else has. What was locked until now is let go.
    pub(crate) fn reclaim(&mut self) -> Result<LifeFile, Error> {
        match Life::try_claim(&self.path)? {
            Some(life) => *self = life,
            // It may have been put back meanwhile.
            None => return self.file(),
        }
        Ok(LifeFile::Mine)
    }

    /// Whether the life file's path still leads to the file that is locked.
    fn is_mine(&self) -> Result<bool, Error> {
        file::leads_to(&self.path, &self.file).map_err(|error| Error::file(&self.path, error))
    }

    /// Leaves the lock to the process: it is released when that ends, and not before.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }

    fn sign(&mut self) -> std::io::Result<()> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.file.set_len(0)?;
        let text = format!("pid {}, locked at {} seconds since 1970\n", std::process::id(), since.as_secs());
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = fs2::FileExt::unlock(&self.file);
    }
}
