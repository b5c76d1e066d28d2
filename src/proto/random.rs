//! Random bytes that are used once.

use core::fmt;

use zeroize::Zeroize;

/// 32 random bytes that have not been used yet.
///
/// A [`Cookie`](super::cookie::Cookie) and the [`Nonce`](super::handshake::Nonce) of a handshake consume them. The type
/// is not `Clone`, so two servers cannot get the same cookie, nor two handshakes the same nonce. The bytes are wiped
/// when the value is dropped.
pub struct Random([u8; Random::LEN]);

impl Random {
    /// The number of bytes.
    pub const LEN: usize = 32;

    /// Wraps bytes that were just drawn. In this crate only the driver's source of random bytes calls this. A test or a
    /// model passes bytes of its choice.
    pub const fn drawn(bytes: [u8; Random::LEN]) -> Self {
        Random(bytes)
    }

    /// Consumes the value and returns the bytes.
    pub(super) fn used(self) -> [u8; Random::LEN] {
        self.0
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(…)")
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::cookie::Cookie;
    use crate::proto::handshake::{Hello, Intent, Party};
    use crate::proto::identity::Identity;

    #[test]
    fn a_cookie_and_a_nonce_use_all_of_their_random_bytes() {
        let bytes: [u8; Random::LEN] = core::array::from_fn(|at| at as u8);
        let party = Party::at(Identity::of(9, 0, b"point"));
        assert_eq!(Cookie::drawn(Random::drawn(bytes)).expose(), &bytes);
        assert_eq!(Hello::new(Intent::Connect, party, Random::drawn(bytes)).nonce().bytes(), &bytes);
    }

    #[test]
    fn debug_hides_random_bytes() {
        assert_eq!(format!("{:?}", Random::drawn([0xab; 32])), "Random(…)");
    }
}
