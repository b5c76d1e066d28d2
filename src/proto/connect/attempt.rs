//! The goal of a connect, and the state that its decisions depend on.

use super::{Done, Lock, Row, Step};
use crate::proto::handshake::Intent;
use crate::proto::record::{Found, Record};
use crate::proto::scope::{Place, Reach};

/// The number of different records that are dialled without the lock.
const FREE_DIALS: u8 = 2;

/// The goal of a connect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Goal {
    /// To become a client of the server, which is started if there is none.
    Connect(Policy),
    /// To become a client of the server, if there is one. Nothing is started, and nothing on disk changes.
    Join,
    /// To become the server, unless there is one.
    Serve,
    /// To have the server retire, if there is one.
    Retire,
}

/// How a server may be started. A client joins a live registered server under every policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Policy {
    /// As a process. If it cannot start, the connect fails with an error.
    External,
    /// As a thread of this process. All connects of the process share it, and it ends with the last of them. It takes
    /// no lock and touches no file.
    Internal,
    /// As a process; as a thread if the program cannot be executed, ends, fails, writes no valid reply or takes too
    /// long. No thread starts while another server may be alive.
    Robust,
}

/// The versions of the service that a client accepts. The user chooses the numbers, which only grow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Versions {
    /// The client's own version. The client asks a server of an older version to retire, and replaces it.
    pub ours: u32,
    /// The newest version that the client understands. It leaves a server of a newer version alone.
    pub newest: u32,
}

impl Versions {
    /// Accepts every server.
    pub const ANY: Versions = Versions { ours: 0, newest: u32::MAX };

    /// Returns the versions of a client of this version. A client without a program has no server to put in the place of
    /// an older one, so none is too old for it.
    pub const fn of(version: u32, newest: u32, has_program: bool) -> Self {
        Versions { ours: if has_program { version } else { 0 }, newest }
    }
}

impl Goal {
    /// Returns whether the server counts this client. Such a client leaves a server alone that is too new for it.
    pub(super) const fn is_served(self) -> bool {
        matches!(self, Goal::Connect(_) | Goal::Join)
    }

    /// Returns whether this connect is over where no server is alive.
    pub(super) const fn starts_nothing(self) -> bool {
        matches!(self, Goal::Join | Goal::Retire)
    }

    /// Returns whether this connect creates a point that does not exist, to lock it.
    pub(super) const fn creates(self) -> bool {
        !matches!(self, Goal::Join)
    }

    pub(super) fn intent(self) -> Intent {
        match self {
            Goal::Connect(_) | Goal::Join => Intent::Connect,
            Goal::Serve => Intent::Status,
            Goal::Retire => Intent::Retire,
        }
    }
}

/// The state that decisions depend on, from the first step to the last.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Attempt {
    pub(super) goal: Goal,
    pub(super) here: Place,
    pub(super) versions: Versions,
    /// The record of an older server that was asked to retire.
    pub(super) replaced: Option<Record>,
    /// The record of the last dial that failed.
    pub(super) suspect: Option<Record>,
    /// Whether there was no life file and a server had time to make it again.
    pub(super) waited: bool,
    /// The number of different records that were dialled without the lock.
    pub(super) dials: u8,
    /// The number of servers that were started and did not report *busy*.
    pub(super) starts: u8,
}

impl Attempt {
    pub(super) fn dialable(&self, record: &Record) -> bool {
        self.here.reach(&record.scope, &record.address) == Reach::Direct
            && self.suspect.as_ref() != Some(record)
            && self.replaced.as_ref() != Some(record)
            && self.dials < FREE_DIALS
    }

    /// Returns what to request from the server of a record. An older server is asked to retire if this client can start
    /// a newer one. A second server, which a client of another version started meanwhile, is asked only if it is newer
    /// than the first: otherwise two such clients could replace each other's servers forever.
    pub(super) fn intent(&self, record: &Record) -> Intent {
        match self.goal {
            Goal::Connect(Policy::External | Policy::Robust)
                if record.version < self.versions.ours
                    && self.replaced.as_ref().is_none_or(|before| before.version < record.version) =>
            {
                Intent::Retire
            }
            goal => goal.intent(),
        }
    }

    /// Returns the next step if there is no record to dial without the lock.
    pub(super) fn without_a_server(self) -> Step {
        match self.goal {
            Goal::Connect(Policy::Internal) => Step::Done(Done::Internal),
            _ => Step::Lock(Lock { attempt: self }),
        }
    }

    /// Returns the row of the table for what was read under the lock.
    pub(super) fn row(&self, found: &Found) -> Row {
        match found {
            Found::Absent | Found::Empty | Found::Malformed(_) => Row::Nothing,
            Found::Newer { .. } => Row::Newer,
            Found::OtherDialect => Row::OtherDialect,
            Found::Record(record) => self.row_of(record),
        }
    }

    /// Returns the row of the table for a record.
    pub(super) fn row_of(&self, record: &Record) -> Row {
        match self.replaced.as_ref() == Some(record) {
            true => Row::Replaced,
            false => Row::of(&self.here, record, self.suspect.as_ref() == Some(record)),
        }
    }
}
