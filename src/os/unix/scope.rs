//! Reads the boot, the machine and the network namespace of this process, and whether a home is on a local file system.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::process::is_shortage;
use crate::error::Error;
use crate::proto::identity::Identity;
use crate::proto::scope::{Kernel, Place, Scope};

const BOOT: &str = "/proc/sys/kernel/random/boot_id";
const MACHINE: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
/// A link of procfs that leads to `net:[NAMESPACE]`. Reading it takes half of the time of following it.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// What the spawner of this process said of its kernel.
static SPAWNER: OnceLock<Kernel> = OnceLock::new();

/// Sets the kernel of the process that started this one. It spares this process the machine ID, if the boot is the same.
pub(crate) fn spawned_on(kernel: Kernel) {
    let _ = SPAWNER.set(kernel);
}

/// Returns the scope of the calling thread. Boot and machine are read once in a process, the namespace at each call.
///
/// A part that the system does not report, or not to this process, is zero, which means *unknown*. A lack of
/// descriptors or memory is an error.
pub(crate) fn here() -> Result<Scope, Error> {
    let Kernel { boot, machine } = kernel()?;
    Ok(Scope { boot, namespace: namespace()?, machine })
}

/// Returns the kernel of this process.
pub(crate) fn kernel() -> Result<Kernel, Error> {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    if let Some(kernel) = KERNEL.get() {
        return Ok(*kernel);
    }
    let boot = read(BOOT)?.unwrap_or_default();
    let kernel = match SPAWNER.get().and_then(|spawner| spawner.of_boot(boot)) {
        Some(kernel) => kernel,
        None => Kernel { boot, machine: machine()? },
    };
    Ok(*KERNEL.get_or_init(|| kernel))
}

fn machine() -> Result<Option<[u8; 16]>, Error> {
    match read(MACHINE[0])? {
        None => read(MACHINE[1]),
        machine => Ok(machine),
    }
}

/// Returns the scope, and whether this kernel alone keeps the locks of this home.
pub(crate) fn place(home: &Path) -> Result<Place, Error> {
    Ok(Place { scope: here()?, local: is_local(home) })
}

/// Returns the identity of a point in this home, as the home is now. A number that the system does not report is 0: both
/// sides then see the same, or the proof fails.
pub(crate) fn identity(home: &Path, point: &Path) -> Identity {
    // It is the same for all mounts of a file system, and another one for each subvolume and snapshot of btrfs.
    let file_system = rustix::fs::statvfs(home).map_or(0, |found| found.f_fsid);
    let inode = fs::metadata(home).map_or(0, |home| home.ino());
    Identity::of(file_system, inode, point.file_name().unwrap_or_default().as_bytes())
}

#[cfg(target_os = "linux")]
fn namespace() -> Result<u64, Error> {
    Ok(there(NAMESPACE, fs::read_link(NAMESPACE))?.and_then(|link| number(link.to_str()?)).unwrap_or(0))
}

/// Returns 1: there is only one namespace.
#[cfg(not(target_os = "linux"))]
fn namespace() -> Result<u64, Error> {
    Ok(1)
}

/// The file systems that only one kernel can mount, by their numbers in `statfs`. Any other may be shared.
#[cfg(target_os = "linux")]
const LOCAL: [u64; 11] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    OVERLAY,
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0xca45_1a4e, // bcachefs
    0x8584_58f6, // ramfs
    0x3153_464a, // JFS
    0x5265_4973, // ReiserFS
];

#[cfg(target_os = "linux")]
const OVERLAY: u64 = 0x794c_7630;

#[cfg(target_os = "linux")]
fn is_local(home: &Path) -> bool {
    file_system(home).is_some_and(|kind| LOCAL.contains(&kind))
}

/// Returns whether this kernel makes all changes in this home by itself, so that it can report them. What is changed in a
/// layer below an overlay is not reported.
#[cfg(all(feature = "tokio", target_os = "linux"))]
pub(crate) fn reports_changes(home: &Path) -> bool {
    file_system(home).is_some_and(are_reported)
}

