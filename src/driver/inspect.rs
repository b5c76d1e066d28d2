//! Status and retirement: what a client may want of a server without being served.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use super::connect::{self, Ended};
use super::dial;
use super::life;
use super::os::scope;
use super::point::{self, Guard};
use super::sequoia;
use super::story::{Story, still_there};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::outcome::Suspicion;
use crate::proto::connect::{Came, Goal, Lifetime};
use crate::proto::handshake::{Intent, Welcome};
use crate::proto::record::{Found, Record};
use crate::proto::scope::{Place, Reach};
use crate::service::Service;
use crate::status::{Retired, Status};

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
