//! The client's loop: puts the machine's questions to files, sockets and processes.

use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use super::child::{Awaited, Child, NoChild};
use super::dial::{self, Tag, Trouble};
use super::internal;
use super::life;
use super::log;
use super::net::socket;
use super::os::scope;
use super::point::{self, Guard};
use super::random;
use super::registry::Lease;
use super::story::Story;
use super::{sequoia, serve};
use crate::connection::Connection;
use crate::context::Context;
use crate::dialect::Dialect;
use crate::error::{Error, StartError, StartFailure, Usage};
use crate::handler::Factory;
use crate::pid::Pid;
use crate::proto::connect::{Came, Done, Goal, Holds, Lifetime, Looked, Policy, Refusal, Step};
use crate::proto::handshake::{Intent, Nonce, Welcome};
use crate::proto::record::Record;
use crate::proto::timing::{self, Pause};
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
    let mut story = Story::new();
    match run(service, Goal::Connect(policy), factory, &mut story).await? {
        Ended::Welcomed(welcomed) => Ok(connection(service, welcomed, &mut story)),
        Ended::Start(_) | Ended::Absent => Err(Error::missing("the server that was connected to")),
    }
}

/// Finds out whether a server by hand may serve.
pub(super) async fn claim_turn(service: &Service) -> Result<Turn, Error> {
    match run(service, Goal::Serve, None, &mut Story::new()).await? {
        Ended::Start(point) => Ok(Turn::Ours(point)),
        Ended::Welcomed(Welcomed { welcome, .. }) => Ok(Turn::Taken(welcome)),
        Ended::Absent => Err(Error::missing("the point lock of a server by hand")),
    }
}

/// Asks a server to retire. `None` where there is none.
pub(super) async fn ask_to_retire(service: &Service) -> Result<Option<Welcomed>, Error> {
    match run(service, Goal::Retire, None, &mut Story::new()).await? {
        Ended::Welcomed(welcomed) => Ok(Some(welcomed)),
        Ended::Absent => Ok(None),
        Ended::Start(_) => Err(Error::missing("the server that was to retire")),
    }
}

/// The connection to a server that welcomed us, in this process or in another.
pub(super) fn connection(service: &Service, welcomed: Welcomed, story: &mut Story) -> Connection {
    let Welcomed { welcome, stream, lease } = welcomed;
    let lease = lease.map(|lease| Box::new(lease) as _);
    let keeps = Keeps { lease, _context: service.context.hold() };
    Connection { stream: Stream::new(stream, keeps), outcome: story.outcome(welcome) }
}

/// Runs the machine to its end, or to the deadline, whichever comes first.
///
/// Dropped at any await, it releases what it holds: see [`Held`].
async fn run(service: &Service, goal: Goal, factory: Option<&Factory>, story: &mut Story) -> Result<Ended, Error> {
    let deadline = Instant::now() + service.limits.connect;
    let span =
        tracing::info_span!(target: "rendezvous_ipc::connect", "connect", point = %service.point.display(), ?goal);
    let driving = drive(service, goal, factory, deadline, story).instrument(span);
    let ended = timeout(service.limits.connect, driving).await;
    ended.unwrap_or_else(|_| Err(story.deadline(service)))
}

