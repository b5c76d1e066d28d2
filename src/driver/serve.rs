//! The server's loop: puts the machine's questions to files, the handlers' thread and the lobby.
//!
//! It runs on a thread of its own, together with the accepting and the handshakes: whatever runtime the
//! program has, and whatever its handlers do, a handshake is answered.

use std::convert::Infallible;
use std::fs::File;
use std::future::pending;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::Instrument;

use super::connect::{self, Ended};
use super::hall::{Hall, Told};
use super::handlers::{self, Handlers};
use super::life::Life;
use super::lobby::{Host, Lobby};
use super::log::{self, Log};
use super::os::file::FileId;
use super::os::lock::TryLock;
use super::os::signals::{self, Signals};
use super::os::{cleaner, inherited, process, progress, stdio};
use super::point::{self, Guard};
use super::random;
use super::reserve::Reserve;
use super::sequoia;
use super::socket::{self, Listener};
use super::story::Story;
use super::supervise;
use super::watchdog::Watchdog;
use crate::context::{self, Started};
use crate::dialect::Dialect;
use crate::error::{Error, Holder};
use crate::handler::Factory;
use crate::proto::address::Address;
use crate::proto::connect::Goal;
use crate::proto::cookie::Cookie;
use crate::proto::record::{Found, Line};
use crate::proto::serve::{Checked, Done, Holds, LifeFile, Retire, Starter, Step};
use crate::proto::start::{BUSY, REASON_MAX, Reply};
use crate::service::Service;

/// How many files this server opens at once, at most: the point and the life file, say.
const FILES_AT_ONCE: usize = 2;

/// Whether this process, started as a server, has begun to serve.
static SERVES: AtomicBool = AtomicBool::new(false);

/// Refuses what only a client may do, in a process that was started as a server and does not serve yet.
///
/// A program that forgets to serve would connect, and so start itself, again and again.
pub(super) fn client_only() -> Result<(), Error> {
    match context::started_as_server() && !SERVES.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err(Error::Usage(
            "this process was started as a server (--spawned) and connects instead: call `serve` first".into(),
        )),
    }
}

/// Serves until the server has retired.
pub(crate) async fn serve(service: Service, factory: Factory) -> Result<(), Error> {
    if !service.context.spawned() && context::started_as_server() {
        return Err(Error::Usage(
            "this process was started as a server (--spawned), and its context does not know: \
             make it by `Context::from_args`"
                .into(),
        ));
    }
    if service.context.spawned() {
        if SERVES.swap(true, Ordering::Relaxed) {
            return Err(Error::Usage("this process was started to serve one service, and does so already".into()));
        }
        signals::block_only_timers();
        process::raise_descriptors();
        if let Err(error) = inherited::shed() {
            tracing::warn!(target: "rendezvous_ipc::serve", %error, "what this process inherited stays open");
        }
    }
    if (service.dialect == Dialect::Sequoia) != (service.context.started() == Started::Socket)
        && service.context.spawned()
    {
        return Err(Error::Usage(
            "this process was started for a service of the other dialect: --spawned is native, --socket 0 sequoia"
                .into(),
        ));
    }
    let told = Told::new();
    let (tell_ended, ended) = oneshot::channel();
    let stop = StopOnDrop(told.clone());
    let spawned = service.context.spawned();
    let body = move || match handlers::local_runtime() {
        Ok(runtime) if service.dialect == Dialect::Sequoia => runtime.block_on(sequoia::serve(&service, factory, told)),
        Ok(runtime) => runtime.block_on(run(&service, factory, told)),
        Err(error) => Err(Error::System { stage: "Watch", source: error }),
    };
    thread::Builder::new()
        .name(progress::SERVING.into())
        .spawn(move || {
            let result = supervise::caught_thread("the server's thread", body);
            let _ = tell_ended.send(result.unwrap_or_else(|dead| supervise::end(dead, spawned)));
        })
        .map_err(Error::system("Watch"))?;
    let ended = ended.await;
    drop(stop);
    ended.unwrap_or_else(|_| Err(missing("the server's thread")))
}

/// A server whose `serve` is dropped retires.
struct StopOnDrop(Told);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.tell();
    }
}

