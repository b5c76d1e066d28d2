//! The start of a server of the dialect, and what its steps do to the point.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::super::acceptor::Acceptor;
use super::super::files::log;
use super::super::files::own_log::Log;
use super::super::files::point::{self, Guard};
use super::super::handlers::Handler;
use super::super::launch::Prepared;
use super::super::net::listener::{self, Listener};
use super::super::os::file::is_gone;
use super::super::os::{cleaner, process, stdio, stream};
use super::super::random;
use super::super::report::Report;
use super::super::serving::{Effects, Server};
use super::super::shutdown::Shutdown;
use super::super::waiting::Teller;
use super::acceptor::{ServerState, receive_cookie};
use super::connect::{self, Ended};
use crate::error::{Error, Usage};
use crate::proto::cookie::Cookie;
use crate::proto::sequoia::connect::Goal;
use crate::proto::sequoia::record::Found;
use crate::proto::sequoia::serve::{Starter, Step, checked, may_withdraw};
use crate::proto::serve::LifeFile;
use crate::proto::serving::{Checked, Done, LifetimeLock};
use crate::service::Service;
use crate::stage::Stage;
use crate::transport::Endpoint;

/// Serves until the server has retired.
pub(in crate::driver) async fn run(
    service: &Service,
    prepared: Prepared,
    handler: Handler,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let Prepared { signals, changes, handlers, .. } = prepared;
    let mut server = Server::new(service, shutdown, Sequoia::default());
    (server.changes, server.handlers) = (changes, handlers);
    if service.context.is_spawned() {
        let (log, _) = log::open(&service.log)?;
        let listener = stdio::take_listener(log)
            .map_err(Error::system(Stage::ReceiveCookie))?
            .ok_or(Error::Usage(Usage::StartedByHand("--socket 0")))?;
        server.log = Some(Log::own(&service.log));
        listener.set_nonblocking(true).map_err(Error::system(Stage::ReceiveCookie))?;
        server.effects.listener = Some(TcpListener::from_std(listener).map_err(Error::system(Stage::ReceiveCookie))?);
    }
    server.run(signals, async |server| server.live(handler).await).await
}

/// The resources that only a server of the dialect holds. Dropping it resets the connection on which the cookie
/// arrived.
#[derive(Default)]
struct Sequoia {
    /// The connection on which the cookie arrived, until the server is ready.
    introduction: Option<TcpStream>,
    listener: Option<TcpListener>,
}

impl Server<'_, Sequoia> {
    /// From the beginning to *Done*.
    async fn live(&mut self, handler: Handler) -> Result<(), Error> {
        let starter = if self.service.context.is_spawned() {
            Starter::Client
        } else {
            let stopped = self.shutdown.clone();
            let teller = Teller::of_connect(self.service);
            let mut report = Report::new(&teller);
            let ended = tokio::select! {
                ended = connect::run(self.service, Goal::Serve, &mut report) => ended,
                () = stopped.requested() => return Ok(()),
            };
            match ended? {
                Ended::Start(point) => self.point = Some(point),
                Ended::Live | Ended::Connected(..) | Ended::Internal => {
                    return Err(Error::AlreadyRunning { pid: None });
                }
                Ended::Absent => return Err(Error::missing("the point lock of a server by hand")),
            }
            self.cookie = Some(Cookie::drawn(random::draw()?));
            Starter::Hand
        };
        let span =
            tracing::info_span!(target: "rendezvous_ipc::serve", "sequoia", point = %self.service.point.display());
        self.drive(Step::new(starter), handler).instrument(span).await
    }

    async fn drive(&mut self, mut step: Step, mut handler: Handler) -> Result<(), Error> {
        let limits = self.service.limits;
        let began = Instant::now();
        loop {
            if !matches!(step, Step::Serving(_)) {
                tracing::debug!(target: "rendezvous_ipc::serve", step = step.name(), "{}", step.name());
                debug_assert_eq!(step.holds_lock(), self.point.is_some(), "at {}", step.name());
            }
            step = match step {
                Step::ReceiveCookie(s) => match timeout_at(began + limits.start, self.receive_cookie()).await {
                    Ok(Ok(())) => s.received(),
                    Ok(Err(source)) => {
                        self.refused = Some(Error::System { stage: Stage::ReceiveCookie, source });
                        s.no_cookie()
                    }
                    Err(_) => s.no_cookie(),
                },
                Step::Build(s) => match self.build_and_furnish(&mut handler, began + limits.start).await {
                    Ok(()) => s.built(),
                    Err(error) => {
                        self.refused = Some(error);
                        s.failed()
                    }
                },
                Step::Ready(s) => {
                    self.open_listener()?;
                    let port = (Ipv4Addr::LOCALHOST, self.state()?.record.port.get()).into();
                    // The dialect has no versions.
                    self.begin_log(0, &Endpoint::Tcp(port), process::parent());
                    if let Some(introduction) = self.effects.introduction.take() {
                        // The client that sent the cookie may be gone.
                        let _ = stream::reset_at_close(&introduction, false);
                    }
                    s.closed()
                }
                Step::Listen(s) => match listener::loopback() {
                    Ok(listener) => {
                        self.effects.listener = Some(listener);
                        self.furnish()?;
                        s.listening()
                    }
                    Err(source) => {
                        self.refused = Some(Error::System { stage: Stage::Listen, source });
                        s.failed()
                    }
                },
                Step::Write(s) => {
                    let line = self.state()?.record.bytes();
                    self.point()?.write_line(&line)?;
                    self.open_listener()?;
                    process::notify_service_manager();
                    s.written()
                }
                Step::Serving(step) => {
                    let done = self.serve(step).await?;
                    return match (done, self.refused.take()) {
                        (Done::Retired(_), _) => Ok(()),
                        (_, Some(error)) => Err(error),
                        (Done::NoCookie | Done::Failed | Done::Busy, None) => Err(Error::Deadline {
                            stage: Stage::ReceiveCookie,
                            waited: began.elapsed(),
                            suspicion: None,
                            holder: None,
                        }),
                    };
                }
            }
        }
    }

    /// Receives the cookie on the first connection.
    async fn receive_cookie(&mut self) -> std::io::Result<()> {
        let listener = self.effects.listener.as_ref().ok_or(std::io::ErrorKind::NotConnected)?;
        let (introduction, _) = listener.accept().await?;
        stream::reset_at_close(&introduction, true)?;
        self.cookie = Some(receive_cookie(&introduction).await?);
        self.effects.introduction = Some(introduction);
        Ok(())
    }

    async fn build_and_furnish(&mut self, handler: &mut Handler, until: Instant) -> Result<(), Error> {
        self.begin_to_build(handler)?;
        self.built(until).await?;
        if self.effects.listener.is_some() { self.furnish() } else { Ok(()) }
    }

    /// There is a listener and a handler.
    fn furnish(&mut self) -> Result<(), Error> {
        let cookie = self.cookie.take().ok_or_else(|| Error::missing("the cookie"))?;
        let sessions = self.handlers.as_ref().ok_or_else(|| Error::missing("the handler"))?.sessions();
        let listener = self.effects.listener.as_ref().ok_or_else(|| Error::missing("the listener"))?;
        let counts = (&self.admission, &self.counters);
        let state = ServerState::new(listener, cookie, self.service.limits, counts, sessions);
        self.state = Some(state.map_err(Error::system(Stage::Listen))?);
        Ok(())
    }

    /// Serves from here on.
    fn open_listener(&mut self) -> Result<(), Error> {
        let listener = self.effects.listener.take().ok_or_else(|| Error::missing("the listener"))?;
        self.open(Listener::on(listener).map_err(Error::system(Stage::Listen))?)
    }
}

