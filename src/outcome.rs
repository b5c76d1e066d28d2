//! How a client came to its server, and what it met on the way.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::proto::address::Address;
use crate::proto::connect::Came;
use crate::proto::record::Malformed;

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
/// # use rendezvous_ipc::{How, Outcome, Reason};
/// fn tell(outcome: &Outcome) {
///     if outcome.how == How::StartedExternal(Reason::ServerGone) {
///         eprintln!("the last server crashed; {} is the new one", outcome.pid);
///     }
///     for suspicion in &outcome.suspicions {
///         eprintln!("{suspicion}"); // pid 4711 at 127.0.0.1:40123, Dial: refused
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Whether the server was there already.
    pub how: How,
    /// The server's process, as it sees itself; this process's own for an internal server. 0 where its
    /// [`Dialect`](crate::Dialect) does not tell, as for the version, the uptime and the clients.
    pub pid: u32,
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum How {
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// A dial that came to nothing. It proves nothing: `pid 4711 at 127.0.0.1:40123, Prove: silence`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Suspicion {
    /// The process that the record named, which need not be the one that listens there; 0 where it names none.
    pub pid: u32,
    /// Where it was dialled.
    pub address: Address,
    /// The step at which it came to nothing, named as in the protocol.
    pub stage: &'static str,
    /// What it came to.
    pub came: Came,
    /// The user of the process that listens there, where that is another's: then it is an impostor.
    pub user: Option<u32>,
    /// The socket, where its mode keeps its own user out. Its server changes the mode back.
    pub socket: Option<PathBuf>,
}

/// A server that was started and did not become one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Failed {
    /// It could not be started: what the error says.
    NotStarted(String),
    /// It found the lifetime lock held for all its time.
    Busy {
        /// Its process.
        pid: u32,
    },
    /// It was registered, and gone before it could be reached.
    Vanished {
        /// Its process.
        pid: u32,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            How::Joined if self.pid == 0 => f.write_str("joined an external server"),
            How::Joined => write!(f, "joined an external server: pid {}", self.pid),
            How::StartedExternal(reason) => write!(f, "started an external server ({reason}): pid {}", self.pid),
            How::JoinedInternal => f.write_str("joined the server in this process"),
            How::StartedInternal => match self.failed.last() {
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

impl Suspicion {
    /// Whether the server proved itself and only let the client wait: as a full one does.
    pub(crate) fn lets_wait(&self) -> bool {
        (self.stage, self.came) == ("Welcome", Came::Silence)
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Suspicion { pid, address, stage, came, user, socket } = self;
        let what = match came {
            Came::Trouble => "our own trouble",
            Came::Refused => "refused",
            Came::NotWritable => "the socket's mode keeps its own user out",
            Came::Myself => "reached ourselves",
            Came::Silence => "silence",
            Came::HungUp => "hung up",
            Came::Unwelcome => "hung up before the welcome",
            Came::Garbage => "garbage",
            Came::Impostor => "an impostor, which does not know the cookie",
            Came::TooNew => "a newer version of the service",
            Came::Unsupported(answer) => return write!(f, "pid {pid} at {address}, {stage}: {answer}"),
        };
        if *pid > 0 {
            write!(f, "pid {pid} at ")?;
        }
        write!(f, "{address}, {stage}: ")?;
        match (user, socket) {
            (Some(user), _) => write!(f, "a process of another user (uid {user}) listens there"),
            (None, Some(socket)) => write!(f, "the mode of {} keeps its own user out", socket.display()),
            (None, None) => f.write_str(what),
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
