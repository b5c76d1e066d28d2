//! The server's loop in the dialect: puts the machine's questions to the point, the handlers' thread and the lobby.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::Instrument;

use super::super::hall::{Hall, Told};
use super::super::handlers::{Handlers, handle};
use super::super::lobby::Lobby;
use super::super::log::{self, Log};
use super::super::os::file::is_gone;
use super::super::os::lock::TryLock;
use super::super::os::signals::Signals;
use super::super::os::{cleaner, process, socket, stdio};
use super::super::point::{self, Guard};
use super::super::random;
use super::super::serve::{jitter, missing, obey};
use super::super::socket as sockets;
use super::super::socket::Listener;
use super::super::story::Story;
use super::super::supervise;
use super::connect::{self, Ended};
use super::lobby::{Host, hear};
use crate::error::Error;
use crate::handler::Factory;
use crate::limits::Limits;
use crate::proto::cookie::Cookie;
use crate::proto::sequoia::connect::Goal;
use crate::proto::sequoia::record::{Found, Record};
use crate::proto::sequoia::serve::{Checked, Done, Starter, Step};
use crate::proto::serve::Retire;
use crate::service::Service;

/// Serves until the server has retired.
pub(in crate::driver) async fn run(service: &Service, factory: Factory, told: Told) -> Result<(), Error> {
    let hurry = Rc::new(Notify::new());
    let signals = Signals::new(service.context.spawned()).map_err(Error::system("Hear"))?;
    let mut server = Server::new(service, told.clone(), hurry.clone());
    if service.context.spawned() {
        let (log, _) = log::open(&service.log)?;
        let listener = stdio::take_listener(log).map_err(Error::system("Hear"))?.ok_or_else(|| {
            Error::Usage("--socket 0 is for servers that a client starts; by hand, leave it out".into())
        })?;
        process::leave_session();
        server.log = Some(Log::own(&service.log));
        log::subscribe();
        listener.set_nonblocking(true).map_err(Error::system("Hear"))?;
        server.listener = Some(TcpListener::from_std(listener).map_err(Error::system("Hear"))?);
    }
    let lives = async {
        let result = supervise::caught("the server's loop", server.live(factory)).await;
        if result.is_err() {
            server.abandon().await;
        }
        server.point = None;
        server.end_handlers(service.limits.patience).await;
        supervise::ended(result, server.dead.take(), service.context.spawned())
    };
    tokio::select! {
        biased;
        result = lives => result,
        never = obey(signals, told, hurry) => match never {},
    }
}

/// A server and what it holds. Dropping it releases the point lock, and resets the connection that told the cookie.
struct Server<'a> {
    service: &'a Service,
    told: Told,
    /// What a started server prints to. By hand, that is nobody else's.
    log: Option<Log<'a>>,
    /// The connection that told the cookie, until somebody is served.
    introduction: Option<TcpStream>,
    cookie: Option<Cookie>,
    hall: Arc<Hall>,
    handlers: Option<Handlers>,
    listener: Option<TcpListener>,
    host: Option<Rc<Host>>,
    lobby: Option<Lobby<Host>>,
    point: Option<Guard>,
    refused: Option<Error>,
    /// Which task it lost, and so retires.
    dead: Option<Error>,
    next_check: Instant,
    /// When the point lock was first tried for what is being done now.
    tried: Option<Instant>,
    /// Do not wait for clients.
    hurry: Rc<Notify>,
}

impl<'a> Server<'a> {
    fn new(service: &'a Service, told: Told, hurry: Rc<Notify>) -> Self {
        Server {
            service,
            told,
            log: None,
            introduction: None,
            cookie: None,
            hall: Hall::new(),
            handlers: None,
            listener: None,
            host: None,
            lobby: None,
            point: None,
            refused: None,
            dead: None,
            next_check: Instant::now(),
            tried: None,
            hurry,
        }
    }

    /// From the beginning to *Done*.
    async fn live(&mut self, factory: Factory) -> Result<(), Error> {
        let starter = if self.service.context.spawned() {
            Starter::Client
        } else {
            let stopped = self.told.clone();
            let mut story = Story::new();
            let ended = tokio::select! {
                ended = connect::run(self.service, Goal::Serve, &mut story) => ended,
                () = stopped.told() => return Ok(()),
            };
            match ended? {
                Ended::Start(point) => self.point = Some(point),
                Ended::Live | Ended::Connected(..) | Ended::Internal => return Err(Error::AlreadyRunning { pid: 0 }),
            }
            self.cookie = Some(Cookie::drawn(random::draw()?));
            Starter::Hand
        };
        let span =
            tracing::info_span!(target: "rendezvous_ipc::serve", "sequoia", point = %self.service.point.display());
        self.drive(Step::new(starter), factory).instrument(span).await
    }

