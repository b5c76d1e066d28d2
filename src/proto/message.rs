//! How long a message of Cap'n Proto is, as far as what has come of it says so.
//!
//! Not the protocol's own: a client's calls go this way once it is welcomed. It is here because it judges bytes of a peer.

/// The longest message, in words of 8 bytes: an eighth of what capnp allows by itself. What is larger goes in pieces.
pub const MAX_WORDS: usize = 1024 * 1024;
/// From so many segments on capnp refuses a message.
const MAX_SEGMENTS: usize = 512;

/// How long the message is that begins with these bytes. `None` where they are too few to say so. Where capnp refuses
/// it, it is as long as what has come.
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
    fn a_messages_length_is_known_when_its_table_has_come() {
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
    fn what_capnp_refuses_is_not_waited_for() {
        for table in
            [table(&[511, 0]), table(&[u32::MAX, 0]), table(&[0, MAX_WORDS as u32 + 1]), table(&[1, 9, u32::MAX])]
        {
            assert_eq!(super::length(&table), Some(table.len()), "{table:?}");
        }
    }
}
