//! Status and retirement: what a client may want of a server without being served.

use std::fmt;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use super::connect::{self, Ended};
use super::dial;
use super::life;
use super::os::scope;
use super::point::{self, Guard};
use super::sequoia;
use super::story::{Story, Suspicion, still_there};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::proto::address::Address;
use crate::proto::connect::{Came, Goal, Lifetime};
use crate::proto::handshake::{Answer, Intent, Welcome};
use crate::proto::record::{Found, Malformed, Record};
use crate::proto::scope::{Difference, Place, Reach};
use crate::service::Service;

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

/// Looks at a point. Takes no lock, unless a dial came to nothing or there is nothing to dial.
pub(crate) async fn inspect(service: &Service) -> Result<Status, Error> {
    if service.dialect == Dialect::Sequoia {
        return sequoia::inspect(service).await;
    }
    Ok(examine(service, Instant::now() + service.limits.connect).await?.status)
}

/// What a look at a point came to, and the point lock, if that was needed: under it nothing of this has changed.
pub(super) struct Examined {
    pub(super) status: Status,
    pub(super) found: Found,
    pub(super) point: Option<Guard>,
}

/// Looks at a point, again where it changes meanwhile.
pub(super) async fn examine(service: &Service, until: Instant) -> Result<Examined, Error> {
    let here = scope::place(service.context.home())?;
    loop {
        let found = point::read(&service.point)?;
        let mut suspicion = match look(service, &here, &found).await? {
            Look::Status(status) => return Ok(Examined { status, found, point: None }),
            Look::Suspicion(suspicion) => suspicion,
        };
        // A point that is not there is not created just to be locked.
        let mut point = point::try_lock(&service.point, false)?;
        // Only what is still there under the lock goes together with what the lifetime lock says.
        if let Some(locked) = &mut point
            && locked.found()? != found
        {
            if Instant::now() < until {
                continue;
            }
            point = None;
        }
        let lifetime = match point.as_ref().map(|point| life::probe(point, &service.life)) {
            Some((Lifetime::CannotTell, Some(error))) => return Err(error),
            lifetime => lifetime.map(|(lifetime, _)| lifetime),
        };
        // Beside a whole record of here, a server may just be making its life file again: that is not known yet.
        let lifetime = match (lifetime, &found) {
            (Some(Lifetime::Absent), Found::Record(record)) if here.reach(record) != Reach::Doubtful => None,
            (Some(Lifetime::Absent), _) => Some(Lifetime::Free),
            (lifetime, _) => lifetime,
        };
        if let (Some(Lifetime::Held), Found::Record(record)) = (lifetime, &found)
            && here.reach(record) == Reach::Doubtful
        {
            suspicion = match dial(service, record).await? {
                Look::Status(status) => return Ok(Examined { status, found, point }),
                Look::Suspicion(suspicion) => suspicion,
            };
        }
        if let Some(status) = kept_away(&here, &found, lifetime) {
            return Ok(Examined { status, found, point });
        }
        let status = match (lifetime, suspicion, &found) {
            (Some(Lifetime::Free), _, Found::Record(record)) => Status::Gone { pid: record.pid },
            (Some(Lifetime::Free), _, Found::Malformed(malformed)) => Status::Malformed(*malformed),
            (Some(Lifetime::Free), _, _) | (None, _, Found::Absent) => Status::Absent,
            (Some(_), Some(suspicion), _) => Status::Unresponsive(suspicion),
            (None, Some(suspicion), _) => Status::Unknown(suspicion),
            (_, None, _) => Status::Between,
        };
        return Ok(Examined { status, found, point });
    }
}

/// What a record says by itself, or after a dial.
enum Look {
    Status(Status),
    Suspicion(Option<Suspicion>),
}

/// Whether the record is of a server that may live and cannot be reached from here.
fn kept_away(here: &Place, found: &Found, lifetime: Option<Lifetime>) -> Option<Status> {
    let Found::Record(record) = found else { return None };
    let differs = here.differs(&record.scope)?;
    let apart = here.reach(record) == Reach::Apart && lifetime != Some(Lifetime::Free);
    (apart || here.is_foreign(&record.scope)).then_some(Status::ForeignScope { pid: record.pid, differs })
}

async fn look(service: &Service, here: &Place, found: &Found) -> Result<Look, Error> {
    let record = match found {
        Found::Newer { format } => return Ok(Look::Status(Status::Newer { format: *format })),
        Found::OtherDialect => return Ok(Look::Status(Status::OtherDialect)),
        Found::Absent | Found::Empty | Found::Malformed(_) => return Ok(Look::Suspicion(None)),
        Found::Record(record) => record,
    };
    match here.reach(record) {
        Reach::Direct => dial(service, record).await,
        Reach::Doubtful | Reach::Apart => Ok(Look::Suspicion(None)),
    }
}

async fn dial(service: &Service, record: &Record) -> Result<Look, Error> {
    match dial::whole(&service.point, record, Intent::Status, service.limits.patience).await {
        Ok((_, welcome)) => Ok(Look::Status(Status::live(welcome))),
        Err((stage, trouble)) => {
            let suspicion = trouble.suspicion(record.pid, record.address, stage).map_err(Error::system(stage))?;
            Ok(match suspicion.came {
                Came::Unsupported(answer) => Look::Status(Status::Incompatible(answer)),
                _ => Look::Suspicion(Some(suspicion)),
            })
        }
    }
}

/// Asks the server to retire, and waits until it is about to exit.
pub(crate) async fn retire(service: &Service) -> Result<Retired, Error> {
    if service.dialect == Dialect::Sequoia {
        return Err(sequoia::no_retirement());
    }
    // A server that lives has a life file, whatever became of its point. Nothing is made just to find nobody.
    let nowhere = |path: &std::path::Path| matches!(path.try_exists(), Ok(false));
    if nowhere(&service.point) && nowhere(&service.life) {
        return Ok(Retired::Absent);
    }
    let mut story = Story::new();
    match connect::run(service, Goal::Retire, None, &mut story).await? {
        Ended::Welcomed { welcome, mut stream, .. } => {
            let limits = &service.limits;
            // The server tries for the point lock until its drain deadline, and drains for as long again.
            let longest = 2 * limits.drain + 2 * limits.patience;
            match timeout(longest, stream.read(&mut [0])).await {
                Ok(_) => Ok(Retired::Retired { pid: welcome.pid }),
                Err(_) => Err(still_there(longest)),
            }
        }
        Ended::Absent | Ended::Start(_) => Ok(Retired::Absent),
    }
}

impl Status {
    fn live(welcome: Welcome) -> Self {
        let Welcome { pid, service, uptime, clients } = welcome;
        Status::Live { pid, version: service, uptime: Duration::from_secs(uptime), clients }
    }
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
