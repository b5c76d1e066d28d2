//! Reads which process holds a lock. The result is for error texts; the only decision it takes part in is which process
//! must not be killed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The kernel writes the table in pieces, and a piece may miss a line while other locks come and go. So a line that is
/// not found is looked for so many times.
const READINGS: usize = 3;

/// Returns the number, in this PID namespace, of the process that holds the lock of a file, or of one that shares it.
pub(crate) fn holder(path: &Path) -> Option<u32> {
    u32::try_from(listed(path)?).ok().filter(|pid| *pid > 0)
}

/// Returns whether `lock`, which some process holds, is held by another process than `process`, a number in `/proc`.
///
/// The answer is *no* if the table of locks cannot be relied on. It can if it shows that `ours`, a file beside `lock`
/// that this process has locked, is held by this process.
pub(crate) fn is_anothers(lock: &Path, ours: &Path, process: u32) -> bool {
    let us = fs::read_link("/proc/self").ok().and_then(|us| us.to_str()?.parse().ok());
    us.is_some() && holder(ours) == us && holder(lock) != Some(process)
}

/// Returns the number that the table gives for the holder of a file's lock. It is 0 or -1 if the process is in another PID
/// namespace.
fn listed(path: &Path) -> Option<i64> {
    let file = fs::symlink_metadata(path).ok()?;
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", file.ino());
    (0..READINGS).find_map(|_| read(&fs::read_to_string("/proc/locks").ok()?, &file))
}

/// Finds the holder of a file's lock in the text of `/proc/locks`. On network file systems an flock is listed as POSIX.
fn read(table: &str, file: &str) -> Option<i64> {
    table.lines().find_map(|line| {
        // The line of a waiting process has an arrow after the number, and so one more field.
        let [_, "FLOCK" | "POSIX", _, "WRITE" | "READ", pid, of, ..] = line.split_whitespace().collect::<Vec<_>>()[..]
        else {
            return None;
        };
        pid.parse().ok().filter(|_| of == file)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: &str = "1: FLOCK  ADVISORY  WRITE 815 fe:00:4711 0 EOF
1: -> FLOCK  ADVISORY  WRITE 816 fe:00:4711 0 EOF
2: FLOCK  ADVISORY  READ 817 fe:00:4712 0 EOF
3: FLOCK  ADVISORY  WRITE 0 fe:00:4713 0 EOF
4: OFDLCK ADVISORY  WRITE -1 fe:00:4714 0 EOF
5: POSIX  ADVISORY  WRITE 818 00:2a:4715 0 EOF
";

    #[test]
    fn the_holder_of_a_lock_is_read_from_the_table() {
        for (file, holder) in [
            ("fe:00:4711", Some(815)),
            ("fe:00:4712", Some(817)),
            ("fe:00:4713", Some(0)),
            ("fe:00:4714", None),
            ("00:2a:4715", Some(818)),
            ("fe:01:4711", None),
        ] {
            assert_eq!(read(TABLE, file), holder, "{file}");
        }
    }

    proptest! {
        #[test]
        fn any_table_of_locks_is_read_without_a_panic(before in ".{0,200}", behind in "[ 0-9A-Z:\\->\\n]{0,200}") {
            read(&before, "fe:00:4711");
            read(&behind, "fe:00:4711");
            let table = format!("{before}\n1: FLOCK  ADVISORY  WRITE 815 fe:00:1111 0 EOF\n{behind}");
            prop_assert_eq!(read(&table, "fe:00:1111"), Some(815));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_the_holder_of_its_own_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(holder(file.path()), None);
        fs2::FileExt::lock_exclusive(file.as_file()).unwrap();
        let held_by = holder(file.path());
        // Some file systems list other device or inode numbers there, so the holder is unknown.
        assert!([Some(std::process::id()), None].contains(&held_by), "{held_by:?}");
        let other = tempfile::NamedTempFile::new().unwrap();
        fs2::FileExt::lock_exclusive(other.as_file()).unwrap();
        let anothers = |process| is_anothers(file.path(), other.path(), process);
        assert!(!anothers(std::process::id()) && anothers(1) == held_by.is_some(), "{held_by:?}");
        fs2::FileExt::unlock(other.as_file()).unwrap();
        assert!(!anothers(1), "the table is not relied on if it does not show our own lock");
        fs2::FileExt::unlock(file.as_file()).unwrap();
        assert_eq!(holder(file.path()), None);
    }
}