async fn drive(
    service: &Service,
    goal: Goal,
    factory: Option<&Factory>,
    deadline: Instant,
    story: &mut Story,
) -> Result<Ended, Error> {
    let limits = &service.limits;
    let mut held = Held::default();
    let mut until = deadline;
    let mut pause = Pause::default();
    let mut failure = None;
    let mut step = Step::new(goal, scope::place(service.context.home())?, service.versions());
    loop {
        story.step(&step, &held);
        debug_assert_eq!(step.holds(), held.holds(), "at {}", step.name());
        step = match step {
            Step::Read(s) => s.found(point::read(&service.point)?),
            Step::Lock(s) => {
                let locked = point::try_lock_at_home(&service.point, service.context.home())?;
                let tried = locked.tried();
                held.point = locked.locked();
                s.tried(tried)
            }
            Step::Reread(s) => {
                let found = held.point()?.found()?;
                story.found(&found);
                s.found(found)
            }
            Step::Probe(s) => {
                let lifetime = held.probe(service, story)?;
                if s.is_free(lifetime) {
                    story.free(s.row(), s.elsewhere());
                }
                s.answered(lifetime)
            }
            Step::Clear(s) => {
                if timing::is_too_late_to_start(deadline.saturating_duration_since(Instant::now()), limits.start) {
                    s.too_late()
                } else {
                    held.point()?.clear()?;
                    s.cleared(random::draw()?)
                }
            }
            Step::Spawn(s) => {
                let program = service.program()?;
                match Child::spawn(program, &service.context, &service.log, s.cookie(), limits.start).await {
                    Ok(child) => {
                        held.child = Some(child);
                        s.spawned()
                    }
                    Err(NoChild::CannotExecute(error)) => {
                        failure = Some((StartFailure::CannotExecute(error), None));
                        s.cannot_execute()
                    }
                    Err(NoChild::Ours(error)) => return Err(error),
                }
            }
            Step::Await(s) => {
                let child = held.child()?;
                let (reply, pid) = (child.reply(limits.start).await, child.pid());
                match reply {
                    Awaited::Ready(record) => {
                        story.started(record.pid);
                        let wanted = service.version;
                        let reason = match record.version < wanted {
                            true => StartFailure::Version { offers: record.version, wanted },
                            false => StartFailure::Unverified,
                        };
                        failure = Some((reason, Some(child.log_begin())));
                        s.ready(record)
                    }
                    Awaited::Busy => {
                        story.busy(pid);
                        s.busy()
                    }
                    Awaited::Failed(reason) => {
                        failure = Some((reason, Some(child.log_begin())));
                        s.failed()
                    }
                }
            }
            Step::Verify(s) => s.answered(held.probe(service, story)?),
            Step::Write(s) => {
                held.point()?.write(s.record())?;
                held.written = true;
                s.written()
            }
            Step::Confirm(s) => {
                held.confirm(&service.context);
                failure = None;
                s.confirmed()
            }
            Step::Fallback(s) => {
                if held.freed(service, story).await? {
                    s.free()
                } else {
                    s.not_free()
                }
            }
            Step::Dial(s) => {
                until = Instant::now() + limits.patience;
                match dial::connect(&service.point, s.record().address, until).await {
                    Ok(stream) => {
                        held.stream = Some(stream);
                        let next = s.connected(random::draw()?);
                        if let Step::Hello(hello) = &next {
                            held.nonce = Some(hello.nonce());
                        }
                        next
                    }
                    Err(trouble) => {
                        let came = held.hang_up(service, s.record(), trouble, story);
                        s.failed(came)
                    }
                }
            }
            Step::Hello(s) => match dial::send(held.stream()?, &s.message(), until).await {
                Ok(()) => s.sent(),
                Err(trouble) => {
                    let came = held.hang_up(service, s.record(), trouble, story);
                    s.failed(came)
                }
            },
            Step::Prove(s) => {
                let received = dial::receive(held.stream()?, until).await;
                match received.and_then(|bytes| s.judge(&bytes).map_err(Trouble::Came)) {
                    Ok(proof) => s.proved(proof),
                    Err(trouble) => {
                        let came = held.hang_up(service, s.record(), trouble, story);
                        s.failed(came)
                    }
                }
            }
            Step::Welcome(s) => {
                let stream = held.stream()?;
                let received = match dial::send(stream, &s.message(), until).await {
                    Ok(()) => dial::receive(stream, until).await,
                    Err(trouble) => Err(trouble),
                };
                match received.and_then(|bytes| s.judge(&bytes).map_err(Trouble::Came)) {
                    Ok(welcome) => {
                        if s.replaces() {
                            story.replaces(s.record());
                            held.stream = None;
                        }
                        s.welcomed(welcome)
                    }
                    Err(trouble) => {
                        let came = held.hang_up(service, s.record(), trouble, story);
                        s.failed(came)
                    }
                }
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
                sleep(random::pause(&mut pause)?).await;
                s.elapsed()
            }
            Step::Wait(s) => {
                sleep(timing::wait_for_a_life_file(limits.check, limits.patience)).await;
                s.elapsed()
            }
            Step::Done(Done::Internal) => {
                if let Some((failure, log_begin)) = failure.take() {
                    story.not_started(&start_error(service, failure, log_begin));
                }
                let factory = factory.ok_or(Error::Usage(Usage::NoHandler))?;
                return serve_here(service, factory, story)
                    .await
                    .map(Ended::Welcomed)
                    .map_err(|error| story.both(error));
            }
            Step::Done(done) => return finish(service, done, held, story, failure),
        };
    }
}

