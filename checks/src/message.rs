//! The length of a Cap'n Proto message equals what capnp reads, and a message that capnp refuses is not waited for.

use capnp::message::ReaderOptions;
use capnp::{ErrorKind, serialize};
use rendezvous_ipc::proto::message::{MAX_WORDS, length};

/// Checks the bytes, and every prefix of them, as the beginning of a message.
pub fn check(bytes: &[u8]) {
    let first = bytes.len().min(64);
    (0..first).for_each(|end| check_part(&bytes[..end]));
    check_part(bytes);
}

fn check_part(received: &[u8]) {
    let length = length(received);
    // The numbers received, padded to the longest table with zeros, which announce no further bytes.
    let table = judge(&[&received[..received.len() / 4 * 4], &[0; 2048]].concat());
    match judge(received) {
        Capnp::Whole(whole) => assert_eq!(length, Some(whole), "{received:?}"),
        Capnp::Refuses => assert_eq!(length, Some(received.len()), "{received:?}"),
        Capnp::Waits if table == Capnp::Refuses => assert_eq!(length, Some(received.len()), "{received:?}"),
        Capnp::Waits => assert!(length.is_none_or(|length| length > received.len()), "{length:?}: {received:?}"),
    }
    if let (Some(length), Capnp::Whole(whole)) = (length, table) {
        assert_eq!(length, whole, "{received:?}");
    }
}

#[derive(PartialEq, Eq, Debug)]
enum Capnp {
    /// A message of this many bytes.
    Whole(usize),
    Waits,
    Refuses,
}

fn judge(bytes: &[u8]) -> Capnp {
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(MAX_WORDS));
    let mut rest = bytes;
    match serialize::read_message_from_flat_slice(&mut rest, options) {
        Ok(_) => Capnp::Whole(bytes.len() - rest.len()),
        Err(error) => match error.kind {
            ErrorKind::EmptySlice | ErrorKind::FailedToFillTheWholeBuffer | ErrorKind::MessageEndsPrematurely(..) => {
                Capnp::Waits
            }
            _ => Capnp::Refuses,
        },
    }
}
