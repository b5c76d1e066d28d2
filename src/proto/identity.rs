//! The identity of a point, which both sides of a handshake have to agree on.

use sha2::{Digest, Sha256};

/// The identity of a point: its name, the inode of its home, and the ID of the home's file system.
///
/// A copied home has a record whose server lives elsewhere and knows its cookie. Where the whole file system was
/// copied, as by a snapshot, the inode is the same. The device of the home is left out, because one directory has
/// several by its mounts; the path, because one directory has many names; and the inode of the point, because a server
/// makes its point again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Identity([u8; 32]);

impl Identity {
    /// Returns the identity of the point of this name, in the home with this inode on the file system of this ID. A
    /// number that is not known is 0.
    pub fn of(file_system: u64, home: u64, name: &[u8]) -> Self {
        let identity = Sha256::new().chain_update(b"rendezvous-ipc point ").chain_update(file_system.to_be_bytes());
        Identity(identity.chain_update(home.to_be_bytes()).chain_update(name).finalize().into())
    }

    /// Returns the bytes that a proof covers. They are not sent.
    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_system_home_or_name_is_another_point() {
        let mine = Identity::of(6, 7, b"build");
        assert_eq!(mine, Identity::of(6, 7, b"build"));
        assert_ne!(mine, Identity::of(5, 7, b"build"));
        assert_ne!(mine, Identity::of(6, 8, b"build"));
        assert_ne!(mine, Identity::of(7, 6, b"build"));
        assert_ne!(mine, Identity::of(6, 7, b"built"));
    }
}
