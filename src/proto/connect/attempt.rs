//! The goal of a connect, and the state that its decisions depend on.

use super::verdict::{About, Age, about};
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
    /// The client's own version.
    pub ours: u32,
    /// The newest version that the client understands. It leaves a server of a newer version alone.
    pub newest: u32,
    /// What the client does with a server of an older version than its own.
    pub older: Older,
}

/// What a client does with a live server of an older version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Older {
    /// It asks the server to retire, and starts its own. A client that starts no process joins the server.
    Replace,
    /// It joins the server.
    Join,
    /// It leaves the server alone, and the connect ends.
    Refuse,
}

impl Versions {
    /// Accepts every server.
    pub const ANY: Versions = Versions { ours: 0, newest: u32::MAX, older: Older::Replace };

    /// Returns the versions of a client of this version. A client without a program has no server to put in the place of
    /// an older one, so it joins that one instead.
    pub const fn of(version: u32, newest: u32, older: Older, has_program: bool) -> Self {
        let older = match (older, has_program) {
            (Older::Replace, true) => Older::Replace,
            (Older::Replace, false) | (Older::Join, _) => Older::Join,
            (Older::Refuse, _) => Older::Refuse,
        };
        Versions { ours: version, newest, older }
    }
}

impl Goal {
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

    /// Returns what this connect does about the version of a record. A second server that is too old, which a client of
    /// another version started meanwhile, is replaced only if it is newer than the first: otherwise two such clients
    /// could replace each other's servers forever.
    pub(super) fn about(&self, record: &Record) -> About {
        let age = Age::of(record.version, self.versions);
        match about(self.goal, age, self.versions.older) {
            About::Replace if self.replaced.as_ref().is_some_and(|before| before.version >= record.version) => {
                About::Accept
            }
            about => about,
        }
    }

    /// Returns what to request from the server of a record.
    pub(super) fn intent(&self, record: &Record) -> Intent {
        match self.about(record) {
            About::Replace => Intent::Retire,
            About::Accept | About::TooOld | About::TooNew => self.goal.intent(),
        }
    }

    /// Returns the version that the client states to a server: its own, by which it also replaces an older server. A
    /// client that was asked to have the server retire replaces it by none.
    pub(super) const fn states(&self) -> u32 {
        match self.goal {
            Goal::Retire => 0,
            Goal::Connect(_) | Goal::Join | Goal::Serve => self.versions.ours,
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
