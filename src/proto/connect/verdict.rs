//! The client's tables: record × lifetime lock, the outcome of a dial, and goal × version.

use super::attempt::{Goal, Older, Policy, Versions};
use crate::proto::handshake::{self, Rejected};
use crate::proto::lock::Lifetime;
use crate::proto::record::Record;
use crate::proto::scope::{Place, Reach};
use crate::proto::tag::Tag;

/// The kind of record that was read, as seen by this connect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Row {
    /// Absent, empty or malformed.
    Nothing,
    /// Of a newer format than this program understands.
    Newer,
    /// A complete record of the other dialect.
    OtherDialect,
    /// Of another machine, in a home whose locks may not exclude processes of other machines.
    Foreign,
    /// At a port that, from this place, belongs to another process or may belong to any.
    Apart,
    /// Of another boot identifier. The port belongs to its server only if that identifier names this boot, too.
    Doubtful,
    /// Valid, of an older server that this client asked to retire.
    Replaced,
    /// Valid, and not the suspect: not the last record whose dial failed.
    Fresh,
    /// Valid, and the suspect.
    Suspected,
}

impl Row {
    /// Returns the row of a record as seen from this place. `dialled`: this connect's last dial that failed was of this record.
    pub fn of(here: &Place, record: &Record, dialled: bool) -> Self {
        match here.reach(&record.scope, &record.address) {
            Reach::Direct if !dialled => Row::Fresh,
            _ if here.is_foreign(&record.scope) => Row::Foreign,
            _ if dialled => Row::Suspected,
            Reach::Doubtful => Row::Doubtful,
            Reach::Direct | Reach::Apart => Row::Apart,
        }
    }
}

/// The decision by record and lifetime lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Verdict {
    Start,
    BackOff,
    DialHolding,
    /// Dials the suspect again, without the lock.
    DialAgain,
    /// Waits for a server to make its life file again, and starts one if none does.
    Wait,
    Refuse(Refusal),
}

/// Why a connect ends without a server although no operation failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// The server of a newer program is alive.
    Incompatible,
    /// The point belongs to servers of another dialect.
    OtherDialect,
    /// The point belongs to another machine, and this machine cannot know whether its server is alive.
    ForeignScope,
    /// Whether a server is alive cannot be determined.
    CannotTell,
}

/// Decides by the record and the lifetime lock: `docs/protocol.md`, "Record and lifetime lock".
pub(super) const fn verdict(row: Row, lifetime: Lifetime) -> Verdict {
    use Lifetime::*;
    use Row::*;
    use Verdict::*;
    const INCOMPATIBLE: Verdict = Refuse(Refusal::Incompatible);
    const DIALECT: Verdict = Refuse(Refusal::OtherDialect);
    const FOREIGN: Verdict = Refuse(Refusal::ForeignScope);
    const CANNOT_TELL: Verdict = Refuse(Refusal::CannotTell);
    match (row, lifetime) {
        (Nothing, Free) => Start,
        (Nothing, Held) => BackOff,
        (Nothing, Absent) => Start,
        (Nothing, CannotTell) => CANNOT_TELL,
        (Newer, Free) => Start,
        (Newer, Held) => INCOMPATIBLE,
        (Newer, Absent) => Wait,
        (Newer, CannotTell) => CANNOT_TELL,
        (Row::OtherDialect, _) => DIALECT,
        (Foreign, Free | Absent) => FOREIGN,
        (Foreign, Held) => BackOff,
        (Foreign, CannotTell) => FOREIGN,
        (Apart, Free) => Start,
        (Apart, Held) => BackOff,
        (Apart, Absent) => Wait,
        (Apart, CannotTell) => CANNOT_TELL,
        // The record is of another boot, unless the lifetime lock is held.
        (Doubtful, Free | Absent) => Start,
        (Doubtful, Held) => DialHolding,
        (Doubtful, CannotTell) => CANNOT_TELL,
        (Replaced, Free) => Start,
        (Replaced, Held) => BackOff,
        (Replaced, Absent) => Wait,
        (Replaced, CannotTell) => CANNOT_TELL,
        (Fresh, _) => DialHolding,
        (Suspected, Free) => Start,
        (Suspected, Held) => DialAgain,
        (Suspected, Absent) => Wait,
        (Suspected, CannotTell) => CANNOT_TELL,
    }
}

