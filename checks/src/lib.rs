//! Checks what must be true of `proto` for any input. Each module is one target of the fuzzer.
//!
//! Each module has a `check` over bytes, which panics on a violation. A check of more than bytes is a script of
//! operations, which [`script`] makes from bytes. Proptest makes the operations one by one, so that it can shrink them.
//! The oracles are written naively from `docs/protocol.md`, and share no code with what they judge.

pub mod address;
pub mod client_ops;
pub mod cookie;
pub mod handshake;
pub mod herd_ops;
pub mod life;
pub mod message;
pub mod order;
pub mod record;

pub use arbitrary::Arbitrary;
use arbitrary::Unstructured;

/// Makes a script from a fuzzer's bytes; any bytes make one.
pub fn script<'a, S: Arbitrary<'a>>(bytes: &'a [u8]) -> S {
    S::arbitrary_take_rest(Unstructured::new(bytes)).expect("missing bytes are read as zeros")
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads `2 * N` digits in any spelling; the caller compares the spelling.
fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    pairs.collect::<Option<Vec<u8>>>()?.try_into().ok()
}
