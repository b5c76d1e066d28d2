//! The client's loop in the dialect: puts the machine's questions to files, sockets and processes.

use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::super::effects::{Effects, NoChild};
use super::super::files::point::Guard;
use super::super::here::serve_here;
use super::super::net::dial::DialError;
use super::super::net::socket;
use super::super::report::{Report, start_error};
use super::super::system::System;
use super::super::waiting::Teller;
use super::super::welcomed::connection;
use super::child::{Child, Port};
use crate::connection::Connection;
use crate::error::{Error, StartFailure, Usage};
use crate::found::Malformed;
use crate::handler::Factory;
use crate::join::Join;
use crate::keeps::Keeps;
use crate::outcome::Reason;
use crate::proto::handshake::Welcome;
use crate::proto::sequoia::connect::{DialFailure, Done, Goal, Holds, Policy, Step};
use crate::proto::sequoia::record::{Found, Record};
use crate::proto::timing::{self, Pause};
use crate::proto::waiting::Seen;
use crate::service::{Service, Version};
use crate::stage::Stage;
use crate::stream::{Socket, Stream};

/// How a connect ended well.
pub(super) enum Ended {
    /// The cookie was sent to a server. Its process is known, or 0.
    Connected(Socket, u32),
    /// To join: there is no server.
    Absent,
    /// To serve: another process listens already.
    Live,
    /// To serve: the point is ours, and locked.
    Start(Guard),
    /// To be served in this process.
    Internal,
}

/// Connects to the server of a service, starting one where there is none. The policy is one that can be kept.
pub(in crate::driver) async fn connect(
    service: &Service,
    policy: Policy,
    factory: Option<&Factory>,
) -> Result<Connection, Error> {
    without_versions(service)?;
    let teller = Teller::of_connect(service);
    let mut report = Report::new(&teller);
    let until = Instant::now() + service.limits.connect;
    match run(service, Goal::Connect(policy), &mut report).await? {
        Ended::Connected(stream, pid) => Ok(connected(service, stream, pid, &mut report)),
        Ended::Internal => {
            let factory = factory.ok_or(Error::Usage(Usage::NoHandler))?;
            let serving = tokio::time::timeout_at(until, serve_here(service, factory, &mut report));
            let serving = teller.during(serving).await;
            let (welcome, stream, lease) =
                serving.unwrap_or_else(|_| Err(report.deadline(service))).map_err(|error| report.both(error))?;
            Ok(connection(service, welcome, stream, Some(lease), &mut report))
        }
        Ended::Absent | Ended::Live | Ended::Start(_) => Err(Error::missing("the connection")),
    }
}

/// Joins the server of a service, if there is one.
pub(in crate::driver) async fn join(service: &Service) -> Result<Join<Connection>, Error> {
    without_versions(service)?;
    let teller = Teller::of_connect(service);
    let mut report = Report::new(&teller);
    match run(service, Goal::Join, &mut report).await? {
        Ended::Connected(stream, pid) => Ok(Join::Joined(connected(service, stream, pid, &mut report))),
        Ended::Absent => Ok(Join::Absent),
        Ended::Internal | Ended::Live | Ended::Start(_) => Err(Error::missing("the server that was to be joined")),
    }
}

fn without_versions(service: &Service) -> Result<(), Error> {
    match (service.version, service.newest) {
        (Version::Number(0), u32::MAX) => Ok(()),
        _ => Err(Error::Usage(Usage::DialectWithoutVersions)),
    }
}

/// Returns the connection to a server that the cookie was sent to.
fn connected(service: &Service, stream: Socket, pid: u32, report: &mut Report<'_>) -> Connection {
    let keeps = Keeps { _context: service.context.hold(), ..Keeps::default() };
    let unknown = Welcome::unknown(pid);
    Connection { stream: Stream::new(stream, keeps), outcome: report.outcome(unknown) }
}

