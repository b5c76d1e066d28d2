//! A connect: runs the client's loop over this system until the deadline, and serves in this process where it has to.

use tokio::time::timeout;
use tracing::Instrument;

use super::connecting::{self, Failure, Held};
use super::files::point::Guard;
use super::here::serve_here;
use super::os::scope;
use super::report::{Report, start_error};
use super::system::System;
use super::waiting::Teller;
use super::welcomed::{Welcomed, connection};
use crate::connection::Connection;
use crate::error::{Error, StartFailure, Usage};
use crate::found::Incompatibility;
use crate::handler::Factory;
use crate::join::Join;
use crate::pid::Pid;
use crate::proto::connect::{Done, Goal, Policy, Refusal};
use crate::proto::handshake::Welcome;
use crate::service::Service;
use crate::start;

/// Whether a server by hand may serve.
pub(super) enum Turn {
    /// This server may serve: it holds the point lock.
    Serve(Guard),
    /// Another server serves already.
    Taken(Welcome),
}

/// How the machine ended well. Each goal has ends of its own.
enum Ended {
    Welcomed(Welcomed),
    Start(Guard),
    Absent,
}

/// Returns the policy that a connect can keep to.
pub(super) fn policy(policy: Policy, factory: Option<&Factory>) -> Result<Policy, Error> {
    match (policy, factory) {
        (Policy::Internal, None) => Err(Error::Usage(Usage::NoHandler)),
        // Without a handler there is nothing to fall back to.
        (Policy::Robust, None) => Ok(Policy::External),
        (policy, _) => Ok(policy),
    }
}

/// Returns an error if this process may not connect, or does not say which versions it understands.
pub(super) fn may_connect(service: &Service) -> Result<(), Error> {
    start::depth_below(&service.point)?;
    match service.newest < service.version {
        false => Ok(()),
        true => Err(Error::Usage(Usage::NewestBelowVersion)),
    }
}

/// Connects to the server of a service, starting one where there is none.
pub(super) async fn connect(service: &Service, policy: Policy, factory: Option<&Factory>) -> Result<Connection, Error> {
    let teller = Teller::of_connect(service);
    let mut report = Report::new(&teller);
    match run(service, Goal::Connect(policy), factory, &mut report).await? {
        Ended::Welcomed(welcomed) => Ok(connection(service, welcomed, &mut report)),
        Ended::Start(_) | Ended::Absent => Err(Error::missing("the server that was connected to")),
    }
}

/// Joins the server of a service, if there is one.
pub(super) async fn join(service: &Service) -> Result<Join, Error> {
    let teller = Teller::of_connect(service);
    let mut report = Report::new(&teller);
    match run(service, Goal::Join, None, &mut report).await? {
        Ended::Welcomed(welcomed) => Ok(Join::Joined(connection(service, welcomed, &mut report))),
        Ended::Absent => Ok(Join::Absent),
        Ended::Start(_) => Err(Error::missing("the server that was to be joined")),
    }
}

/// Finds out whether a server by hand may serve.
pub(super) async fn claim_turn(service: &Service) -> Result<Turn, Error> {
    let teller = Teller::of_connect(service);
    match run(service, Goal::Serve, None, &mut Report::new(&teller)).await? {
        Ended::Start(point) => Ok(Turn::Serve(point)),
        Ended::Welcomed(Welcomed { welcome, .. }) => Ok(Turn::Taken(welcome)),
        Ended::Absent => Err(Error::missing("the point lock of a server by hand")),
    }
}

/// Asks a server to retire. `None` where there is none.
pub(super) async fn ask_to_retire(service: &Service) -> Result<Option<Welcomed>, Error> {
    let teller = Teller::of_connect(service);
    match run(service, Goal::Retire, None, &mut Report::new(&teller)).await? {
        Ended::Welcomed(welcomed) => Ok(Some(welcomed)),
        Ended::Absent => Ok(None),
        Ended::Start(_) => Err(Error::missing("the server that was to retire")),
    }
}

/// Runs the machine to its end, or to the deadline, whichever comes first.
///
/// Dropped at any await, it releases what it holds: see [`Held`].
async fn run(
    service: &Service,
    goal: Goal,
    factory: Option<&Factory>,
    report: &mut Report<'_>,
) -> Result<Ended, Error> {
    let span =
        tracing::info_span!(target: "rendezvous_ipc::connect", "connect", point = %service.point.display(), ?goal);
    let teller = report.teller();
    let driving = attempt(service, goal, factory, report).instrument(span);
    let ended = teller.during(timeout(service.limits.connect, driving)).await;
    ended.unwrap_or_else(|_| Err(report.deadline(service)))
}

async fn attempt(
    service: &Service,
    goal: Goal,
    factory: Option<&Factory>,
    report: &mut Report<'_>,
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

fn finish(
    service: &Service,
    done: Done,
    mut held: Held<System<'_>>,
    report: &mut Report<'_>,
    failure: Option<Failure>,
) -> Result<Ended, Error> {
    let path = service.point.clone();
    let not_started = |failure, log_begin| Error::Start(Box::new(start_error(service, failure, log_begin)));
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
            Error::CannotTell { path: service.life.clone(), source: report.take_local_error().map(Box::new) }
        }
        Done::Unsupported(answer) => Error::Incompatible { why: Incompatibility::of(answer) },
        Done::TooNew(record) => {
            Error::TooNew { pid: Pid::new(record.pid), offers: record.version, newest: service.versions().newest }
        }
        Done::TooOld(record) => {
            Error::TooOld { pid: Pid::new(record.pid), offers: record.version, wanted: service.versions().ours }
        }
        Done::Failed => match failure {
            Some((failure, log_begin)) => not_started(failure, log_begin),
            None => not_started(StartFailure::Vanished, None),
        },
        Done::Unverified => not_started(StartFailure::Unverified, failure.and_then(|(_, log_begin)| log_begin)),
        Done::TooLate => report.too_late(service),
        Done::Trouble => report.take_local_error().unwrap_or_else(|| Error::missing("the error")),
    })
}
