//! The report of a successful connect: how the client reached its server, and which attempts failed before.

use std::fmt;
use std::time::Duration;

use crate::found::Malformed;
use crate::pid::Pid;
use crate::suspicion::Suspicion;

/// How a client reached its server. `Display` is one line.
///
/// ```text
/// joined an external server: pid 4711
/// started an external server (no record): pid 4711
/// started an external server (server gone): pid 4712
/// started a server in this process (the server /opt/counter exited with status 3 before it was ready)
/// ```
///
/// With the feature `serde` it can be serialized, as JSON for example. The names of its fields are those of this type, and
/// stay. Names of variants are in `snake_case`; what a variant has is an object with the variant's name, but for
/// [`Origin`], which has the variant in `how` and the rest in `detail`. Times are seconds, addresses and paths are text, a
/// step is its name in [`Stage`](crate::Stage). New fields and variants may come.
///
/// ```json
/// {"origin": {"how": "started_external", "detail": {"replaced": 6}}, "pid": 4711, "version": 7, "uptime": 0,
///  "clients": 1, "suspicions": [], "failed": [], "took": 0.012}
/// ```
///
/// ```
/// # use rendezvous_ipc::{Origin, Outcome, Reason};
/// fn report(outcome: &Outcome) {
///     if outcome.origin == Origin::StartedExternal(Reason::ServerGone) {
///         eprintln!("the last server crashed: {outcome}");
///     }
///     for suspicion in &outcome.suspicions {
///         eprintln!("{suspicion}"); // pid 4711 at 127.0.0.1:40123, Dial: refused
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Outcome {
    /// Whether the client joined the server or started it.
    pub origin: Origin,
    /// The server's process, by its number in the server's PID namespace; this process for an internal server. `None`
    /// if the server's [`Dialect`](crate::Dialect) does not report it; its version, uptime and clients are 0 then.
    pub pid: Option<Pid>,
    /// The version of the service that it offers: [`Descriptor::version`](crate::Descriptor::version).
    pub version: u32,
    /// How long the server had served, in whole seconds.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::json::whole_seconds"))]
    pub uptime: Duration,
    /// How many clients the server counted when it welcomed this one, this one included.
    pub clients: u32,
    /// The dials that failed before: the last 16, oldest first.
    pub suspicions: Vec<Suspicion>,
    /// The servers that did not start before: the last 16, oldest first.
    pub failed: Vec<Failed>,
    /// How long the connect took.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::json::seconds"))]
    pub took: Duration,
}

/// Whether a client joined a server or started it, and as what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "how", content = "detail", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Origin {
    /// The client joined a server that is a process of its own.
    Joined,
    /// The client started a server as a process, for this reason.
    StartedExternal(Reason),
    /// The client joined a server that is a thread of this process.
    JoinedInternal,
    /// The client started a server as a thread of this process: by policy, or because no process could be started.
    StartedInternal,
}

/// Why a server was started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Reason {
    /// There was no point, or it was empty.
    NoRecord,
    /// The record in the point was damaged, and no server was alive to restore it.
    Malformed(Malformed),
    /// The server that the point named was gone.
    ServerGone,
    /// The server that the point named was of an earlier boot.
    EarlierBoot,
    /// The server that the point named was in a container that is gone.
    ContainerGone,
    /// The server that the point named was on another machine, from which the home was copied.
    MachineGone,
    /// The server that the point named was of a newer program, and is gone.
    NewerGone,
    /// The server offered this older version of the service, and the client requested that it retire.
    Replaced(u32),
}

/// A server that was started and could not be used.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Failed {
    /// It could not be started, for this reason.
    NotStarted(String),
    /// It found the lifetime lock held until its time was over.
    Busy {
        /// Its process.
        pid: Pid,
    },
    /// It was registered, and was gone before the client could reach it.
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
