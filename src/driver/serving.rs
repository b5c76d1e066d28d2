//! The serving loop, for both dialects: does what each step of the [machine](crate::proto::serving) asks for.
//!
//! It runs on a thread of its own, with the acceptor and the handshakes, so that the program's runtime and its handlers
//! delay no handshake.

use std::convert::Infallible;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::acceptor::{Acceptor, Handshake};
use super::admission::Admission;
use super::clock::{at, now};
use super::counters::SharedCounters;
use super::files::own_log::Log;
use super::files::point::{self, Guard};
use super::handlers::{Handler, Handlers, handle};
use super::net::listener::Listener;
use super::os::changes::{Changes, Files};
use super::os::signals::Signals;
use super::random;
use super::shutdown::Shutdown;
use super::supervise;
use super::wheel;
use crate::error::Error;
use crate::proto::cookie::Cookie;
use crate::proto::lock::Tried;
use crate::proto::serve::LifeFile;
use crate::proto::serving::{Checked, Checks, Done, Draining, Due, LifetimeLock, Retire, Seen, Step, Tries, Watched};
use crate::service::Service;
use crate::transport::Endpoint;

/// The effects in which the dialects differ. [`Server`] has the effects that are the same in both.
pub(super) trait Effects: Sized {
    /// The state that handshakes use.
    type ServerState: Handshake;

    /// How many files *Check* and *Lock* open at once, at most.
    const FILES: usize;

    /// Whether the lifetime lock is held; `None` where the dialect has none.
    fn holds_life(&self) -> Option<bool>;

    /// Serve: returns when the idle period may end.
    async fn may_be_idle(state: &Self::ServerState, patience: Duration);

    /// Check: marks this server's files as used, so that a cleaner of temporary files keeps them.
    fn touch(service: &Service, state: &Self::ServerState);

    /// Check, and Recheck with the locked point: returns what the files hold.
    fn check(&self, service: &Service, state: &Self::ServerState, point: Option<&mut Guard>) -> Result<Checked, Error>;

    /// Check: returns the server's files beside the point.
    fn others(service: &Service, state: &Self::ServerState) -> Vec<PathBuf>;

    /// Check: repairs the listener's file, where it has one. Returns whether something had to be done.
    fn repair(acceptor: &mut Acceptor<Self::ServerState>) -> bool;

    /// Backoff: returns whether the home is gone. Then there is nothing to lock, and nothing to withdraw.
    fn is_gone(&self, service: &Service) -> bool;

    /// Reclaim: makes the life file again, and locks it.
    fn reclaim(&mut self) -> Result<LifeFile, Error>;

    /// Restore: truncates the point and writes the record of this server again.
    fn restore(&mut self, state: &Self::ServerState, point: &mut Guard) -> Result<(), Error>;

    /// Look: returns when the clients that have to be counted before are counted.
    async fn settle(state: &Self::ServerState, patience: Duration);

    /// Withdraw: returns whether this server may withdraw what the point holds.
    fn may_withdraw(state: &Self::ServerState, point: &mut Guard) -> Result<bool, Error>;

    /// Close: returns what is needed until the end of the drain. The rest is dropped.
    fn close(state: Rc<Self::ServerState>) -> Option<Rc<Self::ServerState>>;

    /// Drain: writes down, for clients that wait for its end, that this server drains for at most `drain`.
    fn sign_drain(&mut self, drain: Duration);

    /// Drain: leaves the connections of clients that asked for the retirement to the process, where that is nothing but
    /// this server.
    fn release_retire_waiters(state: &Self::ServerState);

    /// Release: releases the lifetime lock, or leaves it to the process.
    fn release(&mut self, lock: LifetimeLock);

    /// Drops what was not served yet, after the loop panicked.
    fn abandon(&mut self);

    /// Reports to the client that started this server why it failed, unless it has replied already.
    fn report_failure(&mut self, error: &Error);
}

/// A server and what it holds. Dropping it releases the point lock.
pub(super) struct Server<'a, E: Effects> {
    pub(super) service: &'a Service,
    pub(super) effects: E,
    pub(super) shutdown: Shutdown,
    /// The log of a server that a client started. A server by hand has none.
    pub(super) log: Option<Log<'a>>,
    pub(super) cookie: Option<Cookie>,
    pub(super) admission: Arc<Admission>,
    pub(super) counters: Arc<SharedCounters>,
    pub(super) handlers: Option<Handlers>,
    pub(super) state: Option<Rc<E::ServerState>>,
    pub(super) point: Option<Guard>,
    /// Why the start failed.
    pub(super) refused: Option<Error>,
    acceptor: Option<Acceptor<E::ServerState>>,
    /// The task that died, for which the server retires.
    dead: Option<Error>,
    /// Code of the handler cannot be stopped.
    handler_runs: bool,
    checks: Checks,
    /// `None`: the system reports no changes.
    pub(super) changes: Option<Changes>,
    tries: Tries,
}

