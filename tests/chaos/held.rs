//! Whether this process holds the point lock, as the kernel has it.

use std::fs;
use std::path::Path;

/// What this process holds.
pub enum Held {
    /// The lock of the file with this inode, which is the point, or was it.
    Lock(u64),
    Nothing,
    /// This process can open no file in which to look.
    Unknown,
}

/// Looks for the lock among the open files of this process.
pub fn lock(point: &Path) -> Held {
    let Ok(files) = fs::read_dir("/proc/self/fd") else { return Held::Unknown };
    let mut held = Held::Nothing;
    for file in files.filter_map(Result::ok) {
        let is_point = fs::read_link(file.path()).is_ok_and(|to| {
            // The kernel adds that the file was removed.
            to == point || to.to_str().and_then(|to| to.strip_suffix(" (deleted)")) == point.to_str()
        });
        if !is_point {
            continue;
        }
        let info = fs::read_to_string(Path::new("/proc/self/fdinfo").join(file.file_name()));
        match info.as_deref().map(locked) {
            Ok(Some(inode)) => return Held::Lock(inode),
            Ok(None) => {}
            Err(_) => held = Held::Unknown,
        }
    }
    held
}

/// The inode of `lock: 1: FLOCK  ADVISORY  WRITE 4711 fe:00:10232040 0 EOF`.
fn locked(info: &str) -> Option<u64> {
    let lock =
        info.lines().find(|line| line.starts_with("lock:") && line.contains("FLOCK") && line.contains("WRITE"))?;
    lock.split_whitespace().rev().nth(2)?.rsplit(':').next()?.parse().ok()
}
