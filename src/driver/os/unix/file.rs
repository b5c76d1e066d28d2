//! Files that only their owner may touch: the point, the life file, the log.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::Error;

/// How to open a private file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// To read it. It has to be there.
    Read,
    /// To lock and write it; created empty where there is none.
    Create,
    /// To add to its end; created empty where there is none.
    Append,
}

/// Opens a private file, or answers `None` where there is none and none is to be created.
///
/// Never follows a symbolic link, never waits for the other end of a FIFO, and refuses what is no
/// regular file, what is another user's and what others may read or write.
pub(crate) fn open(path: &Path, mode: Mode) -> Result<Option<File>, Error> {
    let created = matches!(mode, Mode::Create | Mode::Append);
    let opened = OpenOptions::new()
        .read(mode != Mode::Append)
        .write(mode == Mode::Create)
        .append(mode == Mode::Append)
        .create(created)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path);
    match opened {
        Ok(file) => {
            let metadata = file.metadata().map_err(|error| Error::file(path, error))?;
            vouch(path, &metadata)?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !created => Ok(None),
        Err(error) => Err(match Errno::from_io_error(&error) {
            Some(Errno::LOOP) => Error::untrusted(path, "a symbolic link", "remove it"),
            Some(Errno::ISDIR) => Error::untrusted(path, "a directory", "remove it"),
            Some(Errno::NXIO) => Error::untrusted(path, "a socket or a device", "remove it"),
            _ => Error::file(path, error),
        }),
    }
}

fn vouch(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    if metadata.is_dir() {
        return Err(Error::untrusted(path, "a directory", "remove it"));
    }
    if !metadata.is_file() {
        return Err(Error::untrusted(path, "no regular file", "remove it"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::untrusted(path, "another user's file", "use a home of your own"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::untrusted(path, "a file that others may use", "chmod 600 it, or remove it"));
    }
    Ok(())
}

/// Whether `path` leads to the file that is open as `file`.
///
/// That it leads nowhere is a *no*; that it cannot be followed just now is an error.
pub(crate) fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let here = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (here.dev(), here.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Creates a directory for its owner alone, with what leads to it.
pub(crate) fn create_home(home: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(home).map_err(|error| Error::file(home, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_nowhere_is_a_no_and_one_that_cannot_be_followed_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("point");
        let file = open(&path, Mode::Create).unwrap().unwrap();
        assert!(leads_to(&path, &file).unwrap());
        std::fs::rename(&path, home.path().join("elsewhere")).unwrap();
        assert!(!leads_to(&path, &file).unwrap());
        open(&path, Mode::Create).unwrap();
        assert!(!leads_to(&path, &file).unwrap(), "another file by the same name");
        leads_to(&path.join("below"), &file).expect_err("a file is no directory");
    }
}
