//! The log of an external server: what it prints, in a bounded file beside the point.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::os::file::{self, Mode};
use crate::error::Error;
use crate::proto::start::{LINE_MAX, Reply};

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
/// it says where. Empty where nothing was logged, or it cannot be read. It is shown, so it holds no record.
pub(crate) fn said(path: &Path, begin: u64) -> String {
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

/// Leaves out whatever a spawner and its server say to each other: a wrapper may lead it to the log, and it holds a
/// cookie.
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
    fn nothing_of_a_record_in_a_log_is_quoted_wherever_it_stands() {
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
                let said = said(&path, 0);
                assert!(!said.contains(secret), "{before} bytes before it and {behind} behind it: {said}");
                assert!(said.len() <= 2 * PART as usize + 10, "{}", said.len());
            }
        }
    }
}
