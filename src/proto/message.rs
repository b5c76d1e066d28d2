//! The length of a Cap'n Proto message, computed from its first bytes.
//!
//! These are the messages that a client sends after the handshake. The function is here because it reads bytes of a
//! peer.

/// The longest message, in words of 8 bytes: an eighth of the default limit of capnp. Larger data is sent in pieces.
pub const MAX_WORDS: usize = 1024 * 1024;
/// capnp refuses a message with this many segments or more.
const MAX_SEGMENTS: usize = 512;

/// Returns the length of the message that begins with `bytes`, or `None` if more bytes are needed to know it.
///
/// If capnp would refuse the message, its length is the number of bytes received, so that no caller waits for the rest.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| bytes.get(4 * at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
    let segments = number(0)?.saturating_add(1);
    if segments >= MAX_SEGMENTS {
        return Some(bytes.len());
    }
    let mut words = 0_usize;
    for segment in 1..=segments {
        words = words.saturating_add(number(segment)?);
        if words > MAX_WORDS {
            return Some(bytes.len());
        }
    }
    Some(4 * (1 + segments).next_multiple_of(2) + 8 * words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn a_message_has_a_length_once_its_table_is_complete() {
        for (table, length) in [
            (table(&[0, 0]), 8),
            (table(&[0, 3]), 8 + 24),
            (table(&[1, 3, 4, 0]), 16 + 56),
            (table(&[2, 3, 4, 5]), 16 + 96),
            (table(&[3, 1, 1, 1, 1, 0]), 24 + 32),
            (table(&[0, MAX_WORDS as u32]), 8 + 8 * MAX_WORDS),
        ] {
            assert_eq!(super::length(&table), Some(length), "{table:?}");
            let lengths = table.len() - if table[0] % 2 == 1 { 4 } else { 0 };
            for end in 0..lengths {
                assert_eq!(super::length(&table[..end]), None, "{end} bytes of {table:?}");
            }
        }
    }

    #[test]
    fn a_message_that_capnp_refuses_needs_no_more_bytes() {
        for table in
            [table(&[511, 0]), table(&[u32::MAX, 0]), table(&[0, MAX_WORDS as u32 + 1]), table(&[1, 9, u32::MAX])]
        {
            assert_eq!(super::length(&table), Some(table.len()), "{table:?}");
        }
    }
}
