//! The start of a server of the native dialect, and what its steps do to files.

use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use super::acceptor::{Acceptor, ServerState};
use super::connect::{self, Turn};
use super::files::life::Life;
use super::files::own_log::Log;
use super::files::point::{self, Guard};
use super::handlers::Handler;
use super::launch::Prepared;
use super::net::listener::{self, Listener};
use super::net::socket;
use super::os::file::{File, FileId};
use super::os::{cleaner, process};
use super::random;
use super::reserve::Reserve;
use super::serving::{Effects, Server, jitter};
use super::shutdown::Shutdown;
use super::watchdog::Spawner;
use crate::error::{Error, Holder};
use crate::pid::Pid;
use crate::proto::address::Address;
use crate::proto::cookie::Cookie;
use crate::proto::pipes::{BUSY, REASON_MAX, Reply};
use crate::proto::record::Line;
use crate::proto::serve::{LifeFile, Starter, Step, may_withdraw};
use crate::proto::serving::{Checked, Done, LifetimeLock};
use crate::service::Service;
use crate::stage::Stage;

/// Serves until the server has retired.
pub(super) async fn run(
    service: &Service,
    prepared: Prepared,
    handler: Handler,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let Prepared { signals, changes, spawner, handlers } = prepared;
    let mut server = Server::new(service, shutdown, Native::default());
    (server.changes, server.handlers) = (changes, handlers);
    if let Some((watchdog, orders, replies)) = spawner {
        let held = service.context.is_ephemeral().then(|| server.shutdown.clone());
        server.effects.spawner = Some(watchdog.attend(orders, held)?);
        server.effects.replies = Some(replies);
        server.log = Some(Log::own(&service.log));
    }
    server.run(signals, async |server| server.live(handler).await).await
}

/// What only a server of the native dialect holds. Dropping it releases the lifetime lock.
#[derive(Default)]
struct Native {
    spawner: Option<Spawner>,
    /// The pipe to the spawner, until the reply is sent.
    replies: Option<File>,
    /// The listener that was made while the handler was built, until *Listen*.
    listens: Option<Result<(Listener, Rc<ServerState>), Error>>,
    listener: Option<Listener>,
    /// The file in which the record was written.
    written: Option<FileId>,
    life: Option<Life>,
}

impl Drop for Native {
    fn drop(&mut self) {
        // After a panic, code of the handler may still run.
        if thread::panicking()
            && let Some(life) = self.life.take()
        {
            life.keep_until_exit();
        }
    }
}

