//! Which boot, machine and network namespace this is.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::proto::scope::Scope;

const BOOT: &str = "/proc/sys/kernel/random/boot_id";
const MACHINE: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
/// A link of procfs that leads to `net:[NAMESPACE]`. To read it takes half of the time of following it.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// The scope of the calling thread. Boot and machine are read once in a process, the namespace each time.
///
/// What a system does not have is zero, the same for all its processes. What cannot be read just now is our own
/// trouble, and is not remembered.
pub(crate) fn here() -> Result<Scope, Error> {
    static KERNEL: OnceLock<([u8; 16], Option<[u8; 16]>)> = OnceLock::new();
    let (boot, machine) = match KERNEL.get() {
        Some(kernel) => *kernel,
        None => {
            let boot = read(BOOT)?.unwrap_or_default();
            let machine = match read(MACHINE[0])? {
                None => read(MACHINE[1])?,
                machine => machine,
            };
            *KERNEL.get_or_init(|| (boot, machine))
        }
    };
    let namespace = there(NAMESPACE, fs::read_link(NAMESPACE))?.and_then(|link| number(link.to_str()?)).unwrap_or(0);
    Ok(Scope { boot, namespace, machine })
}

/// The number in `net:[NUMBER]`.
fn number(link: &str) -> Option<u64> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

fn read(path: &str) -> Result<Option<[u8; 16]>, Error> {
    let id = there(path, fs::read(path))?;
    Ok(id.filter(|id| !id.trim_ascii().is_empty()).map(|id| digest(&id)))
}

/// Tells what is not there from what cannot be had.
fn there<T>(path: &str, result: io::Result<T>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(Path::new(path), error)),
    }
}

/// A machine's id is confidential: what is written down is a digest that is ours alone.
fn digest(id: &[u8]) -> [u8; 16] {
    let hash = Sha256::new().chain_update(b"rendezvous-ipc scope ").chain_update(id.trim_ascii()).finalize();
    let mut digest = [0; 16];
    digest.copy_from_slice(&hash[..16]);
    digest
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_namespace_is_the_inode_to_which_the_link_leads() {
        assert_eq!(here().unwrap().namespace, fs::metadata(NAMESPACE).unwrap().ino());
    }

    #[test]
    fn what_is_no_link_to_a_namespace_has_no_number() {
        for link in ["", "net:[]", "net:[1", "mnt:[1]", "net:[-1]", "/net:[1]"] {
            assert_eq!(number(link), None, "{link:?}");
        }
    }
}
