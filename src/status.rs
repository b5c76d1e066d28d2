//! The results of `inspect`, `retire` and `end_unresponsive`.

use std::fmt;
use std::time::Duration;

use crate::found::{Incompatibility, Malformed, ScopeDifference};
use crate::pid::Pid;
use crate::proto::unresponsive;
use crate::suspicion::Suspicion;

/// The state of a service at the time of [`Descriptor::inspect`](crate::Descriptor::inspect), which returns it.
///
/// ```
/// # use rendezvous_ipc::{Context, Descriptor, Status};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rendezvous_ipc::Error> {
/// # let context = Context::ephemeral("org.example.counter")?;
/// # let service = Descriptor::new(&context, "counter")?;
/// match service.inspect().await? {
///     Status::Live { clients, .. } => println!("it serves {clients} clients"),
///     status => println!("{status}"), // nothing there
/// }
/// # Ok(()) }
/// ```
///
/// With the feature `serde` it can be serialized: the variant is in `state`, in `snake_case`, and what it has in `detail`.
/// The names stay, and the rest is as for [`Outcome`](crate::Outcome). [`Retirement`] and [`Termination`] have the variant
/// in `result`.
///
/// ```json
/// {"state": "live", "detail": {"pid": 4711, "version": 7, "uptime": 12, "clients": 1,
///     "welcomed": 5, "refused": 2, "restored": 0}}
/// {"state": "absent"}
/// {"state": "malformed", "detail": "checksum"}
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "state", content = "detail", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Status {
    /// A server is alive and answers.
    #[non_exhaustive]
    Live {
        /// Its process.
        pid: Option<Pid>,
        /// The version of the service that it offers.
        version: u32,
        /// How long it has served, in whole seconds.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::json::whole_seconds"))]
        uptime: Duration,
        /// How many clients it counts now.
        clients: u32,
        /// How many clients it has welcomed, those that have left included.
        welcomed: u64,
        /// How many connections ended without a welcome. This request is none of them, nor is it a client.
        refused: u64,
        /// How often it has made one of its files again: its record, its life file or its socket. A number that grows
        /// shows that something removes or damages them.
        restored: u64,
    },
    /// A process listens at the address of the record. [`Dialect::Sequoia`](crate::Dialect::Sequoia) reports no more.
    /// Needs the feature `sequoia`.
    #[cfg(feature = "sequoia")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
    Listening {
        /// The address.
        address: crate::transport::Endpoint,
    },
    /// There is no server, and no record of one.
    Absent,
    /// There is no server, and the point holds a damaged record.
    Malformed(Malformed),
    /// The server of the record is gone: it crashed, or the system was restarted.
    Gone {
        /// The process that it had. Another process may have the number by now. `None` if the dialect does not report
        /// it.
        pid: Option<Pid>,
    },
    /// There is no valid record, but the service is in use: a server starts, drains or will restore its record, or a
    /// client holds the point lock.
    InTransition,
    /// A server holds its lifetime lock and does not answer: it is stopped, or it hangs.
    Unresponsive(Suspicion),
    /// A dial failed, and whether a server is alive could not be found out just now.
    Unknown(Suspicion),
    /// A server is alive, and does not support this request.
    Incompatible(Incompatibility),
    /// The point holds the record of a newer version of this crate. Whether its server is alive is not checked.
    Newer {
        /// The format of its record.
        format: u32,
    },
    /// The point holds a record of another dialect. Whether its server is alive is not checked.
    OtherDialect,
    /// The point holds the record of a server that cannot be reached from here: see
    /// [`Error::ForeignScope`](crate::Error::ForeignScope).
    ForeignScope {
        /// The process that the record names, by its number there.
        pid: Option<Pid>,
        /// The part in which its scope differs.
        differs: ScopeDifference,
    },
}

/// The result of [`Descriptor::retire`](crate::Descriptor::retire).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "result", content = "detail", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Retirement {
    /// The server retired. Its process is about to exit, or continues without serving if the program does so.
    Exited {
        /// Its process.
        pid: Option<Pid>,
    },
    /// There was no server.
    NoServer,
}

/// The result of [`Descriptor::end_unresponsive`](crate::Descriptor::end_unresponsive).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "result", content = "detail", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Termination {
    /// The server was killed and is gone: its lifetime lock was free afterwards.
    Killed {
        /// The process that it had. Another process may have the number by now.
        pid: Pid,
        /// What showed that it made no progress.
        sign: Sign,
    },
    /// Nothing was done: the service was in this state, without a server that does not answer.
    LeftAlone(Status),
}

/// A sign that a server makes no progress.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Sign {
    /// Its process was stopped.
    Stopped,
    /// Its serving thread got no CPU time.
    NoTime,
    /// The queue at its port was full, and no connection was accepted.
    FullQueue,
}

impl Sign {
    pub(crate) fn of(sign: unresponsive::Sign) -> Self {
        match sign {
            unresponsive::Sign::Stopped => Sign::Stopped,
            unresponsive::Sign::NoTime => Sign::NoTime,
            unresponsive::Sign::FullQueue => Sign::FullQueue,
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sign::Stopped => "it was stopped",
            Sign::NoTime => "its serving thread got no CPU time",
            Sign::FullQueue => "the queue at its port was full, and no connection was accepted",
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Live { pid, version, uptime, clients, .. } => {
                f.write_str("live: ")?;
                pid.iter().try_for_each(|pid| write!(f, "pid {pid}, "))?;
                write!(
                    f,
                    "version {version}, for {} s, {clients} client{}",
                    uptime.as_secs(),
                    if *clients == 1 { "" } else { "s" }
                )
            }
            Status::Absent => f.write_str("nothing there"),
            Status::Malformed(malformed) => write!(f, "no server, and a damaged record: {malformed}"),
            #[cfg(feature = "sequoia")]
            Status::Listening { address } => write!(f, "a process listens at {address}"),
            Status::Gone { pid } => {
                f.write_str("gone")?;
                pid.iter().try_for_each(|pid| write!(f, ": pid {pid}"))
            }
            Status::InTransition => f.write_str("no record, but a server that starts or drains"),
            Status::Unresponsive(suspicion) => write!(f, "alive, and does not answer: {suspicion}"),
            Status::Unknown(suspicion) => write!(f, "perhaps gone: {suspicion}"),
            Status::Incompatible(why) => write!(f, "not for this program: {why}"),
            Status::Newer { format } => write!(f, "a newer program's (record format {format})"),
            Status::OtherDialect => f.write_str("another dialect's"),
            Status::ForeignScope { pid, differs } => {
                let there = pid.map_or_else(String::new, |pid| format!(" (pid {pid} there)"));
                write!(f, "a server{there} that cannot be reached from here, for {differs}")
            }
        }
    }
}

impl fmt::Display for Retirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Retirement::Exited { pid } => {
                f.write_str("retired")?;
                pid.iter().try_for_each(|pid| write!(f, ": pid {pid}"))
            }
            Retirement::NoServer => f.write_str("nothing there"),
        }
    }
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Termination::Killed { pid, sign } => write!(f, "ended: pid {pid}, for {sign}"),
            Termination::LeftAlone(status) => write!(f, "left alone: {status}"),
        }
    }
}
