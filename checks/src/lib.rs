//! What must be true of `proto` whatever comes, each module for one target of the fuzzer.
//!
//! Each has a `check` over bytes, and panics where something is not as it must be. What is more than bytes is a script
//! of operations, made from bytes by [`script`]; proptest makes the operations one by one, so that it can leave some
//! out. The oracles are written anew from `docs/protocol.md`, naively, and share no code with what they judge.

pub mod address;
pub mod client_ops;
pub mod cookie;
pub mod handshake;
pub mod herd_ops;
pub mod message;
pub mod record;

pub use arbitrary::Arbitrary;
use arbitrary::Unstructured;

/// The script that a fuzzer's bytes stand for: all bytes stand for one.
pub fn script<'a, S: Arbitrary<'a>>(bytes: &'a [u8]) -> S {
    S::arbitrary_take_rest(Unstructured::new(bytes)).expect("zeros stand for what is missing")
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of `2 * N` digits, in whatever spelling: who asks compares it.
fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    pairs.collect::<Option<Vec<u8>>>()?.try_into().ok()
}
