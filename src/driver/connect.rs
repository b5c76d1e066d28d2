//! A connect: runs the client's loop over this system until the deadline, and serves in this process where it has to.

use tokio::time::{sleep, timeout};
use tracing::Instrument;

use super::connecting::{self, Failure, Held};
use super::files::log;
use super::files::point::Guard;
use super::internal;
use super::net::dial;
use super::net::socket;
use super::os::scope;
use super::registry::Lease;
use super::report::Report;
use super::system::System;
use super::{sequoia, serve};
use crate::connection::Connection;
use crate::dialect::Dialect;
use crate::error::{Error, StartError, StartFailure, Usage};
use crate::handler::Factory;
use crate::pid::Pid;
use crate::proto::connect::{Done, Goal, Policy, Refusal};
use crate::proto::handshake::{Intent, Welcome};
use crate::proto::timing;
use crate::service::Service;
use crate::stream::{Keeps, Socket, Stream};

/// A server that welcomed us.
pub(super) struct Welcomed {
    pub(super) welcome: Welcome,
    pub(super) stream: Socket,
    /// A use of it, where it is a server of this process.
    pub(super) lease: Option<Lease>,
}

/// Whether a server by hand may serve.
pub(super) enum Turn {
    /// It may: the point is locked.
    Ours(Guard),
    /// Another server serves already.
    Taken(Welcome),
}

/// How the machine ended well. Each goal has ends of its own.
enum Ended {
    Welcomed(Welcomed),
    Start(Guard),
    Absent,
}

/// Connects to the server of a service, starting one where there is none.
pub(crate) async fn connect(service: &Service, policy: Policy, factory: Option<&Factory>) -> Result<Connection, Error> {
    serve::client_only()?;
    let policy = match (policy, factory) {
        (Policy::Internal, None) => return Err(Error::Usage(Usage::NoHandler)),
        // What cannot be served here has nothing to fall back to.
        (Policy::Robust, None) => Policy::External,
        (policy, _) => policy,
    };
    if service.newest < service.version {
        return Err(Error::Usage(Usage::NewestBelowVersion));
    }
    if service.dialect == Dialect::Sequoia {
        return sequoia::connect(service, policy, factory).await;
    }
    let mut report = Report::new();
    match run(service, Goal::Connect(policy), factory, &mut report).await? {
        Ended::Welcomed(welcomed) => Ok(connection(service, welcomed, &mut report)),
        Ended::Start(_) | Ended::Absent => Err(Error::missing("the server that was connected to")),
    }
}

/// Finds out whether a server by hand may serve.
pub(super) async fn claim_turn(service: &Service) -> Result<Turn, Error> {
    match run(service, Goal::Serve, None, &mut Report::new()).await? {
        Ended::Start(point) => Ok(Turn::Ours(point)),
        Ended::Welcomed(Welcomed { welcome, .. }) => Ok(Turn::Taken(welcome)),
        Ended::Absent => Err(Error::missing("the point lock of a server by hand")),
    }
}

/// Asks a server to retire. `None` where there is none.
pub(super) async fn ask_to_retire(service: &Service) -> Result<Option<Welcomed>, Error> {
    match run(service, Goal::Retire, None, &mut Report::new()).await? {
        Ended::Welcomed(welcomed) => Ok(Some(welcomed)),
        Ended::Absent => Ok(None),
        Ended::Start(_) => Err(Error::missing("the server that was to retire")),
    }
}

/// The connection to a server that welcomed us, in this process or in another.
pub(super) fn connection(service: &Service, welcomed: Welcomed, report: &mut Report) -> Connection {
    let Welcomed { welcome, stream, lease } = welcomed;
    let lease = lease.map(|lease| Box::new(lease) as _);
    let keeps = Keeps { lease, _context: service.context.hold() };
    Connection { stream: Stream::new(stream, keeps), outcome: report.outcome(welcome) }
}

/// Runs the machine to its end, or to the deadline, whichever comes first.
///
/// Dropped at any await, it releases what it holds: see [`Held`].
async fn run(service: &Service, goal: Goal, factory: Option<&Factory>, report: &mut Report) -> Result<Ended, Error> {
    let span =
        tracing::info_span!(target: "rendezvous_ipc::connect", "connect", point = %service.point.display(), ?goal);
    let driving = attempt(service, goal, factory, report).instrument(span);
    let ended = timeout(service.limits.connect, driving).await;
    ended.unwrap_or_else(|_| Err(report.deadline(service)))
}