impl<'a, E: Effects> Server<'a, E> {
    pub(super) fn new(service: &'a Service, shutdown: Shutdown, effects: E) -> Self {
        Server {
            service,
            effects,
            shutdown,
            log: None,
            cookie: None,
            admission: Admission::new(),
            counters: Arc::default(),
            handlers: None,
            state: None,
            point: None,
            refused: None,
            acceptor: None,
            dead: None,
            handler_runs: false,
            checks: Checks::begin(service.limits.check, wheel::turned(), now()),
            changes: None,
            tries: Tries::default(),
        }
    }

    /// Runs `live` to its end and releases everything then, also if it panics. It follows signals meanwhile.
    pub(super) async fn run(
        mut self,
        signals: Signals,
        live: impl AsyncFnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (shutdown, spawned) = (self.shutdown.clone(), self.service.context.is_spawned());
        let lives = async {
            let result = supervise::caught("the server's loop", live(&mut self)).await;
            if let Ok(Err(error)) | Err(error) = &result {
                self.effects.report_failure(error);
            }
            if result.is_err() {
                self.abandon().await;
            }
            self.release().await;
            supervise::ended(result, self.dead.take(), spawned)
        };
        tokio::select! {
            biased;
            result = lives => result,
            never = follow_signals(signals, shutdown) => match never {},
        }
    }

    /// Begins to build the handler.
    pub(super) fn begin_to_build(&mut self, handler: &mut Handler) -> Result<(), Error> {
        let start = handle(&self.service.context, (&self.admission, &self.counters), &self.shutdown);
        let handlers = match self.handlers.take() {
            Some(handlers) => handlers,
            None => handler.start()?,
        };
        self.handlers.insert(handlers).begin(start);
        Ok(())
    }

    /// Waits until the handler is built.
    pub(super) async fn built(&mut self, until: Instant) -> Result<(), Error> {
        let handlers = self.handlers.as_mut().ok_or_else(|| Error::missing("the handler"))?;
        handlers.built_by(until, &self.shutdown).await
    }

    /// Serves from here on: nothing was accepted before.
    pub(super) fn open(&mut self, listener: Listener) -> Result<(), Error> {
        let state = self.state()?;
        self.counters.begin();
        self.admission.open();
        self.acceptor = Some(Acceptor::open(listener, state));
        self.checks = Checks::begin(self.service.limits.check, wheel::turned(), now());
        Ok(())
    }

    /// Serves, from the end of the start until everything is released.
    pub(super) async fn serve(&mut self, mut step: Step) -> Result<Done, Error> {
        loop {
            let facts = step.facts();
            tracing::debug!(
                target: "rendezvous_ipc::serve",
                step = step.name(),
                why = facts.why.map(tracing::field::debug),
                purpose = facts.purpose,
                then = facts.then,
                "{}",
                step.name()
            );
            debug_assert_eq!(step.holds().lock, self.point.is_some(), "at {}", step.name());
            debug_assert!(self.effects.holds_life().is_none_or(|life| life == step.holds().life), "at {}", step.name());
            self.tries.record(&step, now());
            step = match step {
                Step::Serve(s) => s.due(self.wait().await?),
                Step::Check(s) => s.checked(self.check()?),
                Step::Lock(s) => {
                    let tried = self.try_lock();
                    if s.restarts_idle(tried) {
                        self.admission.restart_idle();
                        sleep(jitter()?).await;
                    }
                    s.tried(tried)
                }
                Step::Backoff(s) => {
                    let (requested, gone) = (self.shutdown.at(), self.effects.is_gone(self.service));
                    if self.tries.are_over(requested, gone, self.service.limits.lock, now()) {
                        s.overdue()
                    } else {
                        sleep(jitter()?).await;
                        s.again(requested.is_some())
                    }
                }
                Step::Recheck(s) => s.checked(self.checked(true)?),
                Step::Reclaim(s) => match self.reclaim() {
                    LifeFile::Mine => s.claimed(),
                    LifeFile::Lost => s.lost(),
                    LifeFile::Unheld => s.failed(),
                },
                Step::Restore(s) => {
                    self.restore()?;
                    s.restored()
                }
                Step::Look(s) => {
                    E::settle(&*self.state()?, self.service.limits.patience).await;
                    if self.shut(s.why()) { s.shut() } else { s.counted() }
                }
                Step::Withdraw(s) => {
                    let state = self.state()?;
                    let point = self.point()?;
                    if E::may_withdraw(&state, point).is_ok_and(|may| may) {
                        let _ = point.clear();
                    }
                    s.withdrawn()
                }
                Step::Close(s) => {
                    self.acceptor = None;
                    self.changes.iter_mut().for_each(Changes::stop);
                    self.state = self.state.take().and_then(E::close);
                    s.closed()
                }
                Step::Unlock(s) => {
                    self.point = None;
                    s.unlocked()
                }
                Step::Drain(s) => {
                    self.drain(s.why()).await;
                    s.drained()
                }
                Step::Release(s) => {
                    self.release().await;
                    s.released()
                }
                Step::Done(done) => {
                    tracing::info!(target: "rendezvous_ipc::serve", ?done);
                    return Ok(done);
                }
            };
        }
    }

