//! The log of an external server: what it prints, in a bounded file beside the point.
//!
//! A log that cannot be written loses its lines, and nothing else happens: no write waits or is retried, and a failure is
//! not reported by printing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use crate::driver::os::file::{self, FileId, Mode};
use crate::driver::os::{process, stdio};
use crate::error::{Error, remedy};
use crate::proto::pipes::{ORDER_MAX, Reply};
use crate::stage::Stage;
use crate::transport::Endpoint;

/// A log that has grown to this many bytes becomes the older log, which is as long at most: at a start, and by a server
/// that looks after it.
const LOG_MAX: u64 = 1024 * 1024;
/// The suffix of the older log.
const OLDER: &str = ".1";
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
    if file.metadata().is_ok_and(|metadata| metadata.len() > LOG_MAX) {
        keep_older(path);
        let _ = file.set_len(0);
    }
    let begin = file.metadata().map_err(|error| Error::file(path, error))?.len();
    Ok((file, begin))
}

/// How many lines could not be written since one was.
static LOST: AtomicU32 = AtomicU32::new(0);

/// Writes a line to standard error, or counts it as missing.
pub(crate) fn print(line: &[u8]) {
    if !report_lost_lines() || !stdio::print_error(line) {
        LOST.fetch_add(1, Ordering::Relaxed);
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

    /// Writes the first line of a server, with its process, its version, its endpoint and the process that started it.
    pub(crate) fn begin(&self, version: u32, endpoint: &Endpoint, spawner: Option<u32>) {
        if self.file.is_some() {
            let (now, pid) = (humantime::format_rfc3339_seconds(SystemTime::now()), std::process::id());
            let spawner = spawner.map_or_else(|| "a client".into(), |spawner| format!("pid {spawner}"));
            print(format!("{now} {pid} serves version {version} at {endpoint}, started by {spawner}\n").as_bytes());
        }
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
            if stdio::errors_len() > LOG_MAX {
                if FileId::at(self.path).ok() == self.file {
                    keep_older(self.path);
                }
                stdio::empty_errors();
            }
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

/// Makes the end of a log the older log. The caller then empties the log: its writers append, so they continue at its new
/// end, those that the handler started included. With a new file they would write to the older log for ever.
///
/// If that fails, the log has no older one.
fn keep_older(log: &Path) {
    let mut older = log.as_os_str().to_owned();
    older.push(OLDER);
    if let Err(error) = copy_end(log, Path::new(&older)) {
        tracing::debug!(target: "rendezvous_ipc::serve", error = %format_args!("{error:#}"), "no older log is kept");
    }
}

fn copy_end(log: &Path, older: &Path) -> Result<(), Error> {
    let failed = |error| Error::file(older, error);
    let Some(mut log) = file::open(log, Mode::Read)? else { return Ok(()) };
    let Some(mut kept) = file::open(older, Mode::Append)? else { return Ok(()) };
    kept.set_len(0).map_err(failed)?;
    process::may_grow_to(LOG_MAX).map_err(failed)?;
    log.seek(SeekFrom::End(-(LOG_MAX as i64))).map_err(failed)?;
    io::copy(&mut log.take(LOG_MAX), &mut kept).map(drop).map_err(failed)
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
    // A record or an order that began before the end's part is known by its beginning, which is no further away.
    let tail = part(begin.max(end.saturating_sub(PART + ORDER_MAX as u64)), end);
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
