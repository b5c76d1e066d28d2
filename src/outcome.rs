//! How a client came to its server, and what it met on the way.

use std::fmt;
use std::time::Duration;

use crate::found::Malformed;
use crate::pid::Pid;
use crate::suspicion::Suspicion;

/// How a client came to its server; `Display` is one line.
///
/// ```text
/// joined an external server: pid 4711
/// started an external server (no record): pid 4711
/// started an external server (server gone): pid 4712
/// started a server in this process (the server /opt/counter exited with status 3 before it was ready)
/// ```
///
/// ```
/// # use rendezvous_ipc::{Origin, Outcome, Reason};
/// fn tell(outcome: &Outcome) {
///     if outcome.origin == Origin::StartedExternal(Reason::ServerGone) {
///         eprintln!("the last server crashed: {outcome}");
///     }
///     for suspicion in &outcome.suspicions {
///         eprintln!("{suspicion}"); // pid 4711 at 127.0.0.1:40123, Dial: refused
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Whether the server was there already.
    pub origin: Origin,
    /// The server's process, as it sees itself; this process's own for an internal server. `None` where its
    /// [`Dialect`](crate::Dialect) does not tell. Its version, its uptime and its clients are 0 then.
    pub pid: Option<Pid>,
    /// The version of the service that it offers: [`Descriptor::version`](crate::Descriptor::version).
    pub version: u32,
    /// For how long it had served, in whole seconds.
    pub uptime: Duration,
    /// How many clients it counted when it welcomed this one, this one included.
    pub clients: u32,
    /// What was dialled in vain before: the last 16, oldest first.
    pub suspicions: Vec<Suspicion>,
    /// What did not start before: the last 16, oldest first.
    pub failed: Vec<Failed>,
    /// How long the connect took.
    pub took: Duration,
}

/// Whether a server was there already.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Origin {
    /// It was.
    Joined,
    /// It was started as a process, for this reason.
    StartedExternal(Reason),
    /// It was there, a thread of this process.
    JoinedInternal,
    /// It was started as a thread of this process: by policy, or because of what did not start before.
    StartedInternal,
}

/// Why a server was started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// There was no point, or nothing in it.
    NoRecord,
    /// What the point held was damaged, and no server was alive to restore it.
    Malformed(Malformed),
    /// The server that the point named was gone.
    ServerGone,
    /// The server that the point named was one of an earlier boot.
    EarlierBoot,
    /// The server that the point named was one of a container that is gone.
    ContainerGone,
    /// The server that the point named was one of another machine, from which the home was copied.
    MachineGone,
    /// The server that the point named was one of a newer program, and gone.
    NewerGone,
    /// The server was of this older version of the service, and was asked to retire.
    Replaced(u32),
}

/// A server that was started and did not become one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Failed {
    /// It could not be started: what the error says.
    NotStarted(String),
    /// It found the lifetime lock held for all its time.
    Busy {
        /// Its process.
        pid: Pid,
    },
    /// It was registered, and gone before it could be reached.
    Vanished {
        /// Its process.
        pid: Pid,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = |f: &mut fmt::Formatter<'_>| self.pid.iter().try_for_each(|pid| write!(f, ": pid {pid}"));
        match self.origin {
            Origin::Joined => f.write_str("joined an external server").and_then(|()| pid(f)),
            Origin::StartedExternal(reason) => write!(f, "started an external server ({reason})").and_then(|()| pid(f)),
            Origin::JoinedInternal => f.write_str("joined the server in this process"),
            Origin::StartedInternal => match self.failed.last() {
                Some(failed) => write!(f, "started a server in this process ({failed})"),
                None => f.write_str("started a server in this process"),
            },
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoRecord => f.write_str("no record"),
            Reason::Malformed(malformed) => write!(f, "malformed record: {malformed}"),
            Reason::ServerGone => f.write_str("server gone"),
            Reason::EarlierBoot => f.write_str("server gone with an earlier boot"),
            Reason::ContainerGone => f.write_str("server gone with its container"),
            Reason::MachineGone => f.write_str("server left behind on another machine"),
            Reason::Replaced(version) => write!(f, "version {version} replaced"),
            Reason::NewerGone => f.write_str("server of a newer program gone"),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::NotStarted(error) => f.write_str(error),
            Failed::Busy { pid } => write!(f, "pid {pid} found the lifetime lock held"),
            Failed::Vanished { pid } => write!(f, "pid {pid} was gone at once"),
        }
    }
}
