//! The client's loop: performs the effect that each step asks for, and gives its result back to the machine.

use std::time::Duration;

use super::effects::{Awaited, Child, Effects, NoChild, Point};
use super::net::dial::{DialError, Tag};
use super::net::socket;
use super::report::Report;
use crate::error::{Error, StartFailure};
use crate::pid::Pid;
use crate::proto::connect::{DialFailure, Done, Goal, Holds, Lifetime, Looked, Step, Versions};
use crate::proto::handshake::Nonce;
use crate::proto::record::{Found, Line, Record};
use crate::proto::timing::{self, Pause};
use crate::service::Service;

/// Why a start failed, and where the child's part of the log begins.
pub(super) type Failure = (StartFailure, Option<u64>);

/// The end of the machine, with the resources that are held then.
pub(super) struct Driven<E: Effects> {
    pub(super) done: Done,
    /// The versions by which the machine decided.
    pub(super) versions: Versions,
    pub(super) held: Held<E>,
    pub(super) failure: Option<Failure>,
}

/// Runs the machine to its end.
///
/// Dropped at any await, it releases what it holds: see [`Held`]. `deadline` is when the caller gives up.
pub(super) async fn drive<E: Effects>(
    effects: &mut E,
    service: &Service,
    goal: Goal,
    deadline: Duration,
    report: &mut Report<'_>,
) -> Result<Driven<E>, Error> {
    let limits = &service.limits;
    let mut held = Held::<E>::default();
    // The deadline of the current dial.
    let mut until = deadline;
    let mut pause = Pause::default();
    let mut failure = None;
    let versions = service.versions();
    let mut step = Step::new(goal, versions);
    loop {
        report.step(&step, held.child_pid(), held.connection(), effects.now());
        debug_assert_eq!(step.holds(), held.holds(), "at {}", step.name());
        step = match step {
            Step::Read(s) => {
                let found = effects.read(Found::read)?.unwrap_or(Found::Absent);
                let read = if s.needs_place(&found) { s.at(effects.place()?) } else { s };
                read.found(found)
            }
            Step::Lock(s) => {
                let locked = effects.try_lock(s.creates())?;
                let tried = locked.tried();
                held.point = locked.locked();
                s.tried(tried)
            }
            Step::Reread(s) => {
                let found = held.point()?.read(Found::read)?;
                report.found(&found);
                s.at(effects.place()?).found(found)
            }
            Step::Probe(s) => {
                let lifetime = held.probe(effects, report)?;
                if s.is_free(lifetime) {
                    report.free(s.row(), s.elsewhere());
                }
                s.answered(lifetime)
            }
            Step::Clear(s) => {
                if timing::is_too_late_to_start(deadline.saturating_sub(effects.now()), limits.start) {
                    s.too_late()
                } else {
                    held.point()?.clear()?;
                    s.cleared(effects.random()?)
                }
            }
            Step::Spawn(s) => match effects.spawn(s.cookie(), limits.start).await {
                Ok(child) => {
                    held.child = Some(child);
                    s.spawned()
                }
                Err(NoChild::CannotExecute(error)) => {
                    failure = Some((StartFailure::CannotExecute(error), None));
                    s.cannot_execute()
                }
                Err(NoChild::Local(error)) => return Err(error),
            },
            Step::Await(s) => {
                let child = held.child()?;
                let (reply, pid) = (child.reply(limits.start).await, child.pid());
                match reply {
                    Awaited::Ready(record) => {
                        report.started(record.pid);
                        let wanted = versions.ours;
                        let reason = match record.version < wanted {
                            true => StartFailure::Version { offers: record.version, wanted },
                            false => StartFailure::Unverified,
                        };
                        failure = Some((reason, Some(child.log_begin())));
                        s.ready(record)
                    }
                    Awaited::Busy => {
                        report.busy(pid);
                        s.busy()
                    }
                    Awaited::Failed(reason) => {
                        failure = Some((reason, Some(child.log_begin())));
                        s.failed()
                    }
                }
            }
            Step::Verify(s) => s.answered(held.probe(effects, report)?),
            Step::Write(s) => {
                let mut line = Line::new();
                s.record().write(&mut line);
                held.point()?.write(&line)?;
                held.written = true;
                s.written()
            }
            Step::Confirm(s) => {
                held.confirm();
                failure = None;
                s.confirmed()
            }
            Step::Fallback(s) => {
                if held.freed(effects, limits.patience, report).await? {
                    s.free()
                } else {
                    s.not_free()
                }
            }
            Step::Dial(s) => {
                // Before the connection: the server wakes up for it, and then finds the hello.
                let (party, random) = (effects.party(), effects.random()?);
                until = effects.now() + limits.patience;
                match effects.connect(s.record().address, until).await {
                    Ok(stream) => {
                        held.stream = Some(stream);
                        let next = s.connected(party, random);
                        if let Step::Hello(hello) = &next {
                            held.nonce = Some(hello.nonce());
                        }
                        next
                    }
                    Err(error) => {
                        let failure = held.hang_up(service, s.record(), error, report);
                        s.failed(failure)
                    }
                }
            }
            Step::Hello(s) => match effects.send(held.stream()?, &s.message(), until).await {
                Ok(()) => s.sent(),
                Err(error) => {
                    let failure = held.hang_up(service, s.record(), error, report);
                    s.failed(failure)
                }
            },
            Step::Prove(s) => {
                let received = effects.receive(held.stream()?, until).await;
                match received.and_then(|bytes| s.judge(&bytes).map_err(DialError::Failed)) {
                    Ok(proof) => s.proved(proof),
                    Err(error) => {
                        let failure = held.hang_up(service, s.record(), error, report);
                        s.failed(failure)
                    }
                }
            }
            Step::Welcome(s) => {
                let stream = held.stream()?;
                let received = match effects.answer(stream, &s.message(), until).await {
                    Ok(()) => effects.receive(stream, until).await,
                    Err(error) => Err(error),
                };
                match received.and_then(|bytes| s.judge(&bytes).map_err(DialError::Failed)) {
                    Ok(welcome) => {
                        if s.replaces() {
                            report.replaces(s.record());
                            held.stream = None;
                        }
                        s.welcomed(welcome)
                    }
                    Err(error) => {
                        let failure = held.hang_up(service, s.record(), error, report);
                        s.failed(failure)
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
                let pause = pause.next(effects.jitter()?);
                effects.pause(pause).await;
                s.elapsed()
            }
            Step::Wait(s) => {
                effects.pause(timing::wait_for_a_life_file(limits.check, limits.patience)).await;
                s.elapsed()
            }
            Step::Done(done) => return Ok(Driven { done, versions, held, failure }),
        };
    }
}

/// What a connect holds. Dropping it kills a child that is not registered, withdraws its record, and then releases the
/// lock.
pub(super) struct Held<E: Effects> {
    pub(super) stream: Option<E::Stream>,
    /// The nonce of this handshake.
    nonce: Option<Nonce>,
    child: Option<E::Child>,
    /// The point holds the record of the child.
    written: bool,
    pub(super) point: Option<E::Point>,
}

impl<E: Effects> Default for Held<E> {
    fn default() -> Self {
        Held { stream: None, nonce: None, child: None, written: false, point: None }
    }
}

impl<E: Effects> Held<E> {
    fn holds(&self) -> Holds {
        Holds { lock: self.point.is_some(), child: self.child.is_some(), record: self.written }
    }

    /// Returns the process that was started and is not registered.
    fn child_pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::pid)
    }

    /// Returns the name of the connection, by which the server's log names it, too.
    fn connection(&self) -> Option<Tag> {
        self.stream.as_ref().and(self.nonce).map(Tag)
    }

    fn point(&mut self) -> Result<&mut E::Point, Error> {
        self.point.as_mut().ok_or_else(|| Error::missing("the point lock"))
    }

    fn child(&mut self) -> Result<&mut E::Child, Error> {
        self.child.as_mut().ok_or_else(|| Error::missing("the child"))
    }

    fn stream(&mut self) -> Result<&mut E::Stream, Error> {
        self.stream.as_mut().ok_or_else(|| Error::missing("the stream"))
    }

    fn probe(&mut self, effects: &mut E, report: &mut Report<'_>) -> Result<Lifetime, Error> {
        let (lifetime, why) = effects.probe(self.point()?);
        why.into_iter().for_each(|error| report.local_error(error));
        Ok(lifetime)
    }

    /// Returns whether no server is alive, probing until `patience` is over.
    async fn freed(&mut self, effects: &mut E, patience: Duration, report: &mut Report<'_>) -> Result<bool, Error> {
        let until = effects.now() + patience;
        let mut pause = Pause::default();
        let is_current = self.point()?.is_current()?;
        loop {
            match Looked::of(is_current, self.probe(effects, report)?, effects.now() >= until) {
                Looked::Free => return Ok(true),
                Looked::NotFree => return Ok(false),
                Looked::Again => {
                    let pause = pause.next(effects.jitter()?);
                    effects.pause(pause).await;
                }
            }
        }
    }

    /// Confirms the registration: the child is now a server like any other.
    fn confirm(&mut self) {
        self.written = false;
        if let Some(child) = self.child.take() {
            child.confirm();
        }
    }

    /// Ends a dial, reports why it failed, and returns the failure.
    fn hang_up(
        &mut self,
        service: &Service,
        record: &Record,
        error: DialError,
        report: &mut Report<'_>,
    ) -> DialFailure {
        self.stream = None;
        report.dial_failed(error, Pid::new(record.pid), socket::endpoint(&service.point, record.address))
    }
}

impl<E: Effects> Drop for Held<E> {
    fn drop(&mut self) {
        let withdraws = self.holds().withdraws();
        self.child = None;
        if let (true, Some(point)) = (withdraws, &mut self.point) {
            let _ = point.clear();
        }
    }
}

#[cfg(test)]
mod tests;
