//! The end of a server that does not answer, by the explicit choice of a caller.
//!
//! Nothing is cleared and nothing started: a server that is killed is as dead as any other, and the next connect finds
//! that out as it always does.

use std::time::Duration;

use super::effects::Effects;
use super::inspect::{Examined, examine};
use super::net::socket::BACKLOG;
use super::net::stream;
use super::os::locks;
use super::os::pidfd::{Identity, identify, unidentified};
use super::os::progress::Look;
use super::report;
use super::waiting::Teller;
use crate::error::{Error, NotHung, Unidentified};
use crate::limits::Limits;
use crate::pid::Pid;
use crate::proto::end::{Done, Glance, Step, Times};
use crate::proto::record::Record;
use crate::proto::timing::Pause;
use crate::proto::unresponsive::Spared;
use crate::service::Service;
use crate::status::{Sign, Termination};
use crate::suspicion::Suspicion;

/// Kills the server of the record, if it holds its lifetime lock, does not answer, and makes no progress.
pub(super) async fn end_unresponsive<E: Effects>(
    effects: &mut E,
    service: &Service,
    teller: &Teller<'_>,
) -> Result<Termination, Error> {
    let Limits { connect, patience, lock, .. } = service.limits;
    let mut pause = Pause::default();
    let mut seen = Seen::<E::Point>::default();
    let mut step = Step::new(Times { connect, patience, lock });
    loop {
        teller.saw(step.seen(), teller.now());
        if !step.holds_lock() {
            seen.point = None;
        }
        step = match step {
            Step::Look(s) => {
                let mut look = examine(effects, service, teller).await?;
                seen.point = look.point.take();
                s.saw(&seen.look.insert(look).done, effects.now())
            }
            Step::Identify(s) => match identify_server(service, s.record()) {
                Ok(process) => {
                    seen.process = Some(process);
                    s.identified()
                }
                Err(error) => {
                    seen.error = Some(error);
                    s.not_identified()
                }
            },
            Step::Watch(s) => {
                let now = Look::at(seen.process()?.number, s.record().address.tcp(), BACKLOG);
                if s.is_first() {
                    seen.first = None;
                }
                s.saw(seen.glance(now), effects.now())
            }
            Step::Rest(s) => {
                effects.pause(s.until().saturating_sub(effects.now())).await;
                s.over(effects.now())
            }
            Step::Owner(s) => match locks::is_anothers(&service.life, &service.point, seen.process()?.number) {
                true => {
                    seen.error = Some(unidentified(s.pid(), Unidentified::NotTheHolder));
                    s.held_by_another()
                }
                false => s.not_held_by_another(),
            },
            Step::Kill(s) => {
                seen.process()?.kill()?;
                let (pid, sign) = (s.pid(), s.sign());
                tracing::warn!(target: "rendezvous_ipc::end", pid, %sign, "a server that does not answer was killed");
                pause = Pause::default();
                s.killed(effects.now())
            }
            Step::Probe(s) => {
                let (lifetime, why) = effects.probe(seen.point()?);
                seen.error = why;
                s.answered(lifetime, effects.now())
            }
            Step::Backoff(s) => {
                let pause = pause.next(effects.jitter()?);
                effects.pause(pause).await;
                s.over(effects.now())
            }
            Step::Done(Done::Ended { pid, sign }) => {
                let pid = Pid::new(pid).ok_or_else(|| Error::missing("the number of the process that was killed"))?;
                return Ok(Termination::Killed { pid, sign: Sign::of(sign) });
            }
            Step::Done(Done::LeftAlone) => return Ok(Termination::LeftAlone(seen.look()?.status()?)),
            Step::Done(Done::Spared(spared)) => {
                return Err(spare(spared, seen.look()?.suspicion()?, effects.now()));
            }
            Step::Done(Done::LockedOut) => {
                return Err(report::locked_out(service, effects.now(), seen.look()?.suspicion()?));
            }
            Step::Done(Done::StillHeld(waited)) => return Err(report::still_held(waited)),
            Step::Done(Done::Unidentified | Done::Trouble) => {
                return Err(seen.error.unwrap_or_else(|| Error::missing("the error")));
            }
        };
    }
}

/// The observations so far, and what is held.
struct Seen<P> {
    /// The last look at the point.
    look: Option<Examined<P>>,
    /// The point lock of that look.
    point: Option<P>,
    process: Option<Identity>,
    /// The first glance at the process.
    first: Option<Look>,
    error: Option<Error>,
}

impl<P> Default for Seen<P> {
    fn default() -> Self {
        Seen { look: None, point: None, process: None, first: None, error: None }
    }
}

impl<P> Seen<P> {
    fn look(&mut self) -> Result<Examined<P>, Error> {
        self.look.take().ok_or_else(|| Error::missing("a look"))
    }

    fn point(&self) -> Result<&P, Error> {
        self.point.as_ref().ok_or_else(|| Error::missing("the point lock"))
    }

    fn process(&self) -> Result<&Identity, Error> {
        self.process.as_ref().ok_or_else(|| Error::missing("the process"))
    }

    /// Compares the process with the first glance, or keeps this one as the first.
    fn glance(&mut self, now: Look) -> Glance {
        let stopped = now.stopped();
        let (ran, moved) = match &self.first {
            Some(first) => (now.ran_since(first), now.moved_since(first)),
            None => (None, None),
        };
        self.first.get_or_insert(now);
        Glance { stopped, ran, moved }
    }
}

/// Opens the process of a record, if it is the one that listens there.
fn identify_server(service: &Service, record: &Record) -> Result<Identity, Error> {
    if stream::is_anothers(&service.point, record) {
        return Err(unidentified(record.pid, Unidentified::OtherListener));
    }
    identify(record.pid, record.started)
}

/// Returns the error for a caller whose server may be well.
fn spare(spared: Spared, suspicion: Suspicion, waited: Duration) -> Error {
    Error::NotHung { pid: suspicion.pid, suspicion: Box::new(suspicion), waited, found: NotHung::of(spared) }
}
