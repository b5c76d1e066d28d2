//! What a connect is for, and what decides on its way.

use super::{Done, Lock, Row, Step};
use crate::proto::handshake::Intent;
use crate::proto::record::{Found, Record};
use crate::proto::scope::{Place, Reach};

/// How many different records are dialled without the lock.
const FREE_DIALS: u8 = 2;
/// What this connect is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Goal {
    /// To be served.
    Connect(Policy),
    /// To become the server, unless there is one.
    Serve,
    /// To have the server retire, if there is one.
    Retire,
}

/// How a server may be started. A registered one that lives is joined whatever the policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Policy {
    /// As a process. What keeps it from starting is an error.
    External,
    /// As a thread of this process, which all its connects share and which ends with the last of them. It takes no
    /// lock and touches no file.
    Internal,
    /// As a process, or as a thread where the program cannot be executed, ends, fails, talks nonsense or takes too
    /// long; never beside a server that may be alive.
    Robust,
}

/// Which versions of the service a client is for: numbers of the user's own, that only grow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Versions {
    /// The client's own. A server of an older one is asked to retire, and replaced.
    pub ours: u32,
    /// The newest that it understands. A server of a newer one is left alone.
    pub newest: u32,
}

impl Versions {
    /// Any server will do.
    pub const ANY: Versions = Versions { ours: 0, newest: u32::MAX };
}

impl Goal {
    pub(super) fn intent(self) -> Intent {
        match self {
            Goal::Connect(_) => Intent::Connect,
            Goal::Serve => Intent::Status,
            Goal::Retire => Intent::Retire,
        }
    }
}

/// What decides, from the first step to the last.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Attempt {
    pub(super) goal: Goal,
    pub(super) here: Place,
    pub(super) versions: Versions,
    /// The record of an older server that was asked to retire.
    pub(super) replaced: Option<Record>,
    /// The record that was dialled last, to no avail.
    pub(super) suspect: Option<Record>,
    /// There was no life file, and a server had the time to make it again.
    pub(super) waited: bool,
    /// How many different records were dialled without the lock.
    pub(super) dials: u8,
    /// How many servers were started that were not busy.
    pub(super) starts: u8,
}

impl Attempt {
    pub(super) fn dialable(&self, record: &Record) -> bool {
        self.here.reach(record) == Reach::Direct
            && self.suspect.as_ref() != Some(record)
            && self.replaced.as_ref() != Some(record)
            && self.dials < FREE_DIALS
    }

    /// What to ask the server of a record: an older one is to go, where a newer can be started. A second one only if it
    /// is newer than the first, which another client of another version started meanwhile: so it comes to an end.
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

    /// Where to go when nothing was found that can be dialled without the lock.
    pub(super) fn without_a_server(self) -> Step {
        match self.goal {
            Goal::Connect(Policy::Internal) => Step::Done(Done::Internal),
            _ => Step::Lock(Lock { attempt: self }),
        }
    }

    /// The row of the table that a record, read under the lock, stands for.
    pub(super) fn row(&self, found: &Found) -> Row {
        match found {
            Found::Absent | Found::Empty | Found::Malformed(_) => Row::Nothing,
            Found::Newer { .. } => Row::Newer,
            Found::OtherDialect => Row::OtherDialect,
            Found::Record(record) => self.row_of(record),
        }
    }
    /// The same, of a record.
    pub(super) fn row_of(&self, record: &Record) -> Row {
        match self.replaced.as_ref() == Some(record) {
            true => Row::Replaced,
            false => Row::of(&self.here, record, self.suspect.as_ref() == Some(record)),
        }
    }
}
