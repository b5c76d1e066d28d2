//! Private files, which only their owner may read or write: the point, the life file, the log.

pub(crate) use std::fs::File;
use std::fs::{DirBuilder, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use tempfile::{Builder, TempDir};

use crate::error::{Error, Untrusted};

/// How to open a private file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// To read an existing file, or to share its lock.
    Read,
    /// To lock an existing file exclusively. NFS allows that only on a file that is open for writing.
    Lock,
    /// To lock and write a file; an empty one is created if there is none.
    Create,
    /// To append to a file; an empty one is created if there is none.
    Append,
}

/// Opens a private file. Returns `None` if there is none and the mode does not create one.
///
/// A new file gets mode 0600 whatever the umask of this process is, because other processes of the user have to open
/// it. This never follows a symbolic link and never waits for the other end of a FIFO. It refuses a path that leads to
/// anything but a regular file, a file of another user, and a file that others may read or write. It creates no file in
/// a directory in which others may replace it.
pub(crate) fn open(path: &Path, mode: Mode) -> Result<Option<File>, Error> {
    let created = matches!(mode, Mode::Create | Mode::Append);
    if let (true, Some(directory)) = (created, path.parent()) {
        check_directory(directory)?;
    }
    let opened = OpenOptions::new()
        .read(mode != Mode::Append)
        .write(matches!(mode, Mode::Lock | Mode::Create))
        .append(mode == Mode::Append)
        .create(created)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path);
    match opened {
        Ok(file) => {
            let metadata = file.metadata().map_err(|error| Error::file(path, error))?;
            check_file(path, &metadata)?;
            if created && lacks(&metadata, 0o600) {
                // If this fails, the file keeps the mode that the umask gave it.
                let _ = file.set_permissions(Permissions::from_mode(0o600));
            }
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !created => Ok(None),
        Err(error) => {
            explain(path, &error)?;
            Err(Error::file(path, error))
        }
    }
}

/// Empties a file, if it is not empty.
///
/// ext4 begins to write a file to the disk at the first close after it was emptied, even from nothing: whoever closes it
/// next, also in another process, would take that time. So the file is left alone if it is empty, and closed once before
/// anything is written into it.
pub(crate) fn empty(path: &Path, file: &File) -> io::Result<()> {
    if file.metadata()?.len() > 0 {
        file.set_len(0)?;
        drop(open(path, Mode::Read));
    }
    Ok(())
}

/// Returns an error that names what is at a path, or whose it is, where that explains more than the error of opening
/// it.
fn explain(path: &Path, error: &io::Error) -> Result<(), Error> {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => {
            check_kind(path, &metadata)?;
            if denied { check_file_owner(path, &metadata) } else { Ok(()) }
        }
        Err(_) => match path.parent().map(|home| (home, home.metadata())) {
            Some((home, Ok(metadata))) if denied && !is_ours(&metadata) => Err(others_directory(home)),
            _ => Ok(()),
        },
    }
}

fn check_file(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    check_kind(path, metadata)?;
    check_file_owner(path, metadata)?;
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::untrusted(path, Untrusted::SharedFile));
    }
    if metadata.nlink() > 1 {
        return Err(Error::untrusted(path, Untrusted::LinkedFile));
    }
    Ok(())
}

fn check_file_owner(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    match is_ours(metadata) {
        true => Ok(()),
        false => Err(Error::untrusted(path, Untrusted::OthersFile)),
    }
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

fn others_directory(directory: &Path) -> Error {
    Error::untrusted(directory, Untrusted::OthersDirectory)
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let kind = metadata.file_type();
    let found = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_symlink() => Untrusted::SymbolicLink,
        () if kind.is_dir() => Untrusted::Directory,
        () if kind.is_fifo() => Untrusted::Fifo,
        () if kind.is_socket() => Untrusted::Socket,
        () => Untrusted::Device,
    };
    Err(Error::untrusted(path, found))
}

/// Refuses a directory in which others may replace our files. One whose metadata cannot be read passes: opening the
/// file then fails with the reason.
fn check_directory(home: &Path) -> Result<(), Error> {
    let Ok(metadata) = std::fs::metadata(home) else { return Ok(()) };
    check_directory_owner(home, &metadata)?;
    if metadata.is_dir() && metadata.mode() & 0o022 != 0 && !is_shared(&metadata) {
        return Err(Error::untrusted(home, Untrusted::SharedDirectory));
    }
    Ok(())
}

/// Refuses a directory of another user, except root's. Its owner may replace every file in it, shared or not, and files
/// that root made there would be of no use to its owner.
fn check_directory_owner(directory: &Path, metadata: &Metadata) -> Result<(), Error> {
    match metadata.uid() == 0 || is_ours(metadata) {
        true => Ok(()),
        false => Err(others_directory(directory)),
    }
}