async fn run(service: &Service, factory: Factory, told: Told) -> Result<(), Error> {
    let hurry = Rc::new(Notify::new());
    // Before anything is written: the limits are those of whoever started this process.
    let signals = Signals::new(service.context.spawned()).map_err(Error::system("Watch"))?;
    let mut server = Server::new(service, told.clone(), hurry.clone());
    if service.context.spawned() {
        // Somebody waits: the threads come up side by side.
        let (orders, replies) = stdio::take().map_err(Error::system("Watch"))?;
        let held = service.context.is_ephemeral().then(|| server.told.clone());
        server.watchdog = Some(Watchdog::start(orders, service.limits.start, held)?);
        server.replies = Some(File::from(replies));
        // Without one now, *Build* tries again, and says why there is none.
        server.handlers = Handlers::start().ok();
        process::leave_session();
        server.log = Some(Log::own(&service.log));
        log::subscribe();
    }
    let lives = async {
        let result = supervise::caught("the server's loop", server.live(factory)).await;
        if let Ok(Err(error)) | Err(error) = &result {
            server.reply_reason(&error.to_string());
        }
        if result.is_err() {
            server.abandon().await;
        }
        server.release().await;
        supervise::ended(result, server.dead.take(), service.context.spawned())
    };
    tokio::select! {
        biased;
        result = lives => result,
        never = obey(signals, told, hurry) => match never {},
    }
}

/// A signal tells the server to retire; another, not to wait for its clients.
pub(super) async fn obey(mut signals: Signals, told: Told, hurry: Rc<Notify>) -> Infallible {
    signals.next().await;
    told.tell();
    signals.next().await;
    hurry.notify_one();
    pending().await
}

/// A server and what it holds. Dropping it releases the point lock and the lifetime lock.
struct Server<'a> {
    service: &'a Service,
    told: Told,
    watchdog: Option<Watchdog>,
    /// Where the spawner reads, until it was answered.
    replies: Option<File>,
    /// What a started server prints to. By hand, that is nobody else's.
    log: Option<Log<'a>>,
    cookie: Option<Cookie>,
    budget: Duration,
    hall: Arc<Hall>,
    handlers: Option<Handlers>,
    listener: Option<Listener>,
    host: Option<Rc<Host>>,
    lobby: Option<Lobby<Host>>,
    point: Option<Guard>,
    /// The file in which the record was written.
    written: Option<FileId>,
    life: Option<Life>,
    /// The lifetime lock is not to be released before the process ends.
    leave: bool,
    refused: Option<Error>,
    /// Which task it lost, and so retires.
    dead: Option<Error>,
    next_check: Instant,
    /// When the point lock was first tried for what is being done now.
    tried: Option<Instant>,
    /// Do not wait for clients.
    hurry: Rc<Notify>,
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // After a panic nobody knows what code of the handler still runs.
        if thread::panicking()
            && let Some(life) = self.life.take()
        {
            life.leave();
        }
    }
}

impl<'a> Server<'a> {
    fn new(service: &'a Service, told: Told, hurry: Rc<Notify>) -> Self {
        Server {
            service,
            told,
            watchdog: None,
            replies: None,
            log: None,
            cookie: None,
            budget: service.limits.start,
            hall: Hall::new(),
            handlers: None,
            listener: None,
            host: None,
            lobby: None,
            point: None,
            written: None,
            life: None,
            leave: false,
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
            Starter::Spawner
        } else {
            let stopped = self.told.clone();
            let mut story = Story::new();
            let ended = tokio::select! {
                ended = connect::run(self.service, Goal::Serve, None, &mut story) => ended,
                () = stopped.told() => return Ok(()),
            };
            match ended? {
                Ended::Start(point) => self.point = Some(point),
                Ended::Welcomed { welcome, .. } => return Err(Error::AlreadyRunning { pid: welcome.pid }),
                Ended::Absent => return Err(Error::Usage("to serve is not to retire".into())),
            }
            self.cookie = Some(Cookie::drawn(random::draw()?));
            Starter::Hand
        };
        let span = tracing::info_span!(target: "rendezvous_ipc::serve", "serve", point = %self.service.point.display());
        self.drive(Step::new(starter), factory).instrument(span).await
    }

