//! What a look at a service, its retirement and its end come to.

use std::fmt;
use std::time::Duration;

use crate::outcome::Suspicion;
use crate::proto::address::Address;
use crate::proto::handshake::Answer;
use crate::proto::record::Malformed;
use crate::proto::scope::Difference;
use crate::proto::unresponsive::Sign;

/// What is there: the answer of [`Descriptor::inspect`](crate::Descriptor::inspect), true when it was asked.
///
/// ```
/// # use rendezvous_ipc::{Context, Descriptor, Status};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rendezvous_ipc::Error> {
/// # let context = Context::ephemeral("org.example.counter")?;
/// # let service = Descriptor::new(&context, "counter")?;
/// match service.inspect().await? {
///     Status::Live { pid, clients, .. } => println!("pid {pid} serves {clients} clients"),
///     status => println!("{status}"), // nothing there
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Status {
    /// A server lives.
    Live {
        /// Its process.
        pid: u32,
        /// The version of the service that it offers.
        version: u32,
        /// For how long it has served, in whole seconds.
        uptime: Duration,
        /// How many clients it counts.
        clients: u32,
    },
    /// Somebody listens where the record says. [`Dialect::Sequoia`](crate::Dialect::Sequoia) tells no more.
    Listening {
        /// Where.
        address: Address,
    },
    /// There is no server, and no record of one.
    Absent,
    /// There is no server; the point holds a damaged record.
    Malformed(Malformed),
    /// The server of the record is gone: it crashed, or the system was started anew.
    Gone {
        /// Its process, once. The number may be another's by now. 0 where its dialect does not tell.
        pid: u32,
    },
    /// No record that counts, but somebody is at work on the point: a server that starts, drains or will restore its
    /// record, or a client that holds the point lock.
    Between,
    /// A server holds its lifetime lock and does not answer: it is stopped, or it hangs.
    Unresponsive(Suspicion),
    /// A dial came to nothing, and whether a server lives could not be asked just now.
    Unknown(Suspicion),
    /// A live server that does not support to be asked.
    Incompatible(Answer),
    /// The point holds the record of a newer version of this crate. Whether its server lives was not asked.
    Newer {
        /// The format of its record.
        format: u32,
    },
    /// The point holds a record of another dialect. Whether its server lives was not asked.
    OtherDialect,
    /// The point holds the record of a server that cannot be reached from here: see
    /// [`Error::ForeignScope`](crate::Error::ForeignScope).
    ForeignScope {
        /// The process that the record names, by its number there.
        pid: u32,
        /// In which part its scope differs.
        differs: Difference,
    },
}

/// What came of asking a server to retire: the answer of [`Descriptor::retire`](crate::Descriptor::retire).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Retired {
    /// It retired. Its process is about to exit, or goes on without serving if that is the program's way.
    Retired {
        /// The process.
        pid: u32,
    },
    /// There was no server.
    Absent,
}

/// What came of ending a server that does not answer: the answer of
/// [`Descriptor::end_unresponsive`](crate::Descriptor::end_unresponsive).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// It was killed, and is gone: its lifetime lock was free after that.
    Ended {
        /// Its process, once. The number may be another's by now.
        pid: u32,
        /// What showed that it made no progress.
        sign: Sign,
    },
    /// Nothing was done, for no server was found that does not answer, but this.
    LeftAlone(Status),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Live { pid, version, uptime, clients } => {
                write!(
                    f,
                    "live: pid {pid}, version {version}, for {} s, {clients} client{}",
                    uptime.as_secs(),
                    if *clients == 1 { "" } else { "s" }
                )
            }
            Status::Absent => f.write_str("nothing there"),
            Status::Malformed(malformed) => write!(f, "no server, and a damaged record: {malformed}"),
            Status::Listening { address } => write!(f, "somebody listens at {address}"),
            Status::Gone { pid: 0 } => f.write_str("gone"),
            Status::Gone { pid } => write!(f, "gone: pid {pid}"),
            Status::Between => f.write_str("no record, but a server that starts or drains"),
            Status::Unresponsive(suspicion) => write!(f, "alive, and does not answer: {suspicion}"),
            Status::Unknown(suspicion) => write!(f, "perhaps gone: {suspicion}"),
            Status::Incompatible(answer) => write!(f, "not for this program: {answer}"),
            Status::Newer { format } => write!(f, "a newer program's (record format {format})"),
            Status::OtherDialect => f.write_str("another dialect's"),
            Status::ForeignScope { pid, differs } => {
                write!(f, "a server (pid {pid} there) that cannot be reached from here, for {differs}")
            }
        }
    }
}

impl fmt::Display for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Retired::Retired { pid } => write!(f, "retired: pid {pid}"),
            Retired::Absent => f.write_str("nothing there"),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Ended { pid, sign } => write!(f, "ended: pid {pid}, for {sign}"),
            Ending::LeftAlone(status) => write!(f, "left alone: {status}"),
        }
    }
}
