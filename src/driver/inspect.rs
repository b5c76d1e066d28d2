//! Status and retirement: what a client may request without being served.

use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use super::connect;
use super::files::life;
use super::files::point::{self, Guard};
use super::net::dial;
use super::net::socket;
use super::os::scope;
use super::report::still_there;
use super::waiting::Teller;
use super::welcomed::Welcomed;
use crate::error::Error;
use crate::found::{Incompatibility, Malformed, ScopeDifference};
use crate::pid::Pid;
use crate::proto::connect::DialFailure;
use crate::proto::handshake::{Intent, Welcome};
use crate::proto::inspect::{Done, Step, Verdict};
use crate::proto::record::Record;
use crate::proto::retire::{self, Presence};
use crate::proto::waiting::{Kind, Seen};
use crate::service::Service;
use crate::status::{Retirement, Status};
use crate::suspicion::Suspicion;

/// Inspects a point. Takes no lock, unless a dial failed or there is nothing to dial.
pub(crate) async fn inspect(service: &Service) -> Result<Status, Error> {
    let teller = Teller::new(service, service.limits.patience, Duration::ZERO);
    teller.during(examine(service, Instant::now(), &teller)).await?.status()
}

/// The result of an inspection, with the point lock if it is still held: then the result is still true.
pub(super) struct Examined {
    pub(super) done: Done,
    pub(super) point: Option<Guard>,
    /// The dial that failed, if one did.
    suspicion: Option<Suspicion>,
    /// Why the lifetime lock could not be asked, if it could not.
    error: Option<Error>,
}

/// Looks at a point, again where it changes meanwhile.
pub(super) async fn examine(service: &Service, began: Instant, teller: &Teller<'_>) -> Result<Examined, Error> {
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
                s.found(point::read(&service.point)?)
            }
            Step::Dial(s) => {
                teller.saw(Seen::waits(Kind::Answer, Some(s.record().pid)), teller.now());
                match dial(service, s.record()).await? {
                    Ok(welcome) => s.welcomed(welcome),
                    Err((failure, failed)) => {
                        suspicion = Some(failed);
                        s.failed(failure)
                    }
                }
            }
            Step::Lock(s) => {
                point = point::try_lock_to_look(&service.point)?.locked();
                if point.is_some() { s.got() } else { s.not_got() }
            }
            Step::Reread(s) => s.found(held(&mut point)?.found()?, began.elapsed()),
            Step::Probe(s) => {
                let (lifetime, why) = life::probe(held(&mut point)?, &service.life);
                error = why;
                s.answered(lifetime)
            }
            Step::Done(done) => return Ok(Examined { done, point, suspicion, error }),
        };
    }
}

fn held(point: &mut Option<Guard>) -> Result<&mut Guard, Error> {
    point.as_mut().ok_or_else(|| Error::missing("the point lock"))
}

/// Dials a server and requests its status. A local error is an error.
async fn dial(service: &Service, record: &Record) -> Result<Result<Welcome, (DialFailure, Suspicion)>, Error> {
    match dial::whole(&service.point, record, Intent::Status, service.limits.patience).await {
        Ok((_, welcome)) => Ok(Ok(welcome)),
        Err((stage, error)) => {
            let (failure, address) = (error.failure(), socket::endpoint(&service.point, record.address));
            Ok(Err((failure, error.suspicion(Pid::new(record.pid), address, stage)?)))
        }
    }
}

impl Examined {
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

/// Asks the server to retire, and waits until it is about to exit.
pub(crate) async fn retire(service: &Service) -> Result<Retirement, Error> {
    if retire::is_no_server(presence(&service.point), presence(&service.life)) {
        return Ok(Retirement::NoServer);
    }
    match connect::ask_to_retire(service).await? {
        Some(Welcomed { welcome, mut stream, .. }) => {
            let limits = &service.limits;
            let longest = retire::longest_wait(limits.lock, limits.drain, limits.patience);
            let teller = Teller::new(service, longest, longest);
            teller.saw(Seen::waits(Kind::Drain, Some(welcome.pid)), teller.now());
            match teller.during(timeout(longest, stream.read(&mut [0]))).await {
                Ok(_) => Ok(Retirement::Exited { pid: Pid::new(welcome.pid) }),
                Err(_) => Err(still_there(longest)),
            }
        }
        None => Ok(Retirement::NoServer),
    }
}

fn presence(path: &Path) -> Presence {
    match path.try_exists() {
        Ok(true) => Presence::There,
        Ok(false) => Presence::NotThere,
        Err(_) => Presence::CannotTell,
    }
}

impl Status {
    fn live(welcome: Welcome) -> Self {
        let Welcome { pid, service, uptime, clients } = welcome;
        Status::Live { pid: Pid::new(pid), version: service, uptime: Duration::from_secs(uptime), clients }
    }
}