/// Returns whether every user may create files in a directory and only a file's owner may replace it, as in `/tmp`.
fn is_shared(metadata: &Metadata) -> bool {
    metadata.mode() & 0o1002 == 0o1002
}

/// The identity of a file, whatever path leads to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Returns the identity of the file at a path, without following a symbolic link.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        std::fs::symlink_metadata(path).map(|metadata| FileId { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Returns the identity of an open file. This takes no further descriptor.
    #[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(file)?;
        Ok(FileId { device: stat.st_dev as u64, inode: stat.st_ino as u64 })
    }
}

/// Returns the length of the file at a path.
pub(crate) fn len_at(path: &Path) -> io::Result<u64> {
    Ok(path.metadata()?.len())
}

/// Returns whether a path leads to anything.
pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// Returns whether a path leads to a directory.
pub(crate) fn is_directory(path: &Path) -> bool {
    path.is_dir()
}

/// Returns whether a directory does not exist any more.
pub(crate) fn is_gone(directory: &Path) -> bool {
    matches!(directory.try_exists(), Ok(false))
}

/// Returns whether any of these mode bits is missing.
fn lacks(metadata: &Metadata, bits: u32) -> bool {
    metadata.mode() & bits != bits
}

/// Creates a directory for its owner alone, and its missing parents.
pub(crate) fn create_home(home: &Path) -> Result<(), Error> {
    if let Some((above, metadata)) = home.ancestors().find_map(|above| Some((above, above.metadata().ok()?))) {
        // In a directory like /tmp every user can use what it creates.
        if !is_shared(&metadata) {
            check_directory_owner(above, &metadata)?;
        }
    }
    let mut missing: Vec<&Path> = home.ancestors().take_while(|path| path.metadata().is_err()).collect();
    while let Some(directory) = missing.pop() {
        // The empty ancestor of a relative path is the working directory.
        if !directory.as_os_str().is_empty() {
            create_directory(directory).map_err(|error| Error::file(directory, error))?;
        }
    }
    Ok(())
}

/// Creates one directory, unless it exists by now.
fn create_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => undo_umask(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Restores the owner's permissions of a new directory where the umask removed some.
fn undo_umask(directory: &Path) -> io::Result<()> {
    match lacks(&directory.metadata()?, 0o700) {
        true => std::fs::set_permissions(directory, Permissions::from_mode(0o700)),
        false => Ok(()),
    }
}

/// Creates a temporary directory for its owner alone, which is removed when the returned value is dropped.
pub(crate) fn create_temporary(name: &str) -> Result<TempDir, Error> {
    let created = Builder::new().prefix(&format!("{name}.")).permissions(Permissions::from_mode(0o700)).tempdir();
    let directory = created.map_err(|error| Error::file(&std::env::temp_dir(), error))?;
    undo_umask(directory.path()).map_err(|error| Error::file(directory.path(), error))?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn an_error_of_a_file_names_its_remedy() {
        let error = |errno: Errno| Error::file(Path::new("/home/point"), errno.into()).to_string();
        for (errno, advice) in [
            (Errno::NOLCK, "file locks do not work there: use a home on another file system"),
            (Errno::OPNOTSUPP, "file locks do not work there: use a home on another file system"),
            (Errno::NOSPC, "make room there, or use another home"),
            (Errno::DQUOT, "make room there, or use another home"),
            (
                Errno::ROFS,
                "it cannot be written: use another home, in a container on a volume, or `Policy::Internal`, which needs none",
            ),
            (Errno::ACCESS, "give yourself the right to it, or use another home"),
            (Errno::NAMETOOLONG, "use a shorter home or a shorter name"),
            (Errno::NOTDIR, "something above it is no directory: use another home"),
            (Errno::MFILE, "this process has too many files open: close some, or raise `ulimit -n`"),
            (Errno::FBIG, "raise `ulimit -f`"),
        ] {
            let error = error(errno);
            assert_eq!(error, format!("cannot use /home/point ({advice})"));
        }
        assert_eq!(error(Errno::IO), "cannot use /home/point", "no remedy is known");
    }

    #[test]
    fn a_file_is_emptied_only_if_it_holds_something() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("point");
        let mut file = open(&path, Mode::Create).unwrap().unwrap();
        let read_only = open(&path, Mode::Read).unwrap().unwrap();
        empty(&path, &read_only).unwrap();
        file.write_all(b"record").unwrap();
        empty(&path, &read_only).expect_err("it cannot be written");
        empty(&path, &file).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