    async fn drive(&mut self, mut step: Step, factory: Factory) -> Result<(), Error> {
        let limits = self.service.limits;
        let began = Instant::now();
        loop {
            tracing::debug!(target: "rendezvous_ipc::serve", step = step.name(), "{}", step.name());
            debug_assert_eq!(step.holds_lock(), self.point.is_some(), "at {}", step.name());
            step = match step {
                Step::Hear(s) => match timeout_at(began + limits.start, self.hear()).await {
                    Ok(Ok(())) => s.heard(),
                    Ok(Err(source)) => {
                        self.refused = Some(Error::System { stage: "Hear", source });
                        s.untold()
                    }
                    Err(_) => s.untold(),
                },
                Step::Build(s) => match self.build(&factory, began + limits.start).await {
                    Ok(()) => s.built(),
                    Err(error) => {
                        self.refused = Some(error);
                        s.failed()
                    }
                },
                Step::Ready(s) => {
                    self.open()?;
                    if let Some(introduction) = self.introduction.take() {
                        // Who told the cookie may be gone.
                        let _ = socket::reset_at_close(&introduction, false);
                    }
                    s.said()
                }
                Step::Listen(s) => match sockets::loopback() {
                    Ok(listener) => {
                        self.listener = Some(listener);
                        self.furnish()?;
                        s.listening()
                    }
                    Err(source) => {
                        self.refused = Some(Error::System { stage: "Listen", source });
                        s.failed()
                    }
                },
                Step::Write(s) => {
                    let line = self.record()?.bytes();
                    self.point()?.write_line(&line)?;
                    self.open()?;
                    process::notify_service_manager();
                    s.written()
                }
                Step::Serve(s) => {
                    self.tried = None;
                    self.host()?.reserve.fill();
                    // In this order, as in the native dialect.
                    tokio::select! {
                        biased;
                        () = self.told.told() => s.told(),
                        () = sleep_until(self.next_check) => s.check(),
                        () = idle(&self.host, &self.hall, &limits) => s.idle(),
                        dead = supervise::lost(&mut self.lobby, &mut self.handlers) => {
                            self.dead = Some(dead);
                            self.told.tell();
                            s.told()
                        }
                    }
                }
                Step::Check(s) => {
                    self.next_check = Instant::now() + limits.check;
                    self.lend();
                    self.log.iter_mut().for_each(Log::look_after);
                    [self.service.context.home(), &self.service.point, &self.service.log]
                        .into_iter()
                        .for_each(cleaner::touch);
                    let found = point::read_as(&self.service.point, Found::read);
                    let checked = self.check(found.map(|found| found.unwrap_or(Found::Absent)))?;
                    s.checked(checked)
                }
                Step::Lock(s) => {
                    self.tried.get_or_insert_with(Instant::now);
                    self.lend();
                    let next = match point::try_lock(&self.service.point).map(TryLock::locked) {
                        Ok(Some(point)) => {
                            self.point = Some(point);
                            s.got()
                        }
                        Ok(None) => s.busy(),
                        Err(error) => {
                            tracing::warn!(target: "rendezvous_ipc::serve", %error, "the point cannot be locked");
                            s.failed()
                        }
                    };
                    // An idle server that stays begins its idle period anew, however short that is.
                    if matches!(next, Step::Serve(_)) {
                        self.hall.rest();
                        sleep(jitter()?).await;
                    }
                    next
                }
                Step::Backoff(s) => {
                    let told_at = self.told.at();
                    let until = told_at.or(self.tried).unwrap_or(began) + limits.drain;
                    // Where the whole directory is gone there is nothing to lock, and nothing to withdraw.
                    if is_gone(self.service.context.home()) || Instant::now() >= until {
                        s.overdue()
                    } else {
                        sleep(jitter()?).await;
                        if told_at.is_some() { s.told() } else { s.elapsed() }
                    }
                }
                Step::Recheck(s) => {
                    let found = self.point()?.found_as(Found::read);
                    let checked = self.check(found)?;
                    s.checked(checked)
                }
                Step::Restore(s) => {
                    let line = self.record()?.bytes();
                    let restored = self.point()?.clear().and_then(|()| self.point()?.write_line(&line));
                    match restored {
                        Ok(()) => tracing::info!(target: "rendezvous_ipc::serve", "the record was restored"),
                        Err(error) => tracing::warn!(target: "rendezvous_ipc::serve", %error, "not restored"),
                    }
                    s.restored()
                }
                Step::Look(s) => {
                    self.host()?.settle(limits.patience).await;
                    if self.hall.look(s.why()) { s.shut() } else { s.counted() }
                }
                Step::Withdraw(s) => {
                    let mine = Found::Record(self.record()?.clone());
                    let point = self.point()?;
                    if point.found_as(Found::read).is_ok_and(|found| found == mine) {
                        let _ = point.clear();
                    }
                    s.withdrawn()
                }
                Step::Close(s) => {
                    (self.lobby, self.host) = (None, None);
                    s.closed()
                }
                Step::Unlock(s) => {
                    self.point = None;
                    s.unlocked()
                }
                Step::Drain(s) => {
                    self.drain().await;
                    s.drained()
                }
                Step::Done(done) => {
                    tracing::info!(target: "rendezvous_ipc::serve", ?done);
                    return match (done, self.refused.take()) {
                        (Done::Retired(_), _) => Ok(()),
                        (_, Some(error)) => Err(error),
                        (Done::Untold | Done::Failed, None) => Err(Error::Deadline {
                            stage: "Hear",
                            waiting_for: "a client that tells the cookie",
                            waited: began.elapsed(),
                            suspicion: None,
                            holder: None,
                        }),
                    };
                }
            }
        }
    }

