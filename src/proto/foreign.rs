//! Recognises a record of the other dialect: 32 bytes of a cookie, then `127.0.0.1:PORT`.
//!
//! A program that is built without that dialect recognises it, too, and leaves the point alone.

use core::num::NonZeroU16;
use core::str;

use super::address::is_spelled;
use super::cookie::Cookie;

/// What stands before the port.
pub(super) const HOST: &str = "127.0.0.1:";

/// Splits a complete record into the cookie and the port. `None`: the bytes are not one.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8; Cookie::LEN], NonZeroU16)> {
    let (cookie, address) = bytes.split_first_chunk()?;
    let text = str::from_utf8(address).ok()?.strip_prefix(HOST)?;
    Some((cookie, text.parse().ok().filter(|port| is_spelled(port, text))?))
}
