//! The handler's side of a server: a thread of its own, on which the sessions of all clients run.
//!
//! It is apart from the thread that accepts and shakes hands, so that a handler that blocks holds up no
//! handshake. A session that panics ends alone.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::stream::Stream;
use crate::error::{BoxError, Error};
use crate::proto::serve::{Gate, Retire};

/// How many welcomed clients may wait for the handlers' thread to take them.
const WAITING: usize = 128;

/// A timer that is this late was not ours to keep: the process was stopped, or starved.
const LATE: Duration = Duration::from_millis(100);

type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;
type Sessions = Rc<dyn Fn(Peer, Stream) -> LocalFuture<()>>;

/// What a handler is told when it is built.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Start {
    /// The context of the service.
    pub context: crate::Context,
}

/// Who a session is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// The how many-th client of this server it is, counted from 1.
    pub number: u64,
}

/// What builds a handler: called once in a server.
#[derive(Clone)]
pub(crate) struct Factory(Arc<dyn Fn(Start) -> LocalFuture<Result<Sessions, BoxError>> + Send + Sync>);

impl Factory {
    pub(crate) fn new<B, S>(build: B) -> Self
    where
        B: AsyncFn(Start) -> Result<S, BoxError> + Send + Sync + 'static,
        S: AsyncFn(Peer, Stream) + 'static,
    {
        let build = Arc::new(build);
        Factory(Arc::new(move |start| {
            let build = build.clone();
            Box::pin(async move {
                let session = Rc::new(build(start).await?);
                let sessions: Sessions = Rc::new(move |peer, stream| {
                    let session = session.clone();
                    Box::pin(async move { session(peer, stream).await })
                });
                Ok(sessions)
            })
        }))
    }
}

/// A client that was welcomed.
pub(super) struct Session {
    pub(super) peer: Peer,
    pub(super) stream: std::net::TcpStream,
    pub(super) counted: Counted,
}

/// The thread of the handlers.
pub(super) struct Handlers {
    sessions: mpsc::Sender<Session>,
    built: oneshot::Receiver<Result<(), Error>>,
    quit: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Handlers {
    /// Starts the thread, which begins to build the handler.
    pub(super) fn start(factory: Factory, start: Start) -> Result<Self, Error> {
        let (sessions, waiting) = mpsc::channel(WAITING);
        let (quit, quitting) = oneshot::channel();
        let (tell_built, built) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel();
        let body = move || {
            // Dropped at the very end, by a panic, too: all sessions are over by then, and the handler is dropped.
            let _tell_ended: oneshot::Sender<()> = tell_ended;
            match local_runtime() {
                Ok(runtime) => runtime.block_on(run(factory, start, tell_built, waiting, quitting)),
                Err(source) => drop(tell_built.send(Err(Error::System { stage: "Build", source }))),
            }
        };
        thread::Builder::new().name("rendezvous-handlers".into()).spawn(body).map_err(Error::system("Build"))?;
        Ok(Handlers { sessions, built, quit, ended })
    }

    /// Returns when the handler is built.
    pub(super) async fn built(&mut self) -> Result<(), Error> {
        (&mut self.built).await.unwrap_or_else(|_| Err(Error::Handler("it panicked".into())))
    }

    pub(super) fn sessions(&self) -> mpsc::Sender<Session> {
        self.sessions.clone()
    }

    /// Ends all sessions. Answers whether no code of the handler runs any more.
    pub(super) async fn end(self, patience: Duration) -> bool {
        let _ = self.quit.send(());
        timeout(patience, self.ended).await.is_ok()
    }
}

async fn run(
    factory: Factory,
    start: Start,
    tell_built: oneshot::Sender<Result<(), Error>>,
    waiting: mpsc::Receiver<Session>,
    mut quitting: oneshot::Receiver<()>,
) {
    let built = tokio::select! {
        biased;
        _ = &mut quitting => return,
        built = (factory.0)(start) => built,
    };
    match built {
        Ok(handler) => {
            let _ = tell_built.send(Ok(()));
            serve(handler, waiting, quitting).await;
        }
        Err(error) => drop(tell_built.send(Err(Error::Handler(error)))),
    }
}

async fn serve(handler: Sessions, mut waiting: mpsc::Receiver<Session>, mut quitting: oneshot::Receiver<()>) {
    loop {
        let Session { peer, stream, counted } = tokio::select! {
            biased;
            _ = &mut quitting => return,
            session = waiting.recv() => match session {
                Some(session) => session,
                None => return,
            },
        };
        let handler = handler.clone();
        tokio::task::spawn_local(async move {
            let _counted = counted;
            match TcpStream::from_std(stream) {
                Ok(stream) => handler(peer, Stream::new(stream)).await,
                Err(error) => tracing::warn!(target: "rendezvous_ipc::serve", %error, "a client was lost"),
            }
        });
    }
}

pub(super) fn local_runtime() -> std::io::Result<tokio::runtime::LocalRuntime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())
}

/// The gate of a server, shared by the thread that admits and the one whose sessions end.
pub(super) struct Hall {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    gate: Gate,
    /// When the idle period began: at registration, and when the last client left.
    empty_since: Instant,
}

impl Hall {
    pub(super) fn new() -> Arc<Self> {
        let state = State { gate: Gate::new(), empty_since: Instant::now() };
        Arc::new(Hall { state: Mutex::new(state), changed: Notify::new() })
    }

    pub(super) fn open(&self) {
        self.state().gate.open();
        self.rest();
    }

    /// The idle period begins anew.
    pub(super) fn rest(&self) {
        self.state().empty_since = Instant::now();
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().gate.is_open()
    }

    pub(super) fn counted(&self) -> u32 {
        self.state().gate.counted()
    }

    pub(super) fn look(&self, why: Retire) -> bool {
        self.state().gate.look(why)
    }

    /// Counts a client for as long as the answer lives, or refuses it.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Counted> {
        let admitted = self.state().gate.admit();
        self.changed.notify_one();
        admitted.then(|| Counted(self.clone()))
    }

    /// Returns when nobody has been counted for `period`.
    ///
    /// After a long stop or a suspended night the timer is over before those who waited meanwhile are heard: then they
    /// have `patience` to become clients.
    pub(super) async fn idle(&self, period: Option<Duration>, patience: Duration) {
        let mut heard_out = None;
        loop {
            let (counted, since) = {
                let state = self.state();
                (state.gate.counted(), state.empty_since)
            };
            let Some(period) = period.filter(|_| counted == 0) else {
                self.changed.notified().await;
                continue;
            };
            let until = heard_out.filter(|(of, _)| *of == since).map_or(since + period, |(_, until)| until);
            if timeout_at(until, self.changed.notified()).await.is_ok() {
                continue;
            }
            if until.elapsed() < LATE {
                return;
            }
            heard_out = Some((since, Instant::now() + patience));
        }
    }

    /// Returns when nobody is counted.
    pub(super) async fn empty(&self) {
        while self.counted() > 0 {
            self.changed.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client is counted while this lives.
pub(super) struct Counted(Arc<Hall>);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.gate.leave();
        if state.gate.counted() == 0 {
            state.empty_since = Instant::now();
        }
        drop(state);
        self.0.changed.notify_one();
    }
}
