//! Standard input, output and error of a server: what it takes from its spawner, and where it prints.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::file::FileId;

/// Takes standard input and output from this process: what a spawner reads and writes is its own from
/// here on, input is empty, and what is printed goes where errors go.
pub(crate) fn take() -> io::Result<(OwnedFd, OwnedFd)> {
    let orders = io::stdin().as_fd().try_clone_to_owned()?;
    let replies = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(empty()?)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok((orders, replies))
}

/// Takes the listener that is this process's standard input, which is empty from here on; what is printed goes to `log`.
/// `None` where standard input is something else: then nothing is taken.
#[cfg(feature = "sequoia")]
pub(crate) fn take_listener(log: fs::File) -> io::Result<Option<std::net::TcpListener>> {
    if !super::listener::listens(io::stdin()) {
        return Ok(None);
    }
    let listener = std::net::TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(empty()?)?;
    rustix::stdio::dup2_stdout(&log)?;
    rustix::stdio::dup2_stderr(log)?;
    Ok(Some(listener))
}

/// What is to be read where there is nothing to read.
fn empty() -> io::Result<OwnedFd> {
    match fs::File::open("/dev/null") {
        Ok(file) => Ok(file.into()),
        // A bare chroot has none. A pipe that nobody writes to is as empty.
        Err(_) => io::pipe().map(|(end, _)| end.into()),
    }
}

/// The file that this process prints its errors to.
pub(crate) fn errors() -> io::Result<FileId> {
    FileId::of(io::stderr())
}

/// Prints a line where errors go, whole; answers whether that went well.
///
/// It is one write, past std's lock: whoever has that, and hangs, does not hold this up.
pub(crate) fn print_error(line: &[u8]) -> bool {
    loop {
        match rustix::io::write(io::stderr(), line) {
            Err(Errno::INTR) => {}
            written => return written == Ok(line.len()),
        }
    }
}

/// Empties the file that this process prints its errors to where it is longer than `most`.
pub(crate) fn bound_errors(most: u64) {
    let len = rustix::fs::fstat(io::stderr()).map_or(0, |errors| u64::try_from(errors.st_size).unwrap_or(0));
    if len > most {
        let _ = rustix::fs::ftruncate(io::stderr(), 0);
    }
}

/// Has this process print to another file what it prints to `before`, its errors and its output.
pub(crate) fn print_to(file: &fs::File, before: FileId) -> io::Result<FileId> {
    if FileId::of(io::stdout()).is_ok_and(|output| output == before) {
        rustix::stdio::dup2_stdout(file)?;
    }
    rustix::stdio::dup2_stderr(file)?;
    FileId::of(file)
}

/// A file that takes all, and keeps nothing.
pub(crate) fn nowhere() -> io::Result<fs::File> {
    fs::File::options().write(true).open("/dev/null")
}
