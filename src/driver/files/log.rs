//! The log of an external server: what it prints, in a bounded file beside the point.
//!
//! A log that cannot be written loses its lines, and nothing else happens: no write waits or is retried, and a failure is
//! not reported by printing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::driver::os::file::{self, FileId, Mode};
use crate::driver::os::stdio;
use crate::error::{Error, remedy};
use crate::proto::pipes::{LINE_MAX, Reply};
use crate::stage::Stage;

/// A log that has grown to this many bytes is emptied: at a start, and by a server that looks after it.
const LOG_MAX: u64 = 1024 * 1024;
/// How many bytes of the beginning and of the end of a failing server's output go into the error.
const PART: u64 = 1024;

/// Opens the log as a child's standard error, and returns where the child's part of it begins.
///
/// Without room for a log the child's output is discarded: a full disk is temporary, and a server does not depend on its
/// log. Any other error is returned, since nothing else would report it.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Error> {
    let file = match file::open(path, Mode::Append) {
        Ok(Some(file)) => file,
        Ok(None) => return Err(Error::file(path, io::ErrorKind::NotFound.into())),
        Err(Error::File { source, .. }) if remedy::is_out_of_room(&source) => {
            tracing::warn!(target: "rendezvous_ipc::connect", log = %path.display(), error = %source, "no log");
            return stdio::nowhere().map(|file| (file, 0)).map_err(Error::system(Stage::Spawn));
        }
        Err(error) => return Err(error),
    };
    bound(&file);
    let begin = file.metadata().map_err(|error| Error::file(path, error))?.len();
    Ok((file, begin))
}

/// Writes the `tracing` events of this process to standard error, unless it has a subscriber already. Returns whether it
/// does so now.
///
/// For a server that a client started, standard error is the log beside the point. A program that sets a subscriber of
/// its own does not call this. Without either, the server's events are in no log; a client still gets the reason of a
/// start that failed. Needs the feature `log`.
///
/// ```no_run
/// # use rendezvous_ipc::{Context, Error};
/// # fn main() -> Result<(), Error> {
/// let context = Context::from_args("org.example.counter")?;
/// if context.is_spawned() {
///     rendezvous_ipc::log_to_stderr();
/// }
/// # Ok(()) }
/// ```
#[cfg(feature = "log")]
pub fn log_to_stderr() -> bool {
    tracing::subscriber::set_global_default(
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_target(false)
            .with_writer(|| Line)
            // It would report them by a print, which panics where nothing can be printed.
            .log_internal_errors(false)
            .finish(),
    )
    .is_ok()
}

/// How many lines could not be written since one was.
static LOST: AtomicU32 = AtomicU32::new(0);

/// One line of the log. To write it never fails.
#[cfg(feature = "log")]
struct Line;

#[cfg(feature = "log")]
impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !report_lost_lines() || !stdio::print_error(line) {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes how many lines are missing, if any are. Returns whether there is room to write more.
fn report_lost_lines() -> bool {
    let lost = LOST.swap(0, Ordering::Relaxed);
    if lost == 0 {
        return true;
    }
    // The last of them may have been written in part.
    let printed =
        stdio::print_error(format!("\nlines that could not be written, and are missing here: {lost}\n").as_bytes());
    if !printed {
        LOST.fetch_add(lost, Ordering::Relaxed);
    }
    printed
}

/// The log of a server that a client started. The server keeps it open and bounded.
pub(crate) struct Log<'a> {
    path: &'a Path,
    /// The file that this process prints to; `None` if that is not the log, as under a wrapper of the program. It is
    /// left alone then.
    file: Option<FileId>,
}

impl<'a> Log<'a> {
    /// Returns the log at this path, if this process prints to it.
    pub(crate) fn own(path: &'a Path) -> Self {
        let errors = stdio::errors().ok();
        Log { path, file: errors.filter(|errors| FileId::at(path).is_ok_and(|file| file == *errors)) }
    }