/// Runs the machine to its end, or to the deadline, whichever comes first.
///
/// Dropped at any await, it releases what it holds: see [`Held`].
pub(super) async fn run(service: &Service, goal: Goal, report: &mut Report<'_>) -> Result<Ended, Error> {
    let span =
        tracing::info_span!(target: "rendezvous_ipc::connect", "sequoia", point = %service.point.display(), ?goal);
    let teller = report.teller();
    let driving = drive(service, goal, report).instrument(span);
    let ended = teller.during(timeout(service.limits.connect, driving)).await;
    ended.unwrap_or_else(|_| Err(report.deadline(service)))
}

async fn drive(service: &Service, goal: Goal, report: &mut Report<'_>) -> Result<Ended, Error> {
    let limits = &service.limits;
    let (mut system, deadline) = (System::new(service), limits.connect);
    let mut held = Held::default();
    let mut until = deadline;
    let mut pause = Pause::default();
    let mut failure = None;
    let mut reason = Reason::NoRecord;
    let mut step = Step::new(goal);
    loop {
        let child = held.child.as_ref().map(Child::pid);
        report.at(stage(&step), step.name(), child, step.seen(child));
        debug_assert_eq!(step.holds(), held.holds(), "at {}", step.name());
        step = match step {
            Step::Lock(s) => {
                let locked = system.try_lock(s.creates())?;
                let tried = locked.tried();
                held.point = locked.locked();
                s.tried(tried)
            }
            Step::Read(s) => {
                let found = held.point()?.found_as(Found::read)?;
                reason = match &found {
                    Found::Malformed(malformed) => Reason::Malformed(Malformed::of(*malformed)),
                    Found::Record(_) => Reason::ServerGone,
                    Found::Absent | Found::Empty | Found::OtherDialect => Reason::NoRecord,
                };
                s.found(found)
            }
            Step::Dial(s) => {
                until = system.now() + limits.patience;
                match system.connect(s.record().address(), until).await {
                    Ok(stream) => {
                        held.stream = Some(stream);
                        s.connected()
                    }
                    Err(error) => {
                        let failure = held.hang_up(service, s.record(), error, report);
                        s.failed(failure)
                    }
                }
            }
            Step::SendCookie(s) => match system.send(held.stream()?, s.record().cookie.expose(), until).await {
                Ok(()) => s.sent(),
                Err(error) => {
                    let failure = held.hang_up(service, s.record(), error, report);
                    s.failed(failure)
                }
            },
            Step::Clear(s) => {
                if timing::is_too_late_to_start(deadline.saturating_sub(system.now()), limits.start) {
                    s.too_late()
                } else {
                    report.starts(reason, true);
                    held.point()?.clear()?;
                    s.cleared(system.random()?)
                }
            }
            Step::Introduce(s) => {
                let (port, record) = Port::open(s.cookie()).await.map_err(Error::system(Stage::Introduce))?;
                held.port = Some(port);
                s.introduced(record)
            }
            Step::Spawn(s) => {
                let port = held.port.take().ok_or_else(|| Error::missing("the port"))?;
                match Child::spawn(service, port).await {
                    Ok(child) => {
                        held.child = Some(child);
                        s.spawned()
                    }
                    Err(NoChild::CannotExecute(error)) => {
                        failure = Some((StartFailure::CannotExecute(error), None));
                        s.cannot_execute()
                    }
                    Err(NoChild::Local(error)) => return Err(error),
                }
            }
            Step::Await(s) => {
                let child = held.child.as_mut().ok_or_else(|| Error::missing("the child"))?;
                match child.received(limits.start).await {
                    Ok(()) => s.received(),
                    Err(reason) => {
                        failure = Some((reason, Some(child.log_begin())));
                        s.failed()
                    }
                }
            }
            Step::Write(s) => {
                held.point()?.write_line(&s.record().bytes())?;
                let child = held.child.take().ok_or_else(|| Error::missing("the child"))?;
                failure = Some((StartFailure::Vanished, Some(child.log_begin())));
                report.started(child.pid());
                held.registered = Some((s.record().clone(), child.pid()));
                child.register();
                s.written()
            }
            Step::Kill(s) => {
                held.child = None;
                s.killed()
            }
            Step::Unlock(s) => {
                held.point = None;
                s.unlocked()
            }
            Step::Backoff(s) => {
                if s.is_silent() {
                    // What it waits for is still the connection.
                    report.at(Stage::Dial, "Dial", None, Seen::Nothing);
                }
                let pause = pause.next(system.jitter()?);
                system.pause(pause).await;
                s.elapsed()
            }
            Step::Done(done) => return finish(service, done, held, report, failure),
        };
    }
}

