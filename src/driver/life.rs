//! The life file and the lifetime lock, which says that a server is alive.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::os::file::{self, Mode};
use super::point::{Guard, is_contended};
use crate::error::Error;
use crate::proto::connect::Lifetime;

/// Asks the lifetime lock: a shared try that is given back at once. Only who holds the point lock may ask.
///
/// An answer *cannot tell* comes with the reason.
pub(crate) fn probe(_point: &Guard, path: &Path) -> (Lifetime, Option<Error>) {
    let file = match file::open(path, Mode::Read) {
        Ok(Some(file)) => file,
        Ok(None) => return (Lifetime::Free, None),
        Err(error) => return (Lifetime::CannotTell, Some(error)),
    };
    match fs2::FileExt::try_lock_shared(&file) {
        Ok(()) => {
            let _ = fs2::FileExt::unlock(&file);
            (Lifetime::Free, None)
        }
        Err(error) if is_contended(&error) => (Lifetime::Held, None),
        Err(error) => (Lifetime::CannotTell, Some(Error::file(path, error))),
    }
}

/// The lifetime lock, held by a server.
#[derive(Debug)]
pub(crate) struct Life {
    path: PathBuf,
    file: File,
}

impl Life {
    /// Tries to take it. `None`: somebody else holds it, or asks it just now.
    pub(crate) fn try_claim(path: &Path) -> Result<Option<Self>, Error> {
        let Some(file) = file::open(path, Mode::Create)? else { return Ok(None) };
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => {
                let mut life = Life { path: path.to_owned(), file };
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

    /// Whether the life file's path still leads to the file that is locked.
    pub(crate) fn is_mine(&self) -> Result<bool, Error> {
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