async fn attempt(
    service: &Service,
    goal: Goal,
    factory: Option<&Factory>,
    report: &mut Report,
) -> Result<Ended, Error> {
    let here = scope::place(service.context.home())?;
    let mut system = System::new(service);
    let driven = connecting::drive(&mut system, service, (goal, here), service.limits.connect, report).await?;
    match driven.done {
        Done::Internal => {
            if let Some((failure, log_begin)) = driven.failure {
                report.not_started(&start_error(service, failure, log_begin));
            }
            let factory = factory.ok_or(Error::Usage(Usage::NoHandler))?;
            serve_here(service, factory, report).await.map(Ended::Welcomed).map_err(|error| report.both(error))
        }
        done => finish(service, done, driven.held, report, driven.failure),
    }
}

/// Serves in this process: joins its internal server, or starts it. The connect's deadline bounds it.
pub(super) async fn serve_here(service: &Service, factory: &Factory, report: &mut Report) -> Result<Welcomed, Error> {
    report.here();
    loop {
        let (lease, joined, record) = internal::join(service, factory).await?;
        report.internal(joined);
        // It is our own, and no stranger: it may let us wait for a place.
        match dial::whole(&service.point, &record, Intent::Connect, service.limits.connect).await {
            Ok((stream, welcome)) => return Ok(Welcomed { welcome, stream, lease: Some(lease) }),
            Err((stage, trouble)) => {
                let address = socket::endpoint(&service.point, record.address);
                report.suspect(trouble.suspicion(Pid::new(record.pid), address, stage)?);
                // One that retires just now has a successor. One that does not has let us go, and may have us yet.
                sleep(timing::before_the_own_server_is_dialled_again(lease.is_told())).await;
            }
        }
    }
}

pub(super) fn start_error(service: &Service, failure: StartFailure, log_begin: Option<u64>) -> StartError {
    StartError {
        program: service.program().map_or_else(|_| "PROGRAM".into(), |program| program.path.clone()),
        failure,
        said: log_begin.map_or_else(String::new, |begin| log::said(&service.log, begin)),
        log: service.log.clone(),
    }
}

fn finish(
    service: &Service,
    done: Done,
    mut held: Held<System<'_>>,
    report: &mut Report,
    failure: Option<Failure>,
) -> Result<Ended, Error> {
    let path = service.point.clone();
    let start_error = |failure, log_begin| Error::Start(Box::new(start_error(service, failure, log_begin)));
    Err(match done {
        Done::Welcomed(_, welcome) => match held.stream.take() {
            Some(stream) => return Ok(Ended::Welcomed(Welcomed { welcome, stream, lease: None })),
            None => Error::missing("a welcomed stream"),
        },
        Done::Start => match held.point.take() {
            Some(point) => return Ok(Ended::Start(point)),
            None => Error::missing("the point lock"),
        },
        Done::Absent => return Ok(Ended::Absent),
        Done::Internal => Error::missing("the handler"),
        Done::Refused(Refusal::Incompatible) => Error::Newer { path, format: report.newer() },
        Done::Refused(Refusal::OtherDialect) => Error::OtherDialect { path },
        Done::Refused(Refusal::ForeignScope) => report.elsewhere(&path).unwrap_or_else(|| Error::missing("a record")),
        Done::Refused(Refusal::CannotTell) => {
            Error::CannotTell { path: service.life.clone(), source: report.take_trouble().map(Box::new) }
        }
        Done::Unsupported(answer) => Error::Incompatible { why: answer.into() },
        Done::TooNew(record) => {
            Error::TooNew { pid: Pid::new(record.pid), offers: record.version, newest: service.versions().newest }
        }
        Done::Failed => match failure {
            Some((failure, log_begin)) => start_error(failure, log_begin),
            None => start_error(StartFailure::Vanished, None),
        },
        Done::Unverified => start_error(StartFailure::Unverified, failure.and_then(|(_, log_begin)| log_begin)),
        Done::TooLate => report.too_late(service),
        Done::Trouble => report.take_trouble().unwrap_or_else(|| Error::missing("the error")),
    })
}
