//! Random bytes of the system.

use std::io;

use rand::TryRng;
use rand::rngs::SysRng;

/// Fills `bytes`.
pub(crate) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    SysRng.try_fill_bytes(bytes).map_err(io::Error::other)
}
