//! Inspects a point of the dialect: its record, and whether a process listens at the record's address.
//!
//! The inspection takes no lock, and sends nothing to the listener.

use super::connect::{Class, class};
use super::record::{Found, Record};
use crate::proto::address::Address;
use crate::proto::connect::DialFailure;
use crate::proto::record::Malformed;

/// The result of an inspection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// A process listens at the address of the record.
    Listening(Address),
    /// There is no record.
    Absent,
    /// The record is damaged.
    Malformed(Malformed),
    /// The record is of the native dialect.
    OtherDialect,
    /// The server of the record is dead.
    Gone,
    /// The dial failed, which shows nothing about the server.
    Unknown(DialFailure),
}

/// Returns the record to dial, or the verdict if the content of the point decides it.
pub fn found(found: Option<Found>) -> Result<Record, Verdict> {
    match found {
        None | Some(Found::Absent | Found::Empty) => Err(Verdict::Absent),
        Some(Found::Malformed(malformed)) => Err(Verdict::Malformed(malformed)),
        Some(Found::OtherDialect) => Err(Verdict::OtherDialect),
        Some(Found::Record(record)) => Ok(record),
    }
}

/// Returns the verdict after a dial of that record.
pub const fn dialled(address: Address, dial: Result<(), DialFailure>) -> Verdict {
    match dial {
        Ok(()) => Verdict::Listening(address),
        Err(failure) => match class(failure) {
            Class::Dead => Verdict::Gone,
            Class::Unknown | Class::Local => Verdict::Unknown(failure),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::cookie::Cookie;

    #[test]
    fn an_inspection_of_the_dialect_dials_only_a_record() {
        let record = Record { cookie: Cookie::new([3; 32]), port: 4711.try_into().unwrap() };
        let damaged = Malformed::NoEnd;
        for (content, expected) in [
            (None, Err(Verdict::Absent)),
            (Some(Found::Absent), Err(Verdict::Absent)),
            (Some(Found::Empty), Err(Verdict::Absent)),
            (Some(Found::Malformed(damaged)), Err(Verdict::Malformed(damaged))),
            (Some(Found::OtherDialect), Err(Verdict::OtherDialect)),
            (Some(Found::Record(record.clone())), Ok(record)),
        ] {
            assert_eq!(found(content.clone()), expected, "{content:?}");
        }
    }

    #[test]
    fn only_a_refused_or_reset_dial_reports_a_dead_dialect_server() {
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