fn finish(
    service: &Service,
    done: Done,
    mut held: Held,
    report: &mut Report<'_>,
    failure: Option<(StartFailure, Option<u64>)>,
) -> Result<Ended, Error> {
    let failure = failure.map(|(failure, log_begin)| start_error(service, failure, log_begin));
    Err(match done {
        Done::Connected(record) => match held.stream.take() {
            Some(stream) => {
                let ours = held.registered.take().filter(|(registered, _)| *registered == record);
                return Ok(Ended::Connected(stream, ours.map_or(0, |(_, pid)| pid)));
            }
            None => Error::missing("the stream"),
        },
        Done::Live(_) => return Ok(Ended::Live),
        Done::Absent => return Ok(Ended::Absent),
        Done::Start => match held.point.take() {
            Some(point) => return Ok(Ended::Start(point)),
            None => Error::missing("the point lock"),
        },
        Done::Internal => {
            failure.iter().for_each(|failure| report.not_started(failure));
            return Ok(Ended::Internal);
        }
        Done::OtherDialect => Error::OtherDialect { path: service.point.clone() },
        Done::Failed => {
            failure.map_or_else(|| Error::missing("the failure"), |failure| Error::Start(Box::new(failure)))
        }
        Done::TooLate => report.too_late(service),
        Done::Trouble => report.take_local_error().unwrap_or_else(|| Error::missing("the error")),
    })
}

/// What a connect holds. Dropping it releases everything: the child that is not registered is killed, and the lock
/// released after that.
#[derive(Default)]
struct Held {
    stream: Option<Socket>,
    port: Option<Port>,
    child: Option<Child>,
    /// The server that this connect registered last, and its process.
    registered: Option<(Record, u32)>,
    point: Option<Guard>,
}

impl Held {
    fn holds(&self) -> Holds {
        Holds { lock: self.point.is_some(), port: self.port.is_some(), child: self.child.is_some() }
    }

    fn point(&mut self) -> Result<&mut Guard, Error> {
        self.point.as_mut().ok_or_else(|| Error::missing("the point lock"))
    }

    fn stream(&mut self) -> Result<&mut Socket, Error> {
        self.stream.as_mut().ok_or_else(|| Error::missing("the stream"))
    }

    /// Ends a dial, and tells what it came to.
    fn hang_up(
        &mut self,
        service: &Service,
        record: &Record,
        error: DialError,
        report: &mut Report<'_>,
    ) -> DialFailure {
        self.stream = None;
        report.dial_failed(error, None, socket::endpoint(&service.point, record.address()))
    }
}

/// The steps of a connect in the dialect by their own names.
fn stage(step: &Step) -> Stage {
    match step {
        Step::Lock(_) => Stage::Lock,
        Step::Read(_) => Stage::Read,
        Step::Dial(_) => Stage::Dial,
        Step::SendCookie(_) => Stage::SendCookie,
        Step::Clear(_) => Stage::Clear,
        Step::Introduce(_) => Stage::Introduce,
        Step::Spawn(_) => Stage::Spawn,
        Step::Await(_) => Stage::Await,
        Step::Write(_) => Stage::Write,
        Step::Kill(_) => Stage::Kill,
        Step::Unlock(_) => Stage::Unlock,
        Step::Backoff(_) => Stage::Backoff,
        Step::Done(_) => Stage::Done,
    }
}