    async fn drive(&mut self, mut step: Step, factory: Factory) -> Result<(), Error> {
        let limits = self.service.limits;
        let began = Instant::now();
        loop {
            tracing::debug!(
                target: "rendezvous_ipc::serve",
                step = step.name(),
                why = step.facts().why.map(tracing::field::debug),
                purpose = step.facts().purpose,
                then = step.facts().then,
                "{}",
                step.name()
            );
            debug_assert_eq!(step.holds(), self.holds(), "at {}", step.name());
            step = match step {
                Step::Watch(s) => {
                    let order = match &mut self.watchdog {
                        Some(watchdog) => watchdog.order().await,
                        None => None,
                    };
                    let order = order.ok_or_else(|| {
                        Error::Usage("--spawned is for servers that a client starts; by hand, leave it out".into())
                    })?;
                    self.budget = order.budget;
                    self.cookie = Some(order.cookie);
                    s.ordered()
                }
                Step::Claim(s) => {
                    // Half of the time: *busy* has to be said before the spawner gives up.
                    self.life = self.claim(began + self.budget / 2).await?;
                    if self.life.is_some() { s.claimed() } else { s.busy() }
                }
                Step::Build(s) => match self.build(&factory, began + self.budget).await {
                    Ok(()) => s.built(),
                    Err(error) => {
                        self.refused = Some(error);
                        s.failed()
                    }
                },
                Step::Listen(s) => match self.listen() {
                    Ok(()) => s.listening(),
                    Err(error) => {
                        self.refused = Some(error);
                        s.failed()
                    }
                },
                Step::Ready(s) => {
                    let mut line = Line::new();
                    Reply::ready(&self.host()?.record, &mut line);
                    self.reply(&line)?;
                    s.said()
                }
                Step::Registered(s) => {
                    if let Some(watchdog) = self.watchdog.take() {
                        watchdog.registered().await.ok_or_else(|| missing("the watchdog"))?;
                    }
                    self.open()?;
                    s.registered()
                }
                Step::Write(s) => {
                    let record = self.host()?.record.clone();
                    self.point()?.write(&record)?;
                    self.open()?;
                    process::notify_service_manager();
                    s.written()
                }
                Step::Refuse(s) => {
                    match self.refused.as_ref().map(Error::to_string) {
                        Some(reason) => self.reply_reason(&reason),
                        None => drop(self.reply(BUSY.as_bytes())),
                    }
                    s.said()
                }
                Step::Serve(s) => {
                    self.tried = None;
                    self.host()?.reserve.fill();
                    // In this order: a server that is idle and finds the point lock busy for ever still looks after
                    // its files, and one that is told does nothing else first.
                    tokio::select! {
                        biased;
                        () = self.told.told() => s.told(),
                        () = sleep_until(self.next_check) => s.check(),
                        () = self.hall.idle(limits.idle, limits.patience) => s.idle(),
                        dead = supervise::lost(&mut self.lobby, &mut self.handlers) => {
                            self.dead = Some(dead);
                            self.told.tell();
                            s.told()
                        }
                    }
                }
                Step::Check(s) => {
                    self.next_check = Instant::now() + limits.check;
                    self.lend(FILES_AT_ONCE);
                    self.log.iter_mut().for_each(Log::look_after);
                    self.touch()?;
                    let point = &self.service.point;
                    let checked = self.check(point::read(point), FileId::at(point).ok())?;
                    if checked != Checked::Lost {
                        self.lobby.iter_mut().for_each(Lobby::look_after_file);
                    }
                    s.checked(checked)
                }
                Step::Lock(s) => {
                    self.tried.get_or_insert_with(Instant::now);
                    self.lend(FILES_AT_ONCE);
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
                    let gone = self.life.as_ref().is_some_and(|life| matches!(life.file(), Ok(LifeFile::Lost)));
                    if gone || Instant::now() >= until {
                        s.overdue()
                    } else {
                        sleep(jitter()?).await;
                        if told_at.is_some() { s.told() } else { s.elapsed() }
                    }
                }
                Step::Recheck(s) => {
                    let point = self.point()?;
                    let (found, file) = (point.found(), point.id());
                    let checked = self.check(found, file)?;
                    s.checked(checked)
                }
                Step::Reclaim(s) => match self.life.as_mut().map_or(Ok(LifeFile::Lost), Life::reclaim) {
                    Ok(LifeFile::Mine) => {
                        tracing::info!(target: "rendezvous_ipc::serve", "the life file was made again");
                        s.claimed()
                    }
                    Ok(LifeFile::Lost) => s.lost(),
                    Ok(LifeFile::Unheld) => s.failed(),
                    Err(error) => {
                        tracing::warn!(target: "rendezvous_ipc::serve", %error, "the life file is not made again");
                        s.failed()
                    }
                },
                Step::Restore(s) => {
                    let record = self.host()?.record.clone();
                    let point = self.point()?;
                    let restored = point.clear().and_then(|()| point.write(&record));
                    self.written = self.point()?.id();
                    match restored {
                        Ok(()) => tracing::info!(target: "rendezvous_ipc::serve", "the record was restored"),
                        Err(error) => tracing::warn!(target: "rendezvous_ipc::serve", %error, "not restored"),
                    }
                    s.restored()
                }
                Step::Look(s) => {
                    if self.hall.look(s.why()) {
                        s.shut()
                    } else {
                        s.counted()
                    }
                }
                Step::Withdraw(s) => {
                    let mine = Found::Record(self.host()?.record.clone());
                    let point = self.point()?;
                    if point.found().is_ok_and(|found| found == mine) {
                        let _ = point.clear();
                    }
                    s.withdrawn()
                }
                Step::Close(s) => {
                    self.lobby = None;
                    s.closed()
                }
                Step::Unlock(s) => {
                    self.point = None;
                    s.unlocked()
                }
                Step::Drain(s) => {
                    self.drain().await?;
                    s.drained()
                }
                Step::Release(s) => {
                    self.release().await;
                    s.released()
                }
                Step::Done(done) => {
                    tracing::info!(target: "rendezvous_ipc::serve", ?done);
                    return match done {
                        Done::Retired(_) => Ok(()),
                        Done::Busy => Err(Error::Deadline {
                            stage: "Claim",
                            waiting_for: "the lifetime lock, which another server holds",
                            waited: began.elapsed(),
                            suspicion: None,
                            holder: Holder::of_life(self.service),
                        }),
                        Done::Failed => Err(self.refused.take().unwrap_or_else(|| missing("the reason"))),
                    };
                }
            };
        }
    }