impl Server<'_, Native> {
    /// From the beginning to *Done*.
    async fn live(&mut self, handler: Handler) -> Result<(), Error> {
        let starter = if self.service.context.is_spawned() {
            Starter::Spawner
        } else {
            let stopped = self.shutdown.clone();
            let turn = tokio::select! {
                turn = connect::claim_turn(self.service) => turn,
                () = stopped.requested() => return Ok(()),
            };
            match turn? {
                Turn::Serve(point) => self.point = Some(point),
                Turn::Taken(welcome) => return Err(Error::AlreadyRunning { pid: Pid::new(welcome.pid) }),
            }
            self.cookie = Some(Cookie::drawn(random::draw()?));
            Starter::Hand
        };
        let span = tracing::info_span!(target: "rendezvous_ipc::serve", "serve", point = %self.service.point.display());
        self.drive(Step::new(starter), handler).instrument(span).await
    }

    async fn drive(&mut self, mut step: Step, mut handler: Handler) -> Result<(), Error> {
        let began = Instant::now();
        let mut budget = self.service.limits.start;
        loop {
            if !matches!(step, Step::Serving(_)) {
                tracing::debug!(
                    target: "rendezvous_ipc::serve",
                    step = step.name(),
                    purpose = step.facts().purpose,
                    then = step.facts().then,
                    "{}",
                    step.name()
                );
                debug_assert_eq!(step.holds().lock, self.point.is_some(), "at {}", step.name());
                debug_assert_eq!(step.holds().life, self.effects.life.is_some(), "at {}", step.name());
            }
            step = match step {
                Step::Watch(s) => {
                    let order = self.effects.spawner()?.order()?;
                    budget = order.budget;
                    self.cookie = Some(order.cookie);
                    s.ordered()
                }
                Step::Claim(s) => {
                    self.effects.life = self.claim(began + s.share(budget)).await?;
                    if self.effects.life.is_some() { s.claimed() } else { s.busy() }
                }
                Step::Build(s) => match self.build_and_listen(&mut handler, began + budget).await {
                    Ok(()) => s.built(),
                    Err(error) => {
                        self.refused = Some(error);
                        s.failed()
                    }
                },
                Step::Listen(s) => match self.listening() {
                    Ok(()) => s.listening(),
                    Err(error) => {
                        self.refused = Some(error);
                        s.failed()
                    }
                },
                Step::Ready(s) => {
                    let mut line = Line::new();
                    Reply::ready(&self.state()?.record, &mut line);
                    self.effects.reply(&line)?;
                    // While the spawner registers this server. Later its first client would wait for it.
                    self.state()?.reserve.fill();
                    s.replied()
                }
                Step::Registered(s) => {
                    self.effects.spawner()?.registered().await?;
                    self.open_native()?;
                    // The first client is accepted before the log is written.
                    yield_now().await;
                    let state = self.state()?;
                    let endpoint = socket::endpoint(&self.service.point, state.record.address);
                    let spawner = self.effects.spawner()?.pid;
                    self.begin_log(state.record.version, &endpoint, spawner);
                    s.registered()
                }
                Step::Write(s) => {
                    let record = self.state()?.record.clone();
                    self.point()?.write(&record)?;
                    self.open_native()?;
                    process::notify_service_manager();
                    s.written()
                }
                Step::Refuse(s) => {
                    match self.refused.as_ref().map(|error| format!("{error:#}")) {
                        Some(reason) => self.effects.reply_reason(&reason),
                        None => drop(self.effects.reply(BUSY.as_bytes())),
                    }
                    s.replied()
                }
                Step::Serving(step) => {
                    return match self.serve(step).await? {
                        Done::Retired(_) => Ok(()),
                        Done::Busy => Err(Error::Deadline {
                            stage: Stage::Claim,
                            waited: began.elapsed(),
                            suspicion: None,
                            holder: Holder::of_life(self.service),
                        }),
                        Done::Failed | Done::NoCookie => {
                            Err(self.refused.take().unwrap_or_else(|| Error::missing("the reason")))
                        }
                    };
                }
            };
        }
    }

    async fn claim(&self, until: Instant) -> Result<Option<Life>, Error> {
        loop {
            match Life::try_claim(&self.service.life)? {
                None if Instant::now() < until => sleep(jitter()?).await,
                claimed => return Ok(claimed),
            }
        }
    }

    /// Builds the handler, and meanwhile does what *Listen* is to do: the lifetime lock is held already, and nobody learns
    /// the address before *Ready*.
    async fn build_and_listen(&mut self, handler: &mut Handler, until: Instant) -> Result<(), Error> {
        self.begin_to_build(handler)?;
        let listens = self.listen();
        self.built(until).await?;
        self.effects.listens = Some(listens);
        Ok(())
    }

    fn listen(&mut self) -> Result<(Listener, Rc<ServerState>), Error> {
        listener::sweep(
            self.effects.life.as_ref().ok_or_else(|| Error::missing("the lifetime lock"))?,
            &self.service.point,
        );
        let cookie = self.cookie.take().ok_or_else(|| Error::missing("the cookie"))?;
        let sessions = self.handlers.as_ref().ok_or_else(|| Error::missing("the handler"))?.sessions();
        let (counted, reserve) = ((&self.admission, &self.counters), Reserve::new());
        ServerState::listen(self.service, counted, &self.shutdown, sessions, cookie, reserve)
    }

    fn listening(&mut self) -> Result<(), Error> {
        let listens = self.effects.listens.take().ok_or_else(|| Error::missing("the listener"))?;
        let (listener, state) = listens?;
        if !state.record.scope.places(&state.record.address) {
            return Err(Error::UnknownNamespace);
        }
        self.state = Some(state);
        self.effects.listener = Some(listener);
        Ok(())
    }

    /// Serves from here on: nothing was accepted, and so nothing proved, before.
    fn open_native(&mut self) -> Result<(), Error> {
        let listener = self.effects.listener.take().ok_or_else(|| Error::missing("the listener"))?;
        self.effects.written = FileId::at(&self.service.point).ok();
        self.open(listener)
    }
}

