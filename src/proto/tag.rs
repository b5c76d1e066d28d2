//! The tag of the protocol that a service speaks on its streams.

use core::fmt;

/// The tag of a protocol, such as `capnp-0x8e5322c1e9282534`, or of none.
///
/// A name leads to one server, but does not say what that server speaks. The two sides of a handshake therefore tell
/// each other their tags. It is sent as 32 bytes: the text, then zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag([u8; Tag::LEN]);

impl Tag {
    /// The maximal length of a tag in bytes.
    pub const LEN: usize = 32;

    /// The tag of a side that states no protocol.
    pub const NONE: Tag = Tag([0; Tag::LEN]);

    /// Returns the tag of this text: 1 to 32 printable ASCII characters, without spaces.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; Tag::LEN];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let is_stated = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_stated.then_some(Tag(bytes))
    }

    /// Returns the text; empty if no protocol is stated.
    pub fn as_str(&self) -> &str {
        let text = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }

    /// Returns whether two sides may speak with each other: their tags are equal, or one of them states none.
    ///
    /// A side without a tag has to be accepted: tools that only look at a service have none, nor have programs that
    /// were built before their service got one.
    pub fn agrees(&self, other: &Tag) -> bool {
        self == other || [self, other].contains(&&Tag::NONE)
    }

    /// Returns the bytes that are sent.
    pub const fn bytes(&self) -> &[u8; Tag::LEN] {
        &self.0
    }

    /// Decodes a tag, or returns `None` if the bytes are not one.
    pub fn from_bytes(bytes: [u8; Tag::LEN]) -> Option<Self> {
        let tag = Tag(bytes);
        (tag == Tag::NONE || Tag::new(tag.as_str()) == Some(tag)).then_some(tag)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_short_printable_and_has_no_spaces() {
        let long = "a".repeat(Tag::LEN);
        for text in ["a", "capnp-0x8e5322c1e9282534", &long] {
            let tag = Tag::new(text).unwrap();
            assert_eq!((tag.as_str(), Tag::from_bytes(*tag.bytes())), (text, Some(tag)));
        }
        for text in ["", "a b", "a\n", "\0", "é", &"a".repeat(Tag::LEN + 1)] {
            assert_eq!(Tag::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn bytes_that_no_tag_has_are_refused() {
        assert_eq!(Tag::from_bytes([0; Tag::LEN]), Some(Tag::NONE));
        for (at, byte) in [(0, b' '), (1, b'b'), (31, 1), (5, 0xff)] {
            let mut bytes = [0; Tag::LEN];
            bytes[at] = byte;
            assert_eq!(Tag::from_bytes(bytes), None, "{byte} at {at}");
        }
    }

    #[test]
    fn every_pair_of_tags_agrees_unless_both_are_stated_and_differ() {
        let (one, other) = (Tag::new("one").unwrap(), Tag::new("other").unwrap());
        for (ours, theirs, agree) in [
            (Tag::NONE, Tag::NONE, true),
            (Tag::NONE, one, true),
            (one, Tag::NONE, true),
            (one, one, true),
            (one, other, false),
        ] {
            assert_eq!(ours.agrees(&theirs), agree, "{ours} and {theirs}");
        }
    }
}
