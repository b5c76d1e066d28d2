//! Runs the client's loop until its deadline, and says how it ended.

use tracing::{Instrument, Span};

use super::connecting::{self, Driven, Failure};
use super::effects::Effects;
use super::report::{Report, start_error};
use crate::error::{Error, StartFailure, Usage};
use crate::found::Incompatibility;
use crate::pid::Pid;
use crate::proto::connect::{Done, Goal, Refusal};
use crate::proto::handshake::Welcome;
use crate::proto::tag::Tag;
use crate::service::Service;
use crate::start;

/// How the machine ended well. Each goal has ends of its own.
pub(super) enum Ended<E: Effects> {
    Welcomed(Welcome, E::Stream),
    Start(E::Point),
    /// This process has to serve, for the process failed, if one was started.
    Internal(Option<Failure>),
    Absent,
}

/// Returns an error if this process may not connect, or does not say which versions it understands.
pub(super) fn may_connect(service: &Service) -> Result<(), Error> {
    start::depth_below(&service.point)?;
    match service.newest < service.wanted() {
        false => Ok(()),
        true => Err(Error::Usage(Usage::NewestBelowVersion)),
    }
}

/// Runs the machine to its end, or to the deadline, whichever comes first.
///
/// Dropped at any await, it releases what it holds: see [`connecting::Held`].
pub(super) async fn run<E: Effects>(
    effects: &mut E,
    service: &Service,
    goal: Goal,
    report: &mut Report<'_>,
) -> Result<Ended<E>, Error> {
    let driving = attempt(effects, service, goal, report).instrument(span(service, goal));
    let ended = E::within(service.limits.connect, driving).await;
    ended.unwrap_or_else(|| Err(report.deadline(service)))
}

/// Runs the machine to its end. The caller bounds it.
pub(super) async fn attempt<E: Effects>(
    effects: &mut E,
    service: &Service,
    goal: Goal,
    report: &mut Report<'_>,
) -> Result<Ended<E>, Error> {
    // The loop has a dozen of effects, and each future around it is moved before it runs.
    let driven = Box::pin(connecting::drive(effects, service, goal, service.limits.connect, report)).await?;
    finish(service, driven, report)
}

/// Returns the span of a connect in the log.
pub(super) fn span(service: &Service, goal: Goal) -> Span {
    tracing::info_span!(target: "rendezvous_ipc::connect", "connect", point = %service.point.display(), ?goal)
}

/// Returns the error of a client whose server speaks the protocol of this tag, and not the client's.
pub(super) fn other_protocol(service: &Service, pid: Option<Pid>, theirs: Tag) -> Error {
    Error::OtherProtocol { ours: service.tag().to_string(), theirs: theirs.to_string(), pid }
}

fn finish<E: Effects>(service: &Service, driven: Driven<E>, report: &mut Report<'_>) -> Result<Ended<E>, Error> {
    let Driven { done, versions, mut held, failure } = driven;
    let path = || service.point.clone();
    let not_started = |failure, log_begin| Error::Start(Box::new(start_error(service, failure, log_begin)));
    Err(match done {
        Done::Welcomed(_, welcome) => match held.stream.take() {
            Some(stream) => return Ok(Ended::Welcomed(welcome, stream)),
            None => Error::missing("a welcomed stream"),
        },
        Done::Start => match held.point.take() {
            Some(point) => return Ok(Ended::Start(point)),
            None => Error::missing("the point lock"),
        },
        Done::Absent => return Ok(Ended::Absent),
        Done::Internal => return Ok(Ended::Internal(failure)),
        Done::Refused(Refusal::Incompatible) => Error::Newer { path: path(), format: report.newer() },
        Done::Refused(Refusal::OtherDialect) => Error::OtherDialect { path: path() },
        Done::Refused(Refusal::ForeignScope) => {
            report.elsewhere(&service.point).unwrap_or_else(|| Error::missing("a record"))
        }
        Done::Refused(Refusal::CannotTell) => {
            Error::CannotTell { path: service.life.clone(), source: report.take_local_error().map(Box::new) }
        }
        Done::Unsupported(answer) => Error::Incompatible { why: Incompatibility::of(answer) },
        Done::TooNew(record) => {
            Error::TooNew { pid: Pid::new(record.pid), offers: record.version, newest: versions.newest }
        }
        Done::TooOld(record) => {
            Error::TooOld { pid: Pid::new(record.pid), offers: record.version, wanted: versions.ours }
        }
        Done::OtherProtocol(record, tag) => other_protocol(service, Pid::new(record.pid), tag),
        Done::TurnedAway(record, clients) => report.no_room(Pid::new(record.pid), clients),
        Done::Failed => match failure {
            Some((failure, log_begin)) => not_started(failure, log_begin),
            None => not_started(StartFailure::Vanished, None),
        },
        Done::Unverified => not_started(StartFailure::Unverified, failure.and_then(|(_, log_begin)| log_begin)),
        Done::TooLate => report.too_late(service),
        Done::Trouble => report.take_local_error().unwrap_or_else(|| Error::missing("the error")),
    })
}