    fn holds(&self) -> Holds {
        Holds { lock: self.point.is_some(), life: self.life.is_some() }
    }

    async fn claim(&self, until: Instant) -> Result<Option<Life>, Error> {
        loop {
            match Life::try_claim(&self.service.life)? {
                None if Instant::now() < until => sleep(jitter()?).await,
                claimed => return Ok(claimed),
            }
        }
    }

    fn listen(&mut self) -> Result<(), Error> {
        socket::sweep(self.life.as_ref().ok_or_else(|| missing("the lifetime lock"))?, &self.service.point);
        let cookie = self.cookie.take().ok_or_else(|| missing("the cookie"))?;
        let sessions = self.handlers.as_ref().ok_or_else(|| missing("the handler"))?.sessions();
        let reserve = Reserve::new();
        let (listener, host) = Host::listen(self.service, &self.hall, &self.told, sessions, cookie, reserve)?;
        if !host.record.scope.places(&host.record.address) {
            let lost =
                "nobody can find a port whose network namespace is not known: mount /proc, or listen at a Unix socket";
            return Err(Error::System { stage: "Listen", source: std::io::Error::other(lost) });
        }
        self.host = Some(host);
        self.listener = Some(listener);
        Ok(())
    }

    /// Serves from here on: nothing was accepted, and so nothing proved, before.
    fn open(&mut self) -> Result<(), Error> {
        let host = self.host()?;
        let listener = self.listener.take().ok_or_else(|| missing("the listener"))?;
        self.written = FileId::at(&self.service.point).ok();
        self.hall.open();
        self.lobby = Some(Lobby::open(listener, host));
        self.next_check = Instant::now() + self.service.limits.check;
        Ok(())
    }

