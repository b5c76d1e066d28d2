//! A small disk for a round, where this program may mount one: as root, in a mount namespace of its own.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Set in the program that runs in a mount namespace of its own.
const OWN: &str = "RENDEZVOUS_CHAOS_MOUNTS";
/// In the round's directory: a file that exists once the disk is filled.
const FILLER: &str = "home/filler";

/// Whether this program has a mount namespace of its own.
pub fn can_mount() -> bool {
    std::env::var_os(OWN).is_some()
}

/// Runs this program again in a mount namespace of its own, if that is possible. Its mounts end with it.
pub fn in_own_namespace() -> Option<ExitCode> {
    let unshare = || {
        let mut unshare = Command::new("unshare");
        unshare.arg("-m").stdin(Stdio::null());
        unshare
    };
    let can = || {
        unshare()
            .args(["mount", "-t", "tmpfs", "tmpfs", "/tmp"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if can_mount() || !rustix::process::geteuid().is_root() || !can() {
        return None;
    }
    let program = std::env::current_exe().expect("this program");
    let status =
        unshare().arg(program).args(std::env::args_os().skip(1)).env(OWN, "yes").status().expect("it was started");
    Some(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A mounted disk. Dropping it takes it away, even if a process still uses it.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts a disk of 16 pages at this directory.
    pub fn mount(at: &Path) -> Self {
        fs::create_dir_all(at).expect("the round's directory");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs"]).arg(at).status();
        assert!(mounted.is_ok_and(|status| status.success()), "a disk is mounted");
        Disk(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Fills the disk of a round.
pub fn fill(round: &Path) -> std::io::Result<()> {
    let mut filler = File::create(round.join(FILLER))?;
    while filler.write(&[7; 512]).is_ok_and(|written| written > 0) {}
    Ok(())
}

/// Makes room again.
pub fn empty(round: &Path) {
    let _ = fs::remove_file(round.join(FILLER));
}
