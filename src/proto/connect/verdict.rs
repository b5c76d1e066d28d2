//! The two tables of the client: what a record and the lifetime lock come to, and what a dial came to.

use crate::proto::handshake::{self, Rejected};
use crate::proto::record::Record;
use crate::proto::scope::{Place, Reach};

/// What the record says, seen from this connect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Row {
    /// Absent, empty or malformed.
    Nothing,
    /// Of a newer format than ours.
    Newer,
    /// Of the other dialect, whole.
    OtherDialect,
    /// Of another machine, in a home whose locks may be no locks between machines.
    Foreign,
    /// At a port that is somebody else's from here, or nobody knows whose.
    Apart,
    /// At a port that is its server's only if the other boot that it names is this one.
    Doubtful,
    /// Valid, of an older server that was asked to retire.
    Replaced,
    /// Valid, and not dialled yet.
    Fresh,
    /// Valid, dialled and suspected.
    Suspected,
}

impl Row {
    /// Returns what a record says to who stands at this place: after a dial that failed, or before any.
    pub fn of(here: &Place, record: &Record, dialled: bool) -> Self {
        match here.reach(record) {
            Reach::Direct if !dialled => Row::Fresh,
            _ if here.is_foreign(&record.scope) => Row::Foreign,
            _ if dialled => Row::Suspected,
            Reach::Doubtful => Row::Doubtful,
            Reach::Direct | Reach::Apart => Row::Apart,
        }
    }
}

/// What the lifetime lock said, asked while holding the point lock. *Free* is a fact, *held* is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lifetime {
    /// No server is alive, whatever the record says.
    Free,
    /// Something holds it: a server, or what is left of one.
    Held,
    /// There is no life file: nobody holds it, or it was removed and its server has not made it again.
    Absent,
    /// It cannot be opened, or there are no locks here.
    CannotTell,
}

/// What a record and the lifetime lock come to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Verdict {
    Start,
    BackOff,
    DialHolding,
    /// Dial the suspect again, without the lock.
    DialAgain,
    /// Wait for a server to make its life file again; if none did, start.
    Wait,
    Refuse(Refusal),
}

/// Why a connect ends although nothing failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// A newer program's server lives here.
    Incompatible,
    /// The point belongs to servers of another dialect.
    OtherDialect,
    /// The point belongs to another machine, and whether that one's server lives cannot be told here.
    ForeignScope,
    /// Nobody can tell whether a server is alive.
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
    const NO_IDEA: Verdict = Refuse(Refusal::CannotTell);
    match (row, lifetime) {
        (Nothing, Free) => Start,
        (Nothing, Held) => BackOff,
        (Nothing, Absent) => Start,
        (Nothing, CannotTell) => NO_IDEA,
        (Newer, Free) => Start,
        (Newer, Held) => INCOMPATIBLE,
        (Newer, Absent) => Wait,
        (Newer, CannotTell) => NO_IDEA,
        (Row::OtherDialect, _) => DIALECT,
        (Foreign, Free | Absent) => FOREIGN,
        (Foreign, Held) => BackOff,
        (Foreign, CannotTell) => FOREIGN,
        (Apart, Free) => Start,
        (Apart, Held) => BackOff,
        (Apart, Absent) => Wait,
        (Apart, CannotTell) => NO_IDEA,
        // Of another boot, unless a held lock says otherwise.
        (Doubtful, Free | Absent) => Start,
        (Doubtful, Held) => DialHolding,
        (Doubtful, CannotTell) => NO_IDEA,
        (Replaced, Free) => Start,
        (Replaced, Held) => BackOff,
        (Replaced, Absent) => Wait,
        (Replaced, CannotTell) => NO_IDEA,
        (Fresh, _) => DialHolding,
        (Suspected, Free) => Start,
        (Suspected, Held) => DialAgain,
        (Suspected, Absent) => Wait,
        (Suspected, CannotTell) => NO_IDEA,
    }
}

/// What a dial came to, short of a welcome.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DialFailure {
    /// An error that is not in this list: our own trouble.
    Local,
    /// Refused, or no such socket.
    Refused,
    /// The mode of the socket keeps its own user out.
    NotWritable,
    /// We reached ourselves.
    SelfConnect,
    /// `patience` is over, or the system's own.
    TimedOut,
    /// It hung up before its proof: an end, reset, aborted, or a broken pipe.
    Closed,
    /// It hung up after its proof, before the welcome.
    NotAdmitted,
    /// It said what no server says.
    InvalidReply,
    /// It does not know the cookie.
    Impostor,
    /// It knows the cookie, and does not support what we ask for.
    Unsupported(handshake::Answer),
    /// It knows the cookie, and offers a newer version of the service than we understand.
    TooNew,
}

/// What to make of a dial's outcome.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// It proves nothing about anybody.
    Ours,
    /// No proof, a reason to ask the lifetime lock.
    Suspicion,
    /// A live server that is not for us.
    Incompatible,
}

impl DialFailure {
    /// Returns what this is where the server has proved itself: one that hangs up then knows the cookie, and does not
    /// welcome.
    pub const fn after_the_proof(self) -> Self {
        match self {
            DialFailure::Closed => DialFailure::NotAdmitted,
            failure => failure,
        }
    }

    /// Returns what to make of this outcome: `docs/protocol.md`, "Dial outcomes".
    pub const fn class(self) -> Class {
        match self {
            DialFailure::Local => Class::Ours,
            DialFailure::Refused
            | DialFailure::NotWritable
            | DialFailure::SelfConnect
            | DialFailure::TimedOut
            | DialFailure::Closed
            | DialFailure::NotAdmitted
            | DialFailure::InvalidReply
            | DialFailure::Impostor => Class::Suspicion,
            DialFailure::Unsupported(_) | DialFailure::TooNew => Class::Incompatible,
        }
    }
}

impl From<Rejected> for DialFailure {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::WrongProof => DialFailure::Impostor,
            Rejected::InvalidReply => DialFailure::InvalidReply,
            Rejected::Unsupported(answer) => DialFailure::Unsupported(answer),
        }
    }
}
