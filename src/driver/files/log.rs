//! The log of an external server: what it prints, in a bounded file beside the point.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::driver::os::file::{self, File, Mode};
use crate::driver::os::{process, stdio};
use crate::error::{Error, remedy};
use crate::proto::pipes::{ORDER_MAX, Reply};
use crate::stage::Stage;

/// A log that has grown to this many bytes becomes the older log, which is as long at most: at a start, and by a server
/// that looks after it.
pub(super) const LOG_MAX: u64 = 1024 * 1024;
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

/// Makes the end of a log the older log. The caller then empties the log: its writers append, so they continue at its new
/// end, those that the handler started included. With a new file they would write to the older log for ever.
///
/// If that fails, the log has no older one.
pub(super) fn keep_older(log: &Path) {
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
    let end = file::len_at(path).unwrap_or(begin).max(begin);
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
