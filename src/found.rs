//! Why what was found at a point is not a server of this program.

use std::fmt;

use crate::proto::handshake::{Answer, PROTOCOL, Verdict};
use crate::proto::{record, scope};

/// What is wrong with a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Malformed {
    /// It is longer than any record.
    TooLong,
    /// It does not begin as a record does.
    NoRecord,
    /// It does not end as a record does: it was cut off, or more bytes follow.
    NoEnd,
    /// Its checksum is wrong: a part of it was changed.
    Checksum,
    /// The named field has no value, or is not in its one valid spelling.
    Field(&'static str),
    /// No server can have its address.
    Address,
}

impl Malformed {
    pub(crate) fn of(malformed: record::Malformed) -> Self {
        match malformed {
            record::Malformed::TooLong => Malformed::TooLong,
            record::Malformed::NoRecord => Malformed::NoRecord,
            record::Malformed::NoEnd => Malformed::NoEnd,
            record::Malformed::Checksum => Malformed::Checksum,
            record::Malformed::Field(name) => Malformed::Field(name),
            record::Malformed::Address(_) => Malformed::Address,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::TooLong => write!(f, "longer than {} bytes", record::Record::MAX),
            Malformed::NoRecord => f.write_str("it does not begin with \"rendezvous\""),
            Malformed::NoEnd => f.write_str("it does not end as a record does"),
            Malformed::Checksum => f.write_str("its checksum does not fit"),
            Malformed::Field(name) => write!(f, "its {name} does not read"),
            Malformed::Address => f.write_str("its address is none that a server could have"),
        }
    }
}

/// Why this program cannot use a server that is alive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Incompatibility {
    /// The server speaks another version of the handshake.
    Handshake {
        /// The server's version.
        server: u16,
        /// This program's version.
        client: u16,
    },
    /// The server does not know the request.
    Request,
}

impl Incompatibility {
    /// Returns why a server refused, by its answer to the hello.
    pub(crate) fn of(answer: Answer) -> Self {
        match answer.verdict {
            Verdict::VersionUnsupported => Incompatibility::Handshake { server: answer.protocol, client: PROTOCOL },
            // `Yes` never ends a dial.
            Verdict::IntentUnsupported | Verdict::Yes => Incompatibility::Request,
        }
    }
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incompatibility::Handshake { server, client } => {
                write!(f, "the server speaks version {server} of the handshake, this program {client}")
            }
            Incompatibility::Request => f.write_str("the server does not know what this program asks for"),
        }
    }
}

/// The part in which the scope of a server differs from this program's, so that this program cannot reach it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ScopeDifference {
    /// The machine.
    Machine,
    /// The boot, of this machine or of a machine that has no identity.
    Boot,
    /// The network namespace.
    Namespace,
    /// The network namespace, which is unknown for the server or for this program.
    UnknownNamespace,
}

impl ScopeDifference {
    pub(crate) fn of(difference: scope::Difference) -> Self {
        match difference {
            scope::Difference::Machine => ScopeDifference::Machine,
            scope::Difference::Boot => ScopeDifference::Boot,
            scope::Difference::Namespace => ScopeDifference::Namespace,
            scope::Difference::UnknownNamespace => ScopeDifference::UnknownNamespace,
        }
    }
}

impl fmt::Display for ScopeDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScopeDifference::Machine => "it is another machine's",
            ScopeDifference::Boot => "it names another boot",
            ScopeDifference::Namespace => "it is of another network namespace",
            ScopeDifference::UnknownNamespace => "its network namespace or this one is not known (is there a /proc?)",
        })
    }
}
