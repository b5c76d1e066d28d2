//! The log of an external server: what it prints, in a bounded file beside the point.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::os::file::{self, Mode};
use crate::error::Error;

/// A log that has grown to this many bytes is emptied: at a start, and by a server that looks after it.
const LOG_MAX: u64 = 1024 * 1024;
/// How much of the beginning and of the end of what a failing server said goes into the error, in bytes.
const PART: u64 = 1024;

/// Opens the log to be a child's standard error, and tells where the child's part of it begins.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Error> {
    let Some(file) = file::open(path, Mode::Append)? else {
        return Err(Error::file(path, std::io::ErrorKind::NotFound.into()));
    };
    bound(&file);
    let begin = file.metadata().map_err(|error| Error::file(path, error))?.len();
    Ok((file, begin))
}

/// Lets what this process says by `tracing` go where it prints its errors, unless it has a subscriber already.
pub(crate) fn subscribe() {
    #[cfg(feature = "log")]
    let _ = tracing::subscriber::set_global_default(
        tracing_subscriber::fmt().with_ansi(false).with_target(false).with_writer(std::io::stderr).finish(),
    );
}

/// Empties a server's log where it has grown too large, and is what this process prints to.
pub(crate) fn bound_own(path: &Path, errors: &File) {
    if file::leads_to(path, errors).unwrap_or(false) {
        bound(errors);
    }
}

/// Empties a log that has grown too large. It is written at its end, wherever that is.
fn bound(file: &File) {
    if file.metadata().is_ok_and(|metadata| metadata.len() > LOG_MAX) {
        let _ = file.set_len(0);
    }
}

/// What was logged from `begin` on: its beginning and its end where it is long, for a panic says why it happened before
/// it says where. Empty where nothing was logged, or it cannot be read.
pub(crate) fn said(path: &Path, begin: u64) -> String {
    let part = |from: u64, until: u64| {
        let mut bytes = Vec::new();
        if let Ok(Some(mut file)) = file::open(path, Mode::Read) {
            let _ = file.seek(SeekFrom::Start(from)).and_then(|_| file.take(until - from).read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).trim().to_owned()
    };
    let end = path.metadata().map_or(begin, |metadata| metadata.len()).max(begin);
    if end - begin <= 2 * PART {
        return part(begin, end);
    }
    format!("{}\n…\n{}", part(begin, begin + PART), part(end - PART, end))
}
