//! The end of a server that does not answer, by the explicit choice of a caller.
//!
//! Nothing is cleared and nothing started: a server that is killed is as dead as any other, and the next connect finds
//! that out as it always does.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::connect::Pause;
use super::inspect::{Examined, examine};
use super::life;
use super::os::identity::{Identity, elsewhere, identify, not_the_server};
use super::os::locks;
use super::os::progress::Look;
use super::point::Guard;
use super::socket::{self, BACKLOG};
use super::{sequoia, story};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::outcome::Suspicion;
use crate::proto::connect::{Came, Lifetime};
use crate::proto::record::{Found, Record};
use crate::proto::unresponsive::{Seen, Sign, Spared, Verdict};
use crate::service::Service;
use crate::status::{Ending, Status};

/// Kills the server of the record, if it holds its lifetime lock, does not answer, and makes no progress.
///
/// Nothing is held between two looks: who wants the point lock meanwhile gets it.
pub(crate) async fn end_unresponsive(service: &Service) -> Result<Ending, Error> {
    if service.dialect == Dialect::Sequoia {
        return Err(sequoia::no_retirement());
    }
    let began = Instant::now();
    let until = began + service.limits.connect;
    let mut pause = Pause::default();
    let mut silent: Option<Silent> = None;
    loop {
        let next = Instant::now() + service.limits.patience;
        let Examined { status, found, point } = examine(service, until).await?;
        match (status, found, point) {
            (Status::Unresponsive(suspicion), Found::Record(record), Some(point)) => {
                let server = match silent.take() {
                    Some(server) if server.record == record => server,
                    _ => Silent::new(service, record)?,
                };
                let server = silent.insert(server);
                match server.look(suspicion.came) {
                    Verdict::End(sign) => return end(service, server, &point, sign).await,
                    Verdict::Spare(spared) => return Err(spare(spared, suspicion, began.elapsed())),
                    Verdict::LookAgain if Instant::now() < until => {}
                    Verdict::LookAgain => return Err(spare(Spared::NotKnown, suspicion, began.elapsed())),
                }
                drop(point);
                // One that is refused is refused at once: looks are apart all the same.
                sleep_until(next).await;
            }
            // Who does not have the point lock may see a server that retires, or one that is just registered.
            (Status::Unknown(_), ..) if Instant::now() < until => sleep(pause.next()?).await,
            (Status::Unknown(suspicion), ..) => return Err(story::locked_out(service, began.elapsed(), suspicion)),
            (status, ..) => return Ok(Ending::LeftAlone(status)),
        }
    }
}

/// A server that does not answer, and what was seen of it since it first did not.
struct Silent {
    record: Record,
    process: Identity,
    first: Option<Look>,
    silences: u32,
    stopped: Option<bool>,
}

impl Silent {
    fn new(service: &Service, record: Record) -> Result<Self, Error> {
        if socket::is_anothers(&service.point, &record) {
            return Err(elsewhere(record.pid));
        }
        let process = identify(record.pid, record.started)?;
        Ok(Silent { record, process, first: None, silences: 0, stopped: Some(true) })
    }

    /// Looks at it after one more dial that came to nothing.
    fn look(&mut self, came: Came) -> Verdict {
        let look = Look::at(self.process.number, self.record.address.tcp(), BACKLOG);
        self.silences += 1;
        self.stopped = self.stopped.zip(look.stopped()).map(|(before, now)| before && now);
        let (ran, moved) = match &self.first {
            Some(first) => (look.ran_since(first), look.moved_since(first)),
            None => (None, None),
        };
        self.first.get_or_insert(look);
        Seen { silences: self.silences, came, stopped: self.stopped, ran, moved }.verdict()
    }
}

/// The error for who was to end a server that may be well.
fn spare(spared: Spared, suspicion: Suspicion, waited: Duration) -> Error {
    const LATER: &str = "it may be busy, or others crowd it: try again when that is over, and if it hangs all the same, \
                         end it by hand";
    let (found, remedy) = match spared {
        Spared::Acts => ("it hung up or said something else, and so it does something", LATER),
        Spared::GoesOn => ("it goes on", LATER),
        Spared::Closed => ("it is not stopped, and may be waiting for its last clients", "wait for its end"),
        Spared::Shut => ("it is not stopped, and nobody can ask it", "change the mode of its socket to 0600"),
        Spared::NotKnown => ("whether it goes on cannot be seen", "see what it does, and end it by hand"),
    };
    Error::NotHung { pid: suspicion.pid, suspicion: Box::new(suspicion), waited, found, remedy }
}

/// Ends it, and holds the point lock until it is gone, so that no successor can be taken for it.
async fn end(service: &Service, server: &Silent, point: &Guard, sign: Sign) -> Result<Ending, Error> {
    let pid = server.record.pid;
    // By a rare chance two processes of two PID namespaces have one number and one start.
    if locks::is_anothers(&service.life, &service.point, server.process.number) {
        return Err(not_the_server(pid));
    }
    server.process.kill()?;
    tracing::warn!(target: "rendezvous_ipc::end", pid, %sign, "a server that does not answer was killed");
    let began = Instant::now();
    let mut pause = Pause::default();
    loop {
        match life::probe(point, &service.life) {
            (Lifetime::Free | Lifetime::Absent, _) => return Ok(Ending::Ended { pid, sign }),
            (Lifetime::CannotTell, Some(error)) => return Err(error),
            _ if began.elapsed() < service.limits.drain => sleep(pause.next()?).await,
            _ => return Err(story::still_held(began.elapsed())),
        }
    }
}
