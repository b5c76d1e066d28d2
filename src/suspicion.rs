//! The report of a dial that failed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::found::Incompatibility;
use crate::pid::{InBrackets, Pid};
use crate::proto::connect;
use crate::stage::Stage;
use crate::transport::Endpoint;

/// A dial that failed, such as `127.0.0.1:40123 (pid 4711) sent nothing in time, at Prove`. It does not prove that the
/// server is dead.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Suspicion {
    /// The process that the record names, which need not be the one that listens there. `None` if it names none.
    pub pid: Option<Pid>,
    /// The address that was dialled.
    pub address: Endpoint,
    /// The step at which it failed.
    pub stage: Stage,
    /// How it failed.
    pub failure: DialFailure,
    /// The user of the process that listens there, if that is another user: the process is an impostor then.
    pub user: Option<u32>,
    /// The socket, if its mode admits not even its owner. Its server restores the mode.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::json::path"))]
    pub socket: Option<PathBuf>,
}

/// How a dial failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DialFailure {
    /// No process listens there.
    Refused,
    /// The mode of the socket admits not even its owner.
    NotWritable,
    /// The other side sent nothing in time.
    TimedOut,
    /// The other side closed the connection.
    Closed,
    /// The server proved itself, and closed the connection before it admitted this client.
    NotAdmitted,
    /// The other side sent an invalid reply.
    InvalidReply,
    /// The other side does not know the cookie: it is another program.
    Impostor,
    /// The connection led back to this program.
    SelfConnect,
    /// The server is alive, and does not support the request.
    Unsupported(Incompatibility),
    /// The server is alive, and offers a newer version of the service than this program understands.
    TooNew,
    /// The server knows the cookie and offers an older version of the service, which this client refuses.
    TooOld,
    /// The server is alive, and speaks another protocol than this program.
    OtherProtocol,
    /// The server is alive, and has no room for another client.
    Full,
}

impl DialFailure {
    /// Returns how a dial failed, or `None` for a local error.
    pub(crate) fn of(failure: connect::DialFailure) -> Option<Self> {
        Some(match failure {
            connect::DialFailure::Local => return None,
            connect::DialFailure::Refused => DialFailure::Refused,
            connect::DialFailure::NotWritable => DialFailure::NotWritable,
            connect::DialFailure::TimedOut => DialFailure::TimedOut,
            connect::DialFailure::Closed => DialFailure::Closed,
            connect::DialFailure::NotAdmitted => DialFailure::NotAdmitted,
            connect::DialFailure::InvalidReply => DialFailure::InvalidReply,
            connect::DialFailure::Impostor => DialFailure::Impostor,
            connect::DialFailure::SelfConnect => DialFailure::SelfConnect,
            connect::DialFailure::Unsupported(answer) => DialFailure::Unsupported(Incompatibility::of(answer)),
            connect::DialFailure::TooNew => DialFailure::TooNew,
            connect::DialFailure::TooOld => DialFailure::TooOld,
            connect::DialFailure::OtherProtocol(_) => DialFailure::OtherProtocol,
            connect::DialFailure::Full(_) | connect::DialFailure::TurnedAway(_) => DialFailure::Full,
        })
    }
}

impl Suspicion {
    fn write(&self, f: &mut fmt::Formatter<'_>, address: fmt::Arguments<'_>) -> fmt::Result {
        match (self.user, &self.socket, self.failure) {
            (Some(user), ..) => write!(f, "{address} belongs to a process of another user (uid {user})")?,
            (None, Some(socket), _) => write!(f, "the mode of {} keeps its own user out", socket.display())?,
            (None, None, DialFailure::Unsupported(why)) => write!(f, "{address}: {why}")?,
            (None, None, failure) => write!(f, "{address} {failure}")?,
        }
        write!(f, ", at {}", self.stage)
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = format_args!("{}{}", self.address, InBrackets(self.pid));
        self.write(f, address)
    }
}

/// A suspicion in a text that has named the process already, with the time for which it was tried.
pub(crate) struct Tried<'a>(pub(crate) &'a Suspicion, pub(crate) Duration);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tried(suspicion, waited) = self;
        suspicion.write(f, format_args!("{}", suspicion.address))?;
        write!(f, ", tried for {waited:.1?}")
    }
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DialFailure::Refused => "refused the connection",
            DialFailure::NotWritable => "keeps its own user out by the mode of the socket",
            DialFailure::TimedOut => "sent nothing in time",
            DialFailure::Closed => "closed the connection",
            DialFailure::NotAdmitted => "closed the connection before the welcome",
            DialFailure::InvalidReply => "sent an invalid reply",
            DialFailure::Impostor => "is another program, which does not know the cookie",
            DialFailure::SelfConnect => "is this program itself",
            DialFailure::Unsupported(why) => return why.fmt(f),
            DialFailure::TooNew => "offers a newer version of the service",
            DialFailure::TooOld => "offers an older version of the service",
            DialFailure::OtherProtocol => "speaks another protocol",
            DialFailure::Full => "has no room for another client",
        })
    }
}