impl Effects for Sequoia {
    type ServerState = ServerState;

    const FILES: usize = 1;

    fn holds_life(&self) -> Option<bool> {
        None
    }

    /// A client of `sequoia-ipc` that started this server connects when it has released the point lock, and has
    /// `patience` for that.
    async fn may_be_idle(state: &ServerState, patience: Duration) {
        state.first(patience).await;
    }

    fn touch(service: &Service, _state: &ServerState) {
        [service.context.home(), &service.point, &service.log].into_iter().for_each(cleaner::touch);
    }

    fn check(&self, service: &Service, state: &ServerState, point: Option<&mut Guard>) -> Result<Checked, Error> {
        if is_gone(service.context.home()) {
            return Ok(Checked::Lost);
        }
        let found = match point {
            Some(point) => point.found_as(Found::read)?,
            None => point::read_as(&service.point, Found::read)?.unwrap_or(Found::Absent),
        };
        Ok(checked(&found, &state.record))
    }

    fn others(_service: &Service, _state: &ServerState) -> Vec<PathBuf> {
        Vec::new()
    }

    fn repair(_acceptor: &mut Acceptor<ServerState>) -> bool {
        false
    }

    fn is_gone(&self, service: &Service) -> bool {
        is_gone(service.context.home())
    }

    /// There is no life file, so none can be made again.
    fn reclaim(&mut self) -> Result<LifeFile, Error> {
        Ok(LifeFile::Unheld)
    }

    fn restore(&mut self, state: &ServerState, point: &mut Guard) -> Result<(), Error> {
        point.clear()?;
        point.write_line(&state.record.bytes())
    }

    /// Waits until all clients that have sent the cookie are admitted.
    async fn settle(state: &ServerState, patience: Duration) {
        state.settle(patience).await;
    }

    fn may_withdraw(state: &ServerState, point: &mut Guard) -> Result<bool, Error> {
        Ok(may_withdraw(&point.found_as(Found::read)?, &state.record))
    }

    /// It has a descriptor of the listener, which has to be closed.
    fn close(_state: Rc<ServerState>) -> Option<Rc<ServerState>> {
        None
    }

    /// The dialect has no life file.
    fn sign_drain(&mut self, _drain: Duration) {}

    /// The dialect has no request to retire.
    fn release_retire_waiters(_state: &ServerState) {}

    /// There is no lifetime lock.
    fn release(&mut self, _lock: LifetimeLock) {}

    fn abandon(&mut self) {
        (self.introduction, self.listener) = (None, None);
    }

    /// Does nothing: the client sees the end of the connection on which it sent the cookie.
    fn report_failure(&mut self, _error: &Error) {}
}
