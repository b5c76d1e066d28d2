//! The secret that only one server and those who may read its point know.

use core::fmt;
use core::hash::{Hash, Hasher};

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::hex;
use super::random::Random;

/// 32 random bytes, drawn afresh at every start of a server.
///
/// Equality takes the same time whatever the bytes are, `Debug` shows nothing of them, and they are
/// wiped when the value is dropped. A move may leave an unwiped copy behind: that is the
/// compiler's, out of reach of safe code.
#[derive(Clone)]
pub struct Cookie([u8; Cookie::LEN]);

impl Cookie {
    /// The length of a cookie in bytes.
    pub const LEN: usize = 32;

    /// Makes the cookie of a new server.
    pub fn drawn(random: Random) -> Self {
        Cookie(random.used())
    }

    /// Takes the bytes of a cookie that was read. A new one is [`Cookie::drawn`].
    pub const fn new(bytes: [u8; Cookie::LEN]) -> Self {
        Cookie(bytes)
    }

    /// The secret itself: for a record, for the pipe to a child, for the key of a proof.
    pub const fn expose(&self) -> &[u8; Cookie::LEN] {
        &self.0
    }

    /// Reads 64 lower-case hexadecimal digits.
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
    fn debug_shows_nothing_of_the_cookie() {
        let shown = format!("{:?}", Cookie::new([0xab; 32]));
        assert_eq!(shown, "Cookie(…)");
    }

    #[test]
    fn cookies_are_equal_when_every_byte_is() {
        let cookie = Cookie::new([7; 32]);
        assert_eq!(cookie, Cookie::new([7; 32]));
        for at in 0..Cookie::LEN {
            let mut other = [7; 32];
            other[at] ^= 1;
            assert_ne!(cookie, Cookie::new(other), "byte {at}");
        }
    }

    #[test]
    fn only_64_lower_case_digits_are_a_cookie() {
        let digits = "ab".repeat(32);
        assert_eq!(Cookie::from_hex(&digits), Some(Cookie::new([0xab; 32])));
        for wrong in [&digits[1..], &digits.to_uppercase(), &format!("{digits}0"), &digits.replace("a", "g")] {
            assert_eq!(Cookie::from_hex(wrong), None, "{wrong}");
        }
    }
}