impl Native {
    fn spawner(&mut self) -> Result<&mut Spawner, Error> {
        self.spawner.as_mut().ok_or_else(|| Error::missing("the spawner"))
    }

    fn reply(&mut self, line: &[u8]) -> Result<(), Error> {
        match self.replies.take() {
            Some(mut replies) => replies.write_all(line).map_err(Error::system(Stage::Ready)),
            None => Ok(()),
        }
    }

    /// Reports why the server failed, unless it has replied to the spawner already.
    fn reply_reason(&mut self, reason: &str) {
        // A spawner that is gone needs no reason.
        let _ = self.reply(failed(reason).as_bytes());
    }
}

/// Returns the line *failed*, with the reason in one line and within its length limit.
pub(super) fn failed(reason: &str) -> String {
    let reason: String = reason.replace(['\n', '\r'], " ").chars().take(REASON_MAX).collect();
    format!("{}{reason}\n", Reply::FAILED)
}

impl Effects for Native {
    type ServerState = ServerState;

    /// For example the point and the life file.
    const FILES: usize = 2;

    fn holds_life(&self) -> Option<bool> {
        Some(self.life.is_some())
    }

    async fn may_be_idle(_state: &ServerState, _patience: Duration) {}

    fn touch(service: &Service, state: &ServerState) {
        let Service { context, point, life, log, .. } = service;
        [context.home(), point, life, log].into_iter().for_each(cleaner::touch);
        if let Address::Unix(name) = state.record.address {
            cleaner::touch(&socket::path(point, name));
        }
    }

    fn check(&self, service: &Service, state: &ServerState, point: Option<&mut Guard>) -> Result<Checked, Error> {
        let (found, file) = match point {
            Some(point) => (point.found(), point.id()),
            None => (point::read(&service.point), FileId::at(&service.point).ok()),
        };
        match self.life.as_ref().map_or(Ok(LifeFile::Lost), Life::file)? {
            LifeFile::Lost => Ok(Checked::Lost),
            life => {
                let in_place = file.is_some() && file == self.written;
                Ok(Checked::of(life, &found?, in_place, &state.record, &state.here))
            }
        }
    }

    fn others(service: &Service, state: &ServerState) -> Vec<PathBuf> {
        let socket = match state.record.address {
            Address::Unix(name) => Some(socket::path(&service.point, name)),
            Address::Tcp(_) => None,
        };
        [service.life.clone()].into_iter().chain(socket).collect()
    }

    fn repair(acceptor: &mut Acceptor<ServerState>) -> bool {
        acceptor.repair_file()
    }

    fn is_gone(&self, _service: &Service) -> bool {
        self.life.as_ref().is_some_and(|life| matches!(life.file(), Ok(LifeFile::Lost)))
    }

    fn reclaim(&mut self) -> Result<LifeFile, Error> {
        self.life.as_mut().map_or(Ok(LifeFile::Lost), Life::reclaim)
    }

    fn restore(&mut self, state: &ServerState, point: &mut Guard) -> Result<(), Error> {
        let restored = point.clear().and_then(|()| point.write(&state.record));
        self.written = point.id();
        restored
    }

    async fn settle(_state: &ServerState, _patience: Duration) {}

    fn may_withdraw(state: &ServerState, point: &mut Guard) -> Result<bool, Error> {
        Ok(may_withdraw(&point.found()?, &state.record))
    }

    /// The clients that asked for the retirement are kept in it.
    fn close(state: Rc<ServerState>) -> Option<Rc<ServerState>> {
        Some(state)
    }

    fn sign_drain(&mut self, drain: Duration) {
        self.life.iter_mut().for_each(|life| life.sign_drain(drain));
    }

    fn release_retire_waiters(state: &ServerState) {
        state.release_retire_waiters();
    }

    fn release(&mut self, lock: LifetimeLock) {
        if let Some(life) = self.life.take() {
            match lock {
                LifetimeLock::Release => drop(life),
                LifetimeLock::Leave => life.keep_until_exit(),
            }
        }
    }

    fn abandon(&mut self) {
        (self.listens, self.listener) = (None, None);
    }

    fn report_failure(&mut self, error: &Error) {
        self.reply_reason(&format!("{error:#}"));
    }
}

#[cfg(test)]
mod tests;