    /// Opens it again if it was moved or removed, keeps it bounded, and writes how many lines are missing.
    pub(crate) fn look_after(&mut self) {
        // If the program has redirected its output since, that is left alone.
        self.file = self.file.filter(|file| stdio::errors().is_ok_and(|errors| errors == *file));
        if let Some(file) = self.file {
            if FileId::at(self.path).ok() != Some(file) {
                self.open_again(file);
            }
            // Whatever it is by now: what was moved and cannot be replaced must not grow without end either.
            stdio::bound_errors(LOG_MAX);
        }
        report_lost_lines();
    }

    fn open_again(&mut self, before: FileId) {
        let opened = match file::open(self.path, Mode::Append) {
            Ok(Some(log)) => stdio::print_to(&log, before).map_err(|error| Error::file(self.path, error)),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        match opened {
            Ok(file) => {
                self.file = Some(file);
                tracing::info!(target: "rendezvous_ipc::serve", "the log is a new file, for it was moved or removed");
            }
            // The next time, perhaps.
            Err(error) => {
                tracing::debug!(target: "rendezvous_ipc::serve", error = %format_args!("{error:#}"), "the log is not opened again")
            }
        }
    }
}

/// Empties a log that has grown too large. Writers append, so they go on at its new end.
fn bound(file: &File) {
    if file.metadata().is_ok_and(|metadata| metadata.len() > LOG_MAX) {
        let _ = file.set_len(0);
    }
}

/// Returns what was logged from `begin` on. Of a long text it returns the beginning and the end, since a panic gives its
/// reason before its place. Returns nothing if the log is empty or cannot be read. Users see the text, so records are
/// removed from it.
pub(crate) fn output(path: &Path, begin: u64) -> String {
    let part = |from: u64, until: u64| {
        let mut bytes = Vec::new();
        if let Ok(Some(mut file)) = file::open(path, Mode::Read) {
            let _ = file.seek(SeekFrom::Start(from)).and_then(|_| file.take(until - from).read_to_end(&mut bytes));
        }
        without_records(&String::from_utf8_lossy(&bytes))
    };
    let end = path.metadata().map_or(begin, |metadata| metadata.len()).max(begin);
    if end - begin <= 2 * PART {
        return part(begin, end).trim().to_owned();
    }
    // A record that began before the end's part is known by its beginning, which is no further away.
    let tail = part(begin.max(end.saturating_sub(PART + LINE_MAX as u64)), end);
    let cut = tail.len().saturating_sub(PART as usize);
    let cut = (cut..tail.len()).find(|at| tail.is_char_boundary(*at)).unwrap_or(tail.len());
    format!("{}\n…\n{}", part(begin, begin + PART).trim(), tail[cut..].trim())
}

/// Removes the messages between a spawner and its server: a wrapper may have redirected them into the log, and they hold
/// a cookie.
fn without_records(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| match line.find(Reply::TOKEN) {
        Some(at) => format!("{}{}…\n", &line[..at], Reply::TOKEN),
        None => line.to_owned(),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::record::tests::sample;

    #[test]
    fn no_part_of_a_record_in_a_log_is_quoted() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        let (mut log, _) = open(&path).unwrap();
        let ready = [Reply::READY.as_bytes(), &sample().line()].concat();
        let secret = &"03".repeat(32)[..8];
        // Short, so that all of it is quoted; and long, so that what is quoted begins and ends anywhere in the record.
        for before in [0, 100, 900, 3000] {
            for behind in (0..1100).step_by(50) {
                log.set_len(0).unwrap();
                let text = ["before ".repeat(before / 7).as_bytes(), &ready, ".".repeat(behind).as_bytes()].concat();
                std::io::Write::write_all(&mut log, &text).unwrap();
                let output = output(&path, 0);
                assert!(!output.contains(secret), "{before} bytes before it and {behind} behind it: {output}");
                assert!(output.len() <= 2 * PART as usize + 10, "{}", output.len());
            }
        }
    }
}