/// How a dial failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DialFailure {
    /// A local error: any that is not in this list.
    Local,
    /// Refused, or no such socket.
    Refused,
    /// The mode of the socket denies access to its owner.
    NotWritable,
    /// The socket was connected to itself.
    SelfConnect,
    /// `patience` is over, or the system's own timeout.
    TimedOut,
    /// The server closed the connection before its proof: an end, reset, aborted, or a broken pipe.
    Closed,
    /// The server closed the connection after its proof and before the welcome.
    NotAdmitted,
    /// The reply is not one that a server sends.
    InvalidReply,
    /// The other side does not know the cookie.
    Impostor,
    /// The server knows the cookie, but does not support the request.
    Unsupported(handshake::Answer),
    /// The server knows the cookie, but offers a newer version of the service than this client understands.
    TooNew,
    /// The server knows the cookie, but offers an older version of the service, which this client refuses.
    TooOld,
    /// The server admits no client of this one's protocol. It speaks that of this tag.
    OtherProtocol(Tag),
    /// The server has no room at the moment, beside so many clients.
    Full(u32),
    /// The server has no room, beside so many clients, and wants no client to wait for one.
    TurnedAway(u32),
}

/// The class of a failed dial, which decides what follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// A local error. It shows nothing about the server.
    Local,
    /// The server may be dead: a reason to probe the lifetime lock, but no proof.
    Suspicion,
    /// A live server that this client cannot use.
    Incompatible,
    /// A live server that has no room at the moment: dial it again, and hold no lock meanwhile.
    Full,
}

impl DialFailure {
    /// Returns this failure as it counts after the server's proof: a server that closes the connection then knows the
    /// cookie, but does not admit the client.
    pub const fn after_the_proof(self) -> Self {
        match self {
            DialFailure::Closed => DialFailure::NotAdmitted,
            failure => failure,
        }
    }

    /// Returns the class of this failure: `docs/protocol.md`, "Dial outcomes".
    pub const fn class(self) -> Class {
        match self {
            DialFailure::Local => Class::Local,
            DialFailure::Refused
            | DialFailure::NotWritable
            | DialFailure::SelfConnect
            | DialFailure::TimedOut
            | DialFailure::Closed
            | DialFailure::NotAdmitted
            | DialFailure::InvalidReply
            | DialFailure::Impostor => Class::Suspicion,
            DialFailure::Unsupported(_)
            | DialFailure::TooNew
            | DialFailure::TooOld
            | DialFailure::OtherProtocol(_)
            | DialFailure::TurnedAway(_) => Class::Incompatible,
            DialFailure::Full(_) => Class::Full,
        }
    }
}

impl From<Rejected> for DialFailure {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::WrongProof => DialFailure::Impostor,
            Rejected::InvalidReply => DialFailure::InvalidReply,
            Rejected::Unsupported(answer) => DialFailure::Unsupported(answer),
            Rejected::OtherProtocol(tag) => DialFailure::OtherProtocol(tag),
            Rejected::Full(clients) => DialFailure::Full(clients),
            Rejected::TurnedAway(clients) => DialFailure::TurnedAway(clients),
        }
    }
}

/// How the version of a record compares with the versions that a client accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Age {
    /// Older than the client's own.
    Older,
    /// The client's own, or a newer one that it understands.
    Fits,
    /// Newer than the client understands.
    Newer,
}

impl Age {
    pub(super) const fn of(version: u32, versions: Versions) -> Self {
        match version {
            version if version > versions.newest => Age::Newer,
            version if version < versions.ours => Age::Older,
            _ => Age::Fits,
        }
    }
}

/// What a connect does about the version of a live server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum About {
    /// Nothing: it requests what its goal requests.
    Accept,
    /// It requests that the server retire, and replaces it.
    Replace,
    /// It leaves the server alone, and ends.
    TooOld,
    /// It leaves the server alone, and ends.
    TooNew,
}

/// Decides by the client's goal, the version that a server offers, and the client's choice. A server that is started by
/// hand and a request to retire ask nothing about versions. `docs/protocol.md`, "Steps of a client", has the reasons.
pub(super) const fn about(goal: Goal, age: Age, older: Older) -> About {
    use Older::*;
    match (goal, age, older) {
        (Goal::Serve | Goal::Retire, _, _) => About::Accept,
        (Goal::Connect(_) | Goal::Join, Age::Fits, _) => About::Accept,
        (Goal::Connect(_) | Goal::Join, Age::Newer, _) => About::TooNew,
        (Goal::Connect(_) | Goal::Join, Age::Older, Refuse) => About::TooOld,
        (Goal::Connect(_) | Goal::Join, Age::Older, Join) => About::Accept,
        (Goal::Connect(Policy::External | Policy::Robust), Age::Older, Replace) => About::Replace,
        (Goal::Connect(Policy::Internal) | Goal::Join, Age::Older, Replace) => About::Accept,
    }
}
