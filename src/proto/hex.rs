//! Lower-case hexadecimal, the only spelling of bytes in a record.

pub(crate) use base16ct::HexDisplay as Hex;
use base16ct::lower;

/// Reads exactly `2 * N` lower-case digits.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let read = lower::decode(text, &mut bytes).ok()?.len();
    (read == N).then_some(bytes)
}