    /// The first connection says what the cookie is.
    async fn hear(&mut self) -> std::io::Result<()> {
        let listener = self.listener.as_ref().ok_or(std::io::ErrorKind::NotConnected)?;
        let (introduction, _) = listener.accept().await?;
        socket::reset_at_close(&introduction, true)?;
        self.cookie = Some(hear(&introduction).await?);
        self.introduction = Some(introduction);
        Ok(())
    }

    async fn build(&mut self, factory: &Factory, until: Instant) -> Result<(), Error> {
        let start = handle(&self.service.context, &self.hall, &self.told);
        self.handlers.insert(Handlers::start()?).build_by(until, factory, start, &self.told).await?;
        if self.listener.is_some() { self.furnish() } else { Ok(()) }
    }

    /// There is a listener and a handler.
    fn furnish(&mut self) -> Result<(), Error> {
        let cookie = self.cookie.take().ok_or_else(|| missing("the cookie"))?;
        let sessions = self.handlers.as_ref().ok_or_else(|| missing("the handler"))?.sessions();
        let listener = self.listener.as_ref().ok_or_else(|| missing("the listener"))?;
        let host = Host::new(listener, cookie, self.service.limits, self.hall.clone(), sessions);
        self.host = Some(host.map_err(Error::system("Listen"))?);
        Ok(())
    }

    /// Serves from here on.
    fn open(&mut self) -> Result<(), Error> {
        let listener = self.listener.take().ok_or_else(|| missing("the listener"))?;
        self.hall.open();
        self.lobby = Some(Lobby::open(Listener::on(listener).map_err(Error::system("Listen"))?, self.host()?));
        self.next_check = Instant::now() + self.service.limits.check;
        Ok(())
    }

    fn check(&self, found: Result<Found, Error>) -> Result<Checked, Error> {
        if is_gone(self.service.context.home()) {
            return Ok(Checked::Lost);
        }
        Ok(match found {
            Ok(found) => Checked::of(&found, self.record()?),
            Err(error) => {
                tracing::warn!(target: "rendezvous_ipc::serve", %error, "the point cannot be looked at");
                Checked::CannotTell
            }
        })
    }

    /// Waits for the clients that are left, then ends them, and the handler with them.
    async fn drain(&mut self) {
        let until = Instant::now() + self.service.limits.drain;
        tokio::select! {
            _ = timeout_at(until, self.hall.empty()) => {}
            () = self.hurry.notified() => {}
        }
        self.end_handlers(self.service.limits.patience.max(until - Instant::now())).await;
    }

    /// Gives up a descriptor of the reserve, so that there is one for what this server opens itself.
    fn lend(&self) {
        if let Some(host) = &self.host {
            host.reserve.lend(1);
        }
    }

    /// Ends what a loop that panicked has left. Its clients are served until the end of the drain.
    async fn abandon(&mut self) {
        self.point = None;
        (self.introduction, self.listener, self.lobby) = (None, None, None);
        let _shut = self.hall.look(Retire::Told);
        self.drain().await;
    }

    /// Ends the handler. One that blocks its thread cannot be stopped, and ends with the process.
    async fn end_handlers(&mut self, patience: Duration) {
        if let Some(handlers) = self.handlers.take()
            && !handlers.end(patience).await
        {
            tracing::warn!(target: "rendezvous_ipc::serve", "a handler still runs");
        }
    }

    fn host(&self) -> Result<Rc<Host>, Error> {
        self.host.clone().ok_or_else(|| missing("the record"))
    }

    fn record(&self) -> Result<&Record, Error> {
        self.host.as_ref().map(|host| &host.record).ok_or_else(|| missing("the record"))
    }

    fn point(&mut self) -> Result<&mut Guard, Error> {
        self.point.as_mut().ok_or_else(|| missing("the point lock"))
    }
}

/// Returns when nobody has been counted for the idle period. A client of `sequoia-ipc` that started this server connects
/// when it has released the point lock, and has `patience` for that.
async fn idle(host: &Option<Rc<Host>>, hall: &Hall, limits: &Limits) {
    if let Some(host) = host {
        host.first(limits.patience).await;
    }
    hall.idle(limits.idle, limits.patience).await;
}
