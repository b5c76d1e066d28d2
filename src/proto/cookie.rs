//! The cookie: the secret that a server shares with the users who may read its point.

use core::fmt;
use core::hash::{Hash, Hasher};

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::hex;
use super::random::Random;

/// A server's secret: 32 random bytes, drawn at every start.
///
/// Equality takes the same time for all values, `Debug` does not show the bytes, and the bytes are wiped when the value
/// is dropped. A move may leave an unwiped copy on the stack, which safe code cannot reach.
#[derive(Clone)]
pub struct Cookie([u8; Cookie::LEN]);

impl Cookie {
    /// The length of a cookie in bytes.
    pub const LEN: usize = 32;

    /// Makes the cookie of a new server from random bytes.
    pub fn drawn(random: Random) -> Self {
        Cookie(random.used())
    }

    /// Makes a cookie from bytes that were read. Use [`Cookie::drawn`] for a new server.
    pub const fn new(bytes: [u8; Cookie::LEN]) -> Self {
        Cookie(bytes)
    }

    /// Returns the secret bytes, for a record, for the pipe to a child, and for the key of a proof.
    pub const fn expose(&self) -> &[u8; Cookie::LEN] {
        &self.0
    }

    /// Parses 64 lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).map(Cookie)
    }
}

impl PartialEq for Cookie {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Cookie {}

impl Hash for Cookie {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(…)")
    }
}

impl Drop for Cookie {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_bytes_of_a_cookie() {
        let shown = format!("{:?}", Cookie::new([0xab; 32]));
        assert_eq!(shown, "Cookie(…)");
    }

    #[test]
    fn cookies_are_equal_if_all_bytes_are_equal() {
        let cookie = Cookie::new([7; 32]);
        assert_eq!(cookie, Cookie::new([7; 32]));
        for at in 0..Cookie::LEN {
            let mut other = [7; 32];
            other[at] ^= 1;
            assert_ne!(cookie, Cookie::new(other), "byte {at}");
        }
    }

    #[test]
    fn a_cookie_parses_from_64_lower_case_digits_only() {
        let digits = "ab".repeat(32);
        assert_eq!(Cookie::from_hex(&digits), Some(Cookie::new([0xab; 32])));
        for wrong in [&digits[1..], &digits.to_uppercase(), &format!("{digits}0"), &digits.replace("a", "g")] {
            assert_eq!(Cookie::from_hex(wrong), None, "{wrong}");
        }
    }
}