#[cfg(all(feature = "tokio", target_os = "linux"))]
fn are_reported(kind: u64) -> bool {
    LOCAL.contains(&kind) && kind != OVERLAY
}

#[cfg(target_os = "linux")]
fn file_system(home: &Path) -> Option<u64> {
    rustix::fs::statfs(home).ok().map(|found| found.f_type as u64 & 0xffff_ffff)
}

#[cfg(not(target_os = "linux"))]
fn is_local(_: &Path) -> bool {
    false
}

/// Returns the number in `net:[NUMBER]`.
fn number(link: &str) -> Option<u64> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

fn read(path: &str) -> Result<Option<[u8; 16]>, Error> {
    let id = there(path, fs::read(path))?;
    Ok(id.filter(|id| !id.trim_ascii().is_empty()).map(|id| digest(&id)))
}

/// Returns `None` if the system does not report a value, and an error if descriptors or memory were too short to ask.
fn there<T>(path: &str, result: io::Result<T>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_shortage(&error) => Err(Error::file(Path::new(path), error)),
        Err(_) => Ok(None),
    }
}

/// Returns a digest of an id. A machine's id is confidential, so records hold a digest that only this crate uses.
fn digest(id: &[u8]) -> [u8; 16] {
    let hash = Sha256::new().chain_update(b"rendezvous-ipc scope ").chain_update(id.trim_ascii()).finalize();
    let mut digest = [0; 16];
    digest.copy_from_slice(&hash[..16]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::hex::Hex;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_namespace_is_the_inode_to_which_the_link_leads() {
        assert_eq!(here().unwrap().namespace, fs::metadata(NAMESPACE).unwrap().ino());
    }

    #[test]
    fn a_point_has_one_identity_by_every_name_of_its_home() {
        let home = std::env::temp_dir().join(format!("rendezvous-identity-{}", std::process::id()));
        let (copy, link) = (home.with_extension("copy"), home.with_extension("link"));
        for directory in [&home, &copy] {
            fs::create_dir(directory).unwrap();
        }
        std::os::unix::fs::symlink(&home, &link).unwrap();
        let of = |home: &Path, name: &str| identity(home, &home.join(name));
        assert_eq!(of(&home, "build"), of(&link, "build"));
        assert_ne!(of(&home, "build"), of(&copy, "build"), "a copy is another home");
        assert_ne!(of(&home, "build"), of(&home, "other"));
        fs::remove_file(&link).unwrap();
        [&home, &copy].into_iter().for_each(|directory| fs::remove_dir(directory).unwrap());
    }

    #[test]
    fn the_digest_of_an_id_is_the_one_on_the_page_of_the_wire() {
        let page = include_str!("../../../docs/wire.md");
        let vector = |name: &str| page.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let file = format!(" {}\n", vector("id-file = "));
        assert_eq!(format!("{:x}", Hex(&digest(file.as_bytes()))), vector("id "));
    }

    #[test]
    #[cfg(all(feature = "tokio", target_os = "linux"))]
    fn changes_of_shared_unknown_and_layered_file_systems_may_not_be_reported() {
        for (kind, name, reported) in [
            (0xef53, "ext4", true),
            (0x5846_5342, "XFS", true),
            (0x9123_683e, "btrfs", true),
            (0x0102_1994, "tmpfs", true),
            (0x794c_7630, "overlayfs", false),
            (0x6969, "NFS", false),
            (0x6573_5546, "FUSE", false),
            (0x0102_1997, "9p", false),
            (0xff53_4d42, "CIFS", false),
            (0, "unknown", false),
        ] {
            assert_eq!(are_reported(kind), reported, "{name}");
        }
    }

    #[test]
    fn a_link_to_something_else_has_no_namespace_number() {
        for link in ["", "net:[]", "net:[1", "mnt:[1]", "net:[-1]", "/net:[1]"] {
            assert_eq!(number(link), None, "{link:?}");
        }
    }
}
