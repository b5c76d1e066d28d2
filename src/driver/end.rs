//! The end of a server that does not answer, by the explicit choice of a caller.
//!
//! Nothing is cleared and nothing started: a server that is killed is as dead as any other, and the next connect finds
//! that out as it always does.

use std::fmt;

use tokio::time::{Instant, sleep};

use super::connect::Pause;
use super::inspect::{Examined, Status, examine};
use super::life;
use super::os::identity::identify;
use super::point::Guard;
use super::{sequoia, story};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::proto::connect::Lifetime;
use crate::proto::record::{Found, Record};
use crate::service::Service;

/// What came of ending a server that does not answer: the answer of
/// [`Descriptor::end_unresponsive`](crate::Descriptor::end_unresponsive).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// It was killed, and is gone: its lifetime lock was free after that.
    Ended {
        /// Its process, once. The number may be another's by now.
        pid: u32,
    },
    /// Nothing was done, for no server was found that does not answer, but this.
    LeftAlone(Status),
}

/// Kills the server of the record, if it holds its lifetime lock and does not answer.
pub(crate) async fn end_unresponsive(service: &Service) -> Result<Ending, Error> {
    if service.dialect == Dialect::Sequoia {
        return Err(sequoia::no_retirement());
    }
    let began = Instant::now();
    let until = began + service.limits.connect;
    let mut pause = Pause::default();
    loop {
        let Examined { status, found, point } = examine(service, until).await?;
        match (status, found, point) {
            (Status::Unresponsive(_), Found::Record(record), Some(point)) => {
                return end(service, &record, &point).await;
            }
            // Who does not have the point lock may see a server that retires, or one that is just registered.
            (Status::Unknown(_), ..) if Instant::now() < until => sleep(pause.next()?).await,
            (Status::Unknown(suspicion), ..) => return Err(story::locked_out(began.elapsed(), suspicion)),
            (status, ..) => return Ok(Ending::LeftAlone(status)),
        }
    }
}

/// Ends it, and holds the point lock until it is gone, so that no successor can be taken for it.
async fn end(service: &Service, record: &Record, point: &Guard) -> Result<Ending, Error> {
    let pid = record.pid;
    let server = identify(pid, record.started)?;
    server.kill()?;
    tracing::warn!(target: "rendezvous_ipc::end", pid, "a server that does not answer was killed");
    let began = Instant::now();
    let mut pause = Pause::default();
    loop {
        match life::probe(point, &service.life) {
            (Lifetime::Free, _) => return Ok(Ending::Ended { pid }),
            (Lifetime::CannotTell, Some(error)) => return Err(error),
            _ if began.elapsed() < service.limits.drain => sleep(pause.next()?).await,
            _ => return Err(story::still_held(began.elapsed())),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Ended { pid } => write!(f, "ended: pid {pid}"),
            Ending::LeftAlone(status) => write!(f, "left alone: {status}"),
        }
    }
}
