//! Standard input, output and error of a server: takes the pipes of its spawner, and redirects what it prints.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::file::FileId;
use super::process::Lines;
use crate::os::line_buffer::LineBuffer;
use crate::proto::pipes::ORDER_MAX;

/// Passes the bytes that wait at standard input to `read`, and leaves them there. There are none if standard input is no
/// socket. `patience` is how long to wait for the first.
pub(crate) fn peek<T>(patience: Duration, read: impl FnOnce(&[u8]) -> T) -> T {
    let mut buffer = LineBuffer::<ORDER_MAX>::new();
    let look = |buffer: &mut LineBuffer<ORDER_MAX>| {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        rustix::net::recv(io::stdin(), buffer.room(), flags).map(|(len, _)| len)
    };
    let len = match (look(&mut buffer), Timespec::try_from(patience)) {
        (Err(Errno::AGAIN), Ok(timeout)) if !patience.is_zero() => {
            let _ = rustix::event::poll(&mut [PollFd::new(&io::stdin(), PollFlags::IN)], Some(&timeout));
            look(&mut buffer)
        }
        (looked, _) => looked,
    };
    buffer.filled(len.unwrap_or(0));
    read(buffer.bytes())
}

/// Takes standard input and output from this process and returns them: from here on only the caller talks to the
/// spawner. Standard input is empty then, and standard output goes to standard error.
pub(crate) fn take() -> io::Result<(Lines, fs::File)> {
    let orders = io::stdin().as_fd().try_clone_to_owned()?;
    let replies = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(empty()?)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok((Lines::of(orders), replies.into()))
}

/// Takes the listener that is this process's standard input. Standard input is empty then, and output and errors go to
/// `log`. Returns `None` and changes nothing if standard input is not a listener.
#[cfg(all(feature = "tokio", feature = "sequoia"))]
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

/// Opens a file from which nothing can be read.
fn empty() -> io::Result<OwnedFd> {
    match fs::File::open("/dev/null") {
        Ok(file) => Ok(file.into()),
        // A bare chroot has no /dev/null. A pipe without a writer is empty, too.
        Err(_) => io::pipe().map(|(end, _)| end.into()),
    }
}

/// Returns the identity of the file that is standard error.
pub(crate) fn errors() -> io::Result<FileId> {
    FileId::of(io::stderr())
}

/// Prints a whole line to standard error, and returns whether that succeeded.
///
/// It is one write that does not take std's lock, so a thread that hangs with that lock does not block this.
pub(crate) fn print_error(line: &[u8]) -> bool {
    loop {
        match rustix::io::write(io::stderr(), line) {
            Err(Errno::INTR) => {}
            written => return written == Ok(line.len()),
        }
    }
}

/// Returns the length of the file that is standard error.
pub(crate) fn errors_len() -> u64 {
    rustix::fs::fstat(io::stderr()).map_or(0, |errors| u64::try_from(errors.st_size).unwrap_or(0))
}

/// Empties the file that is standard error.
pub(crate) fn empty_errors() {
    let _ = rustix::fs::ftruncate(io::stderr(), 0);
}

/// Redirects standard error to another file, and standard output, too, if it goes to `before`.
pub(crate) fn print_to(file: &fs::File, before: FileId) -> io::Result<FileId> {
    if FileId::of(io::stdout()).is_ok_and(|output| output == before) {
        rustix::stdio::dup2_stdout(file)?;
    }
    rustix::stdio::dup2_stderr(file)?;
    FileId::of(file)
}

/// Opens a file that discards all that is written to it.
pub(crate) fn nowhere() -> io::Result<fs::File> {
    fs::File::options().write(true).open("/dev/null")
}