/// Serves in this process: joins its internal server, or starts it. The connect's deadline bounds it.
pub(super) async fn serve_here(service: &Service, factory: &Factory, story: &mut Story) -> Result<Welcomed, Error> {
    story.here();
    loop {
        let (lease, joined, record) = internal::join(service, factory).await?;
        story.internal(joined);
        // It is our own, and no stranger: it may let us wait for a place.
        match dial::whole(&service.point, &record, Intent::Connect, service.limits.connect).await {
            Ok((stream, welcome)) => return Ok(Welcomed { welcome, stream, lease: Some(lease) }),
            Err((stage, trouble)) => {
                let address = socket::endpoint(&service.point, record.address);
                story.suspect(trouble.suspicion(Pid::new(record.pid), address, stage)?);
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
    mut held: Held,
    story: &mut Story,
    failure: Option<(StartFailure, Option<u64>)>,
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
        Done::Refused(Refusal::Incompatible) => Error::Newer { path, format: story.newer() },
        Done::Refused(Refusal::OtherDialect) => Error::OtherDialect { path },
        Done::Refused(Refusal::ForeignScope) => story.elsewhere(&path).unwrap_or_else(|| Error::missing("a record")),
        Done::Refused(Refusal::CannotTell) => {
            Error::CannotTell { path: service.life.clone(), source: story.take_trouble().map(Box::new) }
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
        Done::TooLate => story.too_late(service),
        Done::Trouble => story.take_trouble().unwrap_or_else(|| Error::missing("the error")),
    })
}

/// What a connect holds. Dropping it releases everything: the child that is not registered is killed, its
/// record withdrawn, and the lock released after that.
#[derive(Default)]
pub(super) struct Held {
    stream: Option<Socket>,
    /// What makes this handshake unlike every other.
    nonce: Option<Nonce>,
    child: Option<Child>,
    /// The point holds the record of the child.
    written: bool,
    point: Option<Guard>,
}

impl Held {
    fn holds(&self) -> Holds {
        Holds { lock: self.point.is_some(), child: self.child.is_some(), record: self.written }
    }

    /// The process that was started and is not registered.
    pub(super) fn child_pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// By what the server's log names the connection, too.
    pub(super) fn connection(&self) -> Option<Tag> {
        self.stream.as_ref().and(self.nonce).map(Tag)
    }

    fn point(&mut self) -> Result<&mut Guard, Error> {
        self.point.as_mut().ok_or_else(|| Error::missing("the point lock"))
    }

    fn child(&mut self) -> Result<&mut Child, Error> {
        self.child.as_mut().ok_or_else(|| Error::missing("the child"))
    }

    fn stream(&mut self) -> Result<&mut Socket, Error> {
        self.stream.as_mut().ok_or_else(|| Error::missing("the stream"))
    }

    fn probe(&mut self, service: &Service, story: &mut Story) -> Result<Lifetime, Error> {
        let (lifetime, why) = life::probe(self.point()?, &service.life);
        why.into_iter().for_each(|error| story.trouble(error));
        Ok(lifetime)
    }

    /// Whether nobody is alive, looked at until `patience` is over.
    async fn freed(&mut self, service: &Service, story: &mut Story) -> Result<bool, Error> {
        let until = Instant::now() + service.limits.patience;
        let mut pause = Pause::default();
        let is_current = self.point()?.is_current()?;
        loop {
            match Looked::of(is_current, self.probe(service, story)?, Instant::now() >= until) {
                Looked::Free => return Ok(true),
                Looked::NotFree => return Ok(false),
                Looked::Again => sleep(random::pause(&mut pause)?).await,
            }
        }
    }

    /// The child is a server like any other from here on.
    fn confirm(&mut self, context: &Context) {
        self.written = false;
        if let Some(child) = self.child.take() {
            child.confirm(context);
        }
    }

    /// Ends a dial, and tells what it came to.
    fn hang_up(&mut self, service: &Service, record: &Record, trouble: Trouble, story: &mut Story) -> Came {
        self.stream = None;
        let came = trouble.came();
        let address = socket::endpoint(&service.point, record.address);
        match trouble.suspicion(Pid::new(record.pid), address, story.stage()) {
            Ok(suspicion) => story.suspect(suspicion),
            Err(error) => story.trouble(error),
        }
        came
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let withdraws = self.holds().withdraws();
        self.child = None;
        if let (true, Some(point)) = (withdraws, &mut self.point) {
            let _ = point.clear();
        }
    }
}
