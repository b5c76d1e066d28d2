//! A look at a point of the dialect: what the record says, and whether anybody listens there.
//!
//! It takes no lock, and says nothing to whoever listens.

use super::connect::{Class, class};
use super::record::{Found, Record};
use crate::proto::address::Address;
use crate::proto::connect::DialFailure;
use crate::proto::record::Malformed;

/// What a look comes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Somebody listens where the record says.
    Listening(Address),
    /// There is no record.
    Absent,
    /// The record is damaged.
    Malformed(Malformed),
    /// The record is of the native dialect.
    OtherDialect,
    /// The server of the record is gone.
    Gone,
    /// The dial failed, and proves nothing.
    Unknown(DialFailure),
}

/// Returns what the point says by itself, or the record to dial.
pub fn found(found: Option<Found>) -> Result<Record, Verdict> {
    match found {
        None | Some(Found::Absent | Found::Empty) => Err(Verdict::Absent),
        Some(Found::Malformed(malformed)) => Err(Verdict::Malformed(malformed)),
        Some(Found::OtherDialect) => Err(Verdict::OtherDialect),
        Some(Found::Record(record)) => Ok(record),
    }
}

/// Returns what a dial of that record says.
pub const fn dialled(address: Address, dial: Result<(), DialFailure>) -> Verdict {
    match dial {
        Ok(()) => Verdict::Listening(address),
        Err(failure) => match class(failure) {
            Class::Dead => Verdict::Gone,
            Class::Unknown | Class::Ours => Verdict::Unknown(failure),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::cookie::Cookie;

    #[test]
    fn a_look_in_the_dialect_dials_nothing_but_a_record() {
        let record = Record { cookie: Cookie::new([3; 32]), port: 4711.try_into().unwrap() };
        let damaged = Malformed::NoEnd;
        for (what, expected) in [
            (None, Err(Verdict::Absent)),
            (Some(Found::Absent), Err(Verdict::Absent)),
            (Some(Found::Empty), Err(Verdict::Absent)),
            (Some(Found::Malformed(damaged)), Err(Verdict::Malformed(damaged))),
            (Some(Found::OtherDialect), Err(Verdict::OtherDialect)),
            (Some(Found::Record(record.clone())), Ok(record)),
        ] {
            assert_eq!(found(what.clone()), expected, "{what:?}");
        }
    }

    #[test]
    fn only_refused_and_reset_say_that_a_server_of_the_dialect_is_gone() {
        let address = Address::port(4711.try_into().unwrap());
        assert_eq!(dialled(address, Ok(())), Verdict::Listening(address));
        for failure in [DialFailure::Refused, DialFailure::Closed, DialFailure::SelfConnect] {
            assert_eq!(dialled(address, Err(failure)), Verdict::Gone, "{failure:?}");
        }
        for failure in [
            DialFailure::TimedOut,
            DialFailure::NotWritable,
            DialFailure::Impostor,
            DialFailure::InvalidReply,
            DialFailure::NotAdmitted,
            DialFailure::Local,
        ] {
            assert_eq!(dialled(address, Err(failure)), Verdict::Unknown(failure), "{failure:?}");
        }
    }
}