    /// Waits until something is due. Clients connect and leave meanwhile.
    async fn wait(&mut self) -> Result<Due, Error> {
        let state = self.state()?;
        state.reserve().fill();
        let limits = &self.service.limits;
        let (checks, changes) = (&mut self.checks, &mut self.changes);
        let check = async {
            // A timer fires up to a millisecond late.
            while now() < checks.next() {
                tokio::select! {
                    biased;
                    () = sleep_until(at(checks.next())) => {}
                    (seen, changes) = reported(changes) => if !checks.saw(seen, now()) {
                        changes.stop();
                    },
                }
            }
        };
        let idle = async {
            E::may_be_idle(&state, limits.patience).await;
            self.admission.idle(limits.idle, limits.patience).await;
        };
        let idle = tokio::select! {
            biased;
            () = self.shutdown.requested() => false,
            () = check => false,
            () = idle => true,
            dead = supervise::lost(&mut self.acceptor, &mut self.handlers) => {
                self.dead = Some(dead);
                self.shutdown.request();
                false
            }
        };
        Ok(Due { shutdown: self.shutdown.at().is_some(), check: now() >= self.checks.next(), idle })
    }

    fn try_lock(&mut self) -> Tried {
        self.lend();
        match point::try_lock(&self.service.point) {
            Ok(lock) => {
                let tried = lock.tried();
                self.point = lock.locked();
                tried
            }
            Err(error) => {
                tracing::warn!(target: "rendezvous_ipc::serve", error = %format_args!("{error:#}"), "the point cannot be locked");
                Tried::Failed
            }
        }
    }

    /// Does it at every *Check*, and while the server drains, which may be without a limit.
    fn look_after_the_log(&mut self) {
        self.lend();
        self.log.iter_mut().for_each(Log::look_after);
    }

    fn check(&mut self) -> Result<Checked, Error> {
        self.look_after_the_log();
        E::touch(self.service, &*self.state()?);
        let watched = self.watch(&*self.state()?);
        let checked = self.checked(false)?;
        let repaired = checked != Checked::Lost && self.acceptor.as_mut().is_some_and(E::repair);
        self.checks.checked(watched, checked == Checked::Mine && !repaired, now());
        Ok(checked)
    }

    /// Watches the files that there are now. What changes after this is reported, and what changed before is found by
    /// the check that follows.
    fn watch(&mut self, state: &E::ServerState) -> Watched {
        let Some(changes) = &mut self.changes else { return Watched::default() };
        let others = E::others(self.service, state);
        let log = self.log.as_ref().and_then(Log::path);
        changes.watch(&Files { point: &self.service.point, others: &others, log })
    }

    fn checked(&mut self, locked: bool) -> Result<Checked, Error> {
        let state = self.state()?;
        let point = if locked { Some(self.point.as_mut().ok_or_else(no_lock)?) } else { None };
        Ok(self.effects.check(self.service, &state, point).unwrap_or_else(|error| {
            tracing::warn!(target: "rendezvous_ipc::serve", error = %format_args!("{error:#}"), "the files cannot be looked at");
            Checked::CannotTell
        }))
    }

    fn reclaim(&mut self) -> LifeFile {
        let reclaimed = self.effects.reclaim();
        match &reclaimed {
            Ok(LifeFile::Mine) => {
                tracing::info!(target: "rendezvous_ipc::serve", "the life file was made again");
                self.counters.restore();
                self.checks.repaired(now());
            }
            Ok(LifeFile::Lost | LifeFile::Unheld) => {}
            Err(error) => {
                tracing::warn!(target: "rendezvous_ipc::serve", error = %format_args!("{error:#}"), "the life file is not made again");
            }
        }
        reclaimed.unwrap_or(LifeFile::Unheld)
    }

