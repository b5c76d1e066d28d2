//! Which boot, machine and network namespace this is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::proto::scope::Scope;

/// The scope of the calling thread. Boot and machine are read once in a process, the namespace each time.
///
/// What a system does not tell is zero, the same for all its processes.
pub(crate) fn here() -> Scope {
    static KERNEL: OnceLock<([u8; 16], Option<[u8; 16]>)> = OnceLock::new();
    let (boot, machine) = *KERNEL.get_or_init(|| (boot(), machine()));
    // A link of procfs: its inode is the namespace.
    let namespace = fs::metadata("/proc/thread-self/ns/net").map_or(0, |link| link.ino());
    Scope { boot, namespace, machine }
}

fn boot() -> [u8; 16] {
    fs::read("/proc/sys/kernel/random/boot_id").map_or([0; 16], |id| digest(&id))
}

fn machine() -> Option<[u8; 16]> {
    let id = fs::read("/etc/machine-id").or_else(|_| fs::read("/var/lib/dbus/machine-id")).ok()?;
    (!id.trim_ascii().is_empty()).then(|| digest(&id))
}

/// A machine's id is confidential: what is written down is a digest that is ours alone.
fn digest(id: &[u8]) -> [u8; 16] {
    let hash = Sha256::new().chain_update(b"rendezvous-ipc scope ").chain_update(id.trim_ascii()).finalize();
    let mut digest = [0; 16];
    digest.copy_from_slice(&hash[..16]);
    digest
}
