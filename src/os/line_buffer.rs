//! What the other end of a pipe says, until a line of it is whole.
//!
//! The line may hold a cookie. So it stays where it was read to, and is wiped when it was taken and when this is
//! dropped.

use zeroize::{Zeroize, Zeroizing};

use crate::proto::start::LINE_MAX;

/// The beginning of what was heard, a line at most.
pub(crate) struct LineBuffer {
    bytes: Zeroizing<[u8; LINE_MAX]>,
    len: usize,
}

impl LineBuffer {
    pub(crate) fn new() -> Self {
        LineBuffer { bytes: Zeroizing::new([0; LINE_MAX]), len: 0 }
    }

    /// Where more is to be read to. There is no room where a line is longer than any may be.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }

    /// So many bytes were read to the room.
    pub(crate) fn filled(&mut self, more: usize) {
        self.len = LINE_MAX.min(self.len + more);
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The first line, its end included.
    pub(crate) fn line(&self) -> Option<&[u8]> {
        let end = self.bytes().iter().position(|byte| *byte == b'\n')?;
        Some(&self.bytes[..=end])
    }

    /// Reads the first line and wipes it. What was heard behind it is kept.
    pub(crate) fn take_line<T>(&mut self, read: impl Fn(&[u8]) -> T) -> Option<T> {
        let line = self.line()?;
        let (value, end) = (read(line), line.len());
        self.bytes.copy_within(end..self.len, 0);
        self.bytes[self.len - end..self.len].zeroize();
        self.len -= end;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(buffer: &mut LineBuffer, received: &[u8]) {
        buffer.room()[..received.len()].copy_from_slice(received);
        buffer.filled(received.len());
    }

    #[test]
    fn taking_a_line_wipes_it_and_keeps_the_bytes_after_it() {
        let mut buffer = LineBuffer::new();
        receive(&mut buffer, b"a long first l");
        assert_eq!(buffer.take_line(<[u8]>::len), None, "it is not whole");
        receive(&mut buffer, b"ine\nsecond\nthi");
        assert_eq!(buffer.take_line(<[u8]>::to_vec).unwrap(), b"a long first line\n");
        assert_eq!(buffer.line(), Some(&b"second\n"[..]));
        assert_eq!(buffer.take_line(<[u8]>::to_vec).unwrap(), b"second\n");
        assert_eq!((buffer.bytes(), buffer.line()), (&b"thi"[..], None));
        assert!(buffer.bytes[buffer.len..].iter().all(|byte| *byte == 0), "nothing else is left");
    }

    #[test]
    fn a_line_without_end_leaves_no_room() {
        let mut buffer = LineBuffer::new();
        receive(&mut buffer, &[b'.'; LINE_MAX]);
        assert!(buffer.room().is_empty() && buffer.line().is_none());
    }
}
