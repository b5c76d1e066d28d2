//! A buffer that collects bytes from a pipe until a line is complete.
//!
//! The line may hold a cookie. So its bytes are never copied elsewhere, and are wiped when the line is taken and when
//! the buffer is dropped. An order's buffer is large, and nearly all of it stays unused: so it lies on the heap, where
//! unused pages cost nothing, and only bytes that were received are wiped.

use std::fmt;

use zeroize::Zeroize;

use crate::proto::pipes::LINE_MAX;

/// The bytes that were received and not yet taken, at most one line of the greatest length.
pub(crate) struct LineBuffer<const MAX: usize = LINE_MAX> {
    bytes: Box<[u8]>,
    /// The bytes from here on are zero.
    len: usize,
}

impl<const MAX: usize> LineBuffer<MAX> {
    pub(crate) fn new() -> Self {
        LineBuffer { bytes: vec![0; MAX].into_boxed_slice(), len: 0 }
    }

    /// Returns the free part of the buffer, to read into. It is empty when a line is longer than allowed.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }

    /// Adds `more` bytes, which the caller has read into the room.
    pub(crate) fn filled(&mut self, more: usize) {
        self.len = MAX.min(self.len + more);
    }

    /// Returns all bytes that are in the buffer.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Returns the first complete line, with its line feed.
    pub(crate) fn line(&self) -> Option<&[u8]> {
        let end = self.bytes().iter().position(|byte| *byte == b'\n')?;
        Some(&self.bytes[..=end])
    }

    /// Passes the first complete line to `read`, wipes it, and keeps the bytes after it.
    pub(crate) fn take_line<T>(&mut self, read: impl Fn(&[u8]) -> T) -> Option<T> {
        let line = self.line()?;
        let (value, end) = (read(line), line.len());
        self.bytes.copy_within(end..self.len, 0);
        self.bytes[self.len - end..self.len].zeroize();
        self.len -= end;
        Some(value)
    }
}

impl<const MAX: usize> Drop for LineBuffer<MAX> {
    fn drop(&mut self) {
        self.bytes[..self.len].zeroize();
    }
}

impl<const MAX: usize> fmt::Write for LineBuffer<MAX> {
    /// Adds a part of a line. It fails, and adds nothing, if there is too little room.
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.room().get_mut(..part.len()).ok_or(fmt::Error)?.copy_from_slice(part.as_bytes());
        self.filled(part.len());
        Ok(())
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
        let mut buffer = LineBuffer::<LINE_MAX>::new();
        receive(&mut buffer, b"a long first l");
        assert_eq!(buffer.take_line(<[u8]>::len), None, "the line is not complete");
        receive(&mut buffer, b"ine\nsecond\nthi");
        assert_eq!(buffer.take_line(<[u8]>::to_vec).unwrap(), b"a long first line\n");
        assert_eq!(buffer.line(), Some(&b"second\n"[..]));
        assert_eq!(buffer.take_line(<[u8]>::to_vec).unwrap(), b"second\n");
        assert_eq!((buffer.bytes(), buffer.line()), (&b"thi"[..], None));
        assert!(buffer.bytes[buffer.len..].iter().all(|byte| *byte == 0), "the rest of the buffer is wiped");
    }

    #[test]
    fn a_line_without_end_leaves_no_room() {
        let mut buffer = LineBuffer::<LINE_MAX>::new();
        receive(&mut buffer, &[b'.'; LINE_MAX]);
        assert!(buffer.room().is_empty() && buffer.line().is_none());
    }
}