    fn restore(&mut self) -> Result<(), Error> {
        let state = self.state()?;
        self.checks.repaired(now());
        match self.effects.restore(&state, self.point.as_mut().ok_or_else(no_lock)?) {
            Ok(()) => {
                tracing::info!(target: "rendezvous_ipc::serve", "the record was restored");
                self.counters.restore();
            }
            Err(error) => {
                tracing::warn!(target: "rendezvous_ipc::serve", error = %format_args!("{error:#}"), "not restored")
            }
        }
        Ok(())
    }

    /// Gives up descriptors of the reserve for the files that this server opens itself.
    fn lend(&self) {
        if let Some(state) = &self.state {
            state.reserve().lend(E::FILES);
        }
    }

    /// Waits for the clients that are left, then ends them, and the handler with them.
    async fn drain(&mut self, why: Retire) {
        let limits = &self.service.limits;
        let keeps = self.service.when_lost.keeps_sessions(why, self.effects.is_gone(self.service));
        let mut draining = Draining::new(now(), limits.drain, keeps);
        if !keeps && draining.waits(self.admission.remaining(), self.shutdown.is_forced(), now()) {
            self.effects.sign_drain(limits.drain);
        }
        self.checks.checked(Watched::default(), true, now());
        while draining.waits(self.admission.remaining(), self.shutdown.is_forced(), now()) {
            let over = async {
                match draining.until() {
                    Some(until) => sleep_until(at(until)).await,
                    None => self.shutdown.requested().await,
                }
            };
            tokio::select! {
                () = self.admission.empty() => {}
                () = self.shutdown.forced() => {}
                () = over => draining.request(now()),
                () = sleep_until(at(self.checks.next())) => {
                    self.look_after_the_log();
                    self.checks.checked(Watched::default(), true, now());
                }
            }
        }
        self.end_handlers(draining.left_for_the_handler(limits.patience, now())).await;
        if self.service.context.is_spawned()
            && let Some(state) = &self.state
        {
            E::release_retire_waiters(state);
        }
    }

    /// Looks at the gate, and announces the retirement if it is shut now. Returns whether it is.
    fn shut(&self, why: Retire) -> bool {
        let shut = self.admission.look(why);
        if shut {
            self.shutdown.announce(why);
        }
        shut
    }

    /// Cleans up after a loop that panicked. Its clients are served until the end of the drain.
    async fn abandon(&mut self) {
        (self.point, self.acceptor) = (None, None);
        self.effects.abandon();
        let _shut = self.shut(Retire::Requested);
        self.drain(Retire::Requested).await;
    }

    /// Ends the handler. One that blocks its thread cannot be stopped: then the lifetime lock is left to the process.
    async fn end_handlers(&mut self, patience: Duration) {
        if let Some(handlers) = self.handlers.take()
            && !handlers.end(patience).await
        {
            tracing::warn!(target: "rendezvous_ipc::serve", "a handler still runs");
            self.handler_runs = true;
        }
    }

    /// Releases what is held, the lifetime lock only when no code of the handler runs any more and no stream is left.
    async fn release(&mut self) {
        self.point = None;
        // A start that failed has not been at *Look*. What waits for the retirement ends then.
        let _shut = self.shut(Retire::Requested);
        self.end_handlers(self.service.limits.patience).await;
        let remaining = self.admission.remaining();
        if remaining > 0 {
            tracing::warn!(target: "rendezvous_ipc::serve", remaining, "streams or guards are still in use");
        }
        self.effects.release(LifetimeLock::after(self.handler_runs, remaining));
    }

    /// Writes the first line of the log, if there is one.
    pub(super) fn begin_log(&self, version: u32, endpoint: &Endpoint, spawner: Option<u32>) {
        self.log.iter().for_each(|log| log.begin(version, endpoint, spawner));
    }

    pub(super) fn state(&self) -> Result<Rc<E::ServerState>, Error> {
        self.state.clone().ok_or_else(|| Error::missing("the record"))
    }

    pub(super) fn point(&mut self) -> Result<&mut Guard, Error> {
        self.point.as_mut().ok_or_else(no_lock)
    }
}

/// Waits for the next report of a change.
async fn reported(changes: &mut Option<Changes>) -> (Seen, &mut Changes) {
    match changes {
        Some(changes) => (changes.next().await, changes),
        None => std::future::pending().await,
    }
}

/// Takes signals, for as long as the server lives.
async fn follow_signals(mut signals: Signals, shutdown: Shutdown) -> Infallible {
    loop {
        signals.next().await;
        shutdown.signal();
    }
}

/// Returns a random pause of one to two milliseconds.
pub(super) fn jitter() -> Result<Duration, Error> {
    let [random] = random::bytes::<1>()?;
    Ok(Duration::from_micros(1000 + 4 * u64::from(random)))
}

fn no_lock() -> Error {
    Error::missing("the point lock")
}

#[cfg(test)]
mod tests;
