//! Who holds a lock, where the system tells. It is for people: nothing is decided from it but whom not to kill.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The process that holds the lock of a file just now, or one of those that share it. A number of this PID namespace.
pub(crate) fn holder(path: &Path) -> Option<u32> {
    let file = fs::symlink_metadata(path).ok()?;
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    read(&fs::read_to_string("/proc/locks").ok()?, &format!("{major:02x}:{minor:02x}:{}", file.ino()))
}

/// Whether a lock is another process's than this one, by its number in `/proc`. The system tells that where it tells that
/// a lock of our own, of a file beside it, is ours.
pub(crate) fn is_anothers(lock: &Path, ours: &Path, process: u32) -> bool {
    let us = fs::read_link("/proc/self").ok().and_then(|us| us.to_str()?.parse().ok());
    us.is_some() && holder(ours) == us && holder(lock) != Some(process)
}

/// Reads the system's table of locks. On file systems of other machines an flock is one of POSIX.
fn read(table: &str, file: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        // The line of a process that waits has an arrow behind the number, and so one field more.
        let [_, "FLOCK" | "POSIX", _, "WRITE" | "READ", pid, of, ..] = line.split_whitespace().collect::<Vec<_>>()[..]
        else {
            return None;
        };
        // 0 or -1 where it is in another PID namespace.
        pid.parse().ok().filter(|pid| *pid > 0 && of == file)
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
    fn the_holder_of_a_lock_is_told_where_the_system_tells() {
        for (file, holder) in [
            ("fe:00:4711", Some(815)),
            ("fe:00:4712", Some(817)),
            ("fe:00:4713", None),
            ("fe:00:4714", None),
            ("00:2a:4715", Some(818)),
            ("fe:01:4711", None),
        ] {
            assert_eq!(read(TABLE, file), holder, "{file}");
        }
    }

    proptest! {
        #[test]
        fn the_length_of_any_segment_table_is_read_without_a_panic(before in ".{0,200}", behind in "[ 0-9A-Z:\\->\\n]{0,200}") {
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
        let told = holder(file.path());
        // Some file systems have numbers of their own there, and tell nothing.
        assert!([Some(std::process::id()), None].contains(&told), "{told:?}");
        let other = tempfile::NamedTempFile::new().unwrap();
        fs2::FileExt::lock_exclusive(other.as_file()).unwrap();
        let anothers = |process| is_anothers(file.path(), other.path(), process);
        assert!(!anothers(std::process::id()) && anothers(1) == told.is_some(), "{told:?}");
        fs2::FileExt::unlock(other.as_file()).unwrap();
        assert!(!anothers(1), "nothing is known where not even our own lock is told");
        fs2::FileExt::unlock(file.as_file()).unwrap();
        assert_eq!(holder(file.path()), None);
    }
}
