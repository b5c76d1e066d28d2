//! The log that this process prints to, as a server that a client started.
//!
//! A log that cannot be written loses its lines, and nothing else happens: no write waits or is retried, and a failure is
//! not reported by printing.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::log::{LOG_MAX, keep_older};
use crate::driver::os::file::{self, FileId, Mode};
use crate::driver::os::{clock, process, stdio};
use crate::error::Error;
use crate::transport::Endpoint;

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

    /// Returns its path, if this process prints to it.
    pub(crate) fn path(&self) -> Option<&'a Path> {
        self.file.map(|_| self.path)
    }

    /// Writes the first line of a server, with its process, its version, its endpoint and the process that started it.
    pub(crate) fn begin(&self, version: u32, endpoint: &Endpoint, spawner: Option<u32>) {
        if self.file.is_some() {
            let (now, pid) = (humantime::format_rfc3339_seconds(clock::wall()), process::id());
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