    fn check(&mut self, found: Result<Found, Error>, file: Option<FileId>) -> Result<Checked, Error> {
        let host = self.host()?;
        let life = self.life.as_ref().map_or(Ok(LifeFile::Lost), Life::file);
        Ok(match (life, found) {
            (Ok(LifeFile::Lost), _) => Checked::Lost,
            (Ok(life), Ok(found)) => {
                Checked::of(life, &found, file.is_some() && file == self.written, &host.record, &host.here)
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(target: "rendezvous_ipc::serve", %error, "the files cannot be looked at");
                Checked::CannotTell
            }
        })
    }

    /// Gives up descriptors of the reserve, so that there are as many for what this server opens itself.
    fn lend(&self, files: usize) {
        if let Some(host) = &self.host {
            host.reserve.lend(files);
        }
    }

    async fn build(&mut self, factory: &Factory, until: Instant) -> Result<(), Error> {
        let start = handlers::handle(&self.service.context, &self.hall, &self.told);
        let handlers = match self.handlers.take() {
            Some(handlers) => handlers,
            None => Handlers::start()?,
        };
        self.handlers.insert(handlers).build_by(until, factory, start, &self.told).await
    }

    /// Waits for the clients that are left, then ends them, and the handler with them.
    async fn drain(&mut self) -> Result<(), Error> {
        let limits = &self.service.limits;
        let until = Instant::now() + limits.drain;
        tokio::select! {
            _ = timeout_at(until, self.hall.empty()) => {}
            () = self.hurry.notified() => {}
        }
        self.end_handlers(limits.patience.max(until - Instant::now())).await;
        if self.service.context.spawned() {
            self.host()?.dismiss_witnesses();
        }
        Ok(())
    }

    /// Ends what a loop that panicked has left. Its clients are served until the end of the drain.
    async fn abandon(&mut self) {
        self.point = None;
        (self.listener, self.lobby) = (None, None);
        let _shut = self.hall.look(Retire::Told);
        let _ = self.drain().await;
    }

    /// Ends the handler. One that blocks its thread cannot be stopped: then the lifetime lock is left to the process.
    async fn end_handlers(&mut self, patience: Duration) {
        if let Some(handlers) = self.handlers.take()
            && !handlers.end(patience).await
        {
            tracing::warn!(target: "rendezvous_ipc::serve", "a handler still runs");
            self.leave = true;
        }
    }

    /// Releases what is held, the lifetime lock only when no code of the handler runs any more.
    async fn release(&mut self) {
        self.point = None;
        self.end_handlers(self.service.limits.patience).await;
        match self.life.take() {
            Some(life) if self.leave => life.leave(),
            life => drop(life),
        }
    }

    fn reply(&mut self, line: &[u8]) -> Result<(), Error> {
        match self.replies.take() {
            Some(mut replies) => replies.write_all(line).map_err(Error::system("Ready")),
            None => Ok(()),
        }
    }

    /// Says why it failed, unless the spawner was answered already.
    fn reply_reason(&mut self, reason: &str) {
        let reason: String = reason.replace(['\n', '\r'], " ").chars().take(REASON_MAX).collect();
        // A spawner that is not there any more needs no reason.
        let _ = self.reply(format!("{}{reason}\n", Reply::FAILED).as_bytes());
    }

    /// Marks all that is this server's as used, lest a cleaner of temporary files take it for forgotten.
    fn touch(&self) -> Result<(), Error> {
        let Service { context, point, life, log, .. } = self.service;
        [context.home(), point, life, log].into_iter().for_each(cleaner::touch);
        if let Address::Unix(name) = self.host()?.record.address {
            cleaner::touch(&socket::path(point, name));
        }
        Ok(())
    }

    fn host(&self) -> Result<Rc<Host>, Error> {
        self.host.clone().ok_or_else(|| missing("the record"))
    }

    fn point(&mut self) -> Result<&mut Guard, Error> {
        self.point.as_mut().ok_or_else(|| missing("the point lock"))
    }
}

/// One to two milliseconds.
pub(super) fn jitter() -> Result<Duration, Error> {
    let [random] = random::bytes::<1>()?;
    Ok(Duration::from_micros(1000 + 4 * u64::from(random)))
}

pub(super) fn missing(what: &str) -> Error {
    Error::System { stage: "Serve", source: std::io::Error::other(format!("{what} is not there")) }
}
