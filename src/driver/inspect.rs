//! Status and retirement: what a client may request without being served.

use std::path::Path;
use std::time::Duration;

use super::effects::{Effects, Point as _};
use super::ending::{self, Ended};
use super::net::dial;
use super::net::socket;
use super::os::{file, scope};
use super::report::{Report, still_there};
use super::waiting::Teller;
use crate::error::Error;
use crate::found::{Incompatibility, Malformed, ScopeDifference};
use crate::pid::Pid;
use crate::proto::connect::{DialFailure, Goal};
use crate::proto::handshake::{Intent, Welcome};
use crate::proto::inspect::{Done, Step, Verdict};
use crate::proto::record::{Found, Record};
use crate::proto::retire::{self, Presence};
use crate::proto::waiting::{Kind, Seen};
use crate::service::Service;
use crate::status::{Retirement, Status};
use crate::suspicion::Suspicion;

/// Inspects a point. Takes no lock, unless a dial failed or there is nothing to dial.
pub(super) async fn inspect<E: Effects>(
    effects: &mut E,
    service: &Service,
    teller: &Teller<'_>,
) -> Result<Status, Error> {
    examine(effects, service, teller).await?.status()
}

/// The result of an inspection, with the point lock if it is still held: then the result is still true.
pub(super) struct Examined<P> {
    pub(super) done: Done,
    pub(super) point: Option<P>,
    /// The dial that failed, if one did.
    suspicion: Option<Suspicion>,
    /// Why the lifetime lock could not be asked, if it could not.
    error: Option<Error>,
}

/// Looks at a point, again where it changes meanwhile.
pub(super) async fn examine<E: Effects>(
    effects: &mut E,
    service: &Service,
    teller: &Teller<'_>,
) -> Result<Examined<E::Point>, Error> {
    let mut point = None;
    let (mut suspicion, mut error) = (None, None);
    let mut step = Step::new(scope::place(service.context.home())?, service.limits.connect);
    loop {
        if !step.holds_lock() {
            point = None;
        }
        step = match step {
            Step::Read(s) => {
                suspicion = None;
                s.found(effects.read(Found::read)?.unwrap_or(Found::Absent))
            }
            Step::Dial(s) => {
                teller.saw(Seen::waits(Kind::Answer, Some(s.record().pid)), teller.now());
                match dial(effects, service, s.record()).await? {
                    Ok(welcome) => s.welcomed(welcome),
                    Err((failure, failed)) => {
                        suspicion = Some(failed);
                        s.failed(failure)
                    }
                }
            }
            Step::Lock(s) => {
                point = effects.try_lock(false)?.locked();
                if point.is_some() { s.got() } else { s.not_got() }
            }
            Step::Reread(s) => s.found(held(&mut point)?.read(Found::read)?, effects.now()),
            Step::Probe(s) => {
                let (lifetime, why) = effects.probe(held(&mut point)?);
                error = why;
                s.answered(lifetime)
            }
            Step::Done(done) => return Ok(Examined { done, point, suspicion, error }),
        };
    }
}

fn held<P>(point: &mut Option<P>) -> Result<&mut P, Error> {
    point.as_mut().ok_or_else(|| Error::missing("the point lock"))
}

/// Dials a server and requests its status. A local error is an error.
async fn dial<E: Effects>(
    effects: &mut E,
    service: &Service,
    record: &Record,
) -> Result<Result<Welcome, (DialFailure, Suspicion)>, Error> {
    match dial::whole(effects, record, Intent::Status, service.limits.patience).await {
        Ok((_, welcome)) => Ok(Ok(welcome)),
        Err((stage, error)) => {
            let (failure, address) = (error.failure(), socket::endpoint(&service.point, record.address));
            Ok(Err((failure, error.suspicion(Pid::new(record.pid), address, stage)?)))
        }
    }
}

impl<P> Examined<P> {
    /// Returns the dial that failed, of a server that did not answer.
    pub(super) fn suspicion(self) -> Result<Suspicion, Error> {
        self.suspicion.ok_or_else(|| Error::missing("a suspicion"))
    }

    /// Returns the status for the caller.
    pub(super) fn status(self) -> Result<Status, Error> {
        Ok(match self.done.verdict {
            Verdict::Live(welcome) => Status::live(welcome),
            Verdict::Absent => Status::Absent,
            Verdict::Malformed(malformed) => Status::Malformed(Malformed::of(malformed)),
            Verdict::Gone { pid } => Status::Gone { pid: Pid::new(pid) },
            Verdict::Between => Status::InTransition,
            Verdict::Unresponsive(_) => Status::Unresponsive(self.suspicion()?),
            Verdict::Unknown(_) => Status::Unknown(self.suspicion()?),
            Verdict::Incompatible(answer) => Status::Incompatible(Incompatibility::of(answer)),
            Verdict::Newer(format) => Status::Newer { format },
            Verdict::OtherDialect => Status::OtherDialect,
            Verdict::ForeignScope { pid, differs } => {
                Status::ForeignScope { pid: Pid::new(pid), differs: ScopeDifference::of(differs) }
            }
            Verdict::CannotTell => return Err(self.error.unwrap_or_else(|| Error::missing("the error"))),
        })
    }
}

/// Asks the server to retire. `None`: there is no server.
pub(super) async fn ask_to_retire<E: Effects>(
    effects: &mut E,
    service: &Service,
    teller: &Teller<'_>,
) -> Result<Option<(Welcome, E::Stream)>, Error> {
    if retire::is_no_server(presence(&service.point), presence(&service.life)) {
        return Ok(None);
    }
    match ending::run(effects, service, Goal::Retire, &mut Report::new(teller)).await? {
        Ended::Welcomed(welcome, stream) => Ok(Some((welcome, stream))),
        Ended::Absent => Ok(None),
        Ended::Start(_) | Ended::Internal(_) => Err(Error::missing("the server that was to retire")),
    }
}

/// Returns how long a server may take to exit that was asked to retire.
pub(super) fn longest_exit(service: &Service) -> Duration {
    let limits = &service.limits;
    retire::longest_wait(limits.lock, limits.drain, limits.patience)
}

/// Waits until the server that this client has asked to retire is about to exit.
pub(super) async fn exit<E: Effects>(
    effects: &mut E,
    service: &Service,
    teller: &Teller<'_>,
    (welcome, mut stream): (Welcome, E::Stream),
) -> Result<Retirement, Error> {
    let longest = longest_exit(service);
    teller.saw(Seen::waits(Kind::Drain, Some(welcome.pid)), teller.now());
    match effects.ended(&mut stream, longest).await {
        true => Ok(Retirement::Exited { pid: Pid::new(welcome.pid) }),
        false => Err(still_there(longest)),
    }
}

fn presence(path: &Path) -> Presence {
    match file::exists(path) {
        Ok(true) => Presence::There,
        Ok(false) => Presence::NotThere,
        Err(_) => Presence::CannotTell,
    }
}

impl Status {
    fn live(welcome: Welcome) -> Self {
        let Welcome { pid, service, uptime, clients, welcomed, refused, restored, .. } = welcome;
        let (pid, uptime) = (Pid::new(pid), Duration::from_secs(uptime));
        Status::Live { pid, version: service, uptime, clients, welcomed, refused, restored }
    }
}
