//! The handler's side of a server: a thread of its own, on which the sessions of all clients run.
//!
//! It is apart from the thread that accepts and shakes hands, so that a handler that blocks holds up no
//! handshake. A session that panics ends alone.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::admission::{Admission, Counted};
use super::counters::SharedCounters;
use super::os::signals;
use super::runtime;
use super::shutdown::Shutdown;
use crate::context::Context;
use crate::error::{Error, NotBuilt};
use crate::handler::{Control, Factory, KeepAlive, ServerHandle, Sessions};
use crate::keeps::Keeps;
use crate::peer::Peer;
use crate::retiring::Retiring;
use crate::stage::Stage;
use crate::start;
use crate::stream::Stream;
use crate::stream::socket::Handover;

/// How many welcomed clients may wait for the handlers' thread. If a handler blocks it, further clients wait for their
/// welcome instead.
const WAITING: usize = 128;

/// Returns the handle that a handler gets for its server.
pub(super) fn handle(
    context: &Context,
    (admission, counters): (&Arc<Admission>, &Arc<SharedCounters>),
    shutdown: &Shutdown,
) -> ServerHandle {
    let (keeps, closes) = (admission.clone(), admission.clone());
    let (admits, counters) = (admission.clone(), counters.clone());
    let (requests, announced) = (shutdown.clone(), shutdown.clone());
    let control = Control {
        keep_alive: Box::new(move || KeepAlive::new(keeps.keep())),
        closing: Box::new(move || Box::new(closes.close())),
        counters: Box::new(move || counters.beside(admits.counted())),
        retire: Box::new(move || requests.request()),
        retiring: Box::new(move || {
            let announced = announced.clone();
            Box::pin(async move { Retiring::of(announced.announced().await) })
        }),
    };
    ServerHandle::new(context.clone(), control)
}

/// A client that was welcomed.
pub(super) struct Session {
    pub(super) peer: Peer,
    pub(super) stream: Handover,
    pub(super) counted: Counted,
    pub(super) place: OwnedSemaphorePermit,
}

impl Session {
    /// Returns the client and its stream, for this thread's runtime. The client is counted and keeps its place while
    /// the stream lives.
    pub(super) fn open(self) -> std::io::Result<(Peer, Stream)> {
        let counted = Arc::new((self.counted, self.place));
        let keeps = Keeps { counted: Some(counted), ..Keeps::default() };
        Ok((self.peer, Stream::new(self.stream.take()?, keeps)))
    }
}

/// What handles the clients of a server.
pub(super) enum Handler {
    /// It builds a handler, on a thread of its own.
    Factory(Factory),
    /// The accept loop of the program, until the server has taken this.
    Listener(Option<Handlers>),
}

impl Handler {
    /// Starts it. It handles clients later, so that the server can prepare other things meanwhile.
    pub(super) fn start(&mut self) -> Result<Handlers, Error> {
        match self {
            Handler::Factory(factory) => Handlers::start(factory.clone()),
            Handler::Listener(handlers) => handlers.take().ok_or_else(|| Error::missing("the listener")),
        }
    }
}

/// The handlers, as their server sees them.
pub(super) struct Handlers {
    begin: Option<oneshot::Sender<ServerHandle>>,
    sessions: mpsc::Sender<Session>,
    built: oneshot::Receiver<Result<(), Error>>,
    quit: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
    /// Whether they are the accept loop of the program.
    is_listener: bool,
}

/// The server, as its handlers see it: a thread, or the accept loop of the program.
pub(super) struct Clients {
    pub(super) begun: oneshot::Receiver<ServerHandle>,
    pub(super) built: oneshot::Sender<Result<(), Error>>,
    pub(super) waiting: mpsc::Receiver<Session>,
    pub(super) quitting: oneshot::Receiver<()>,
    /// Dropped when no code of the handler runs any more.
    pub(super) runs: oneshot::Sender<()>,
}

impl Handlers {
    /// Returns the handlers of a listener, with the listener's side.
    pub(super) fn of_listener() -> (Self, Clients) {
        Handlers::new(true)
    }

    pub(super) fn new(is_listener: bool) -> (Self, Clients) {
        let (begin, begun) = oneshot::channel();
        let (sessions, waiting) = mpsc::channel(WAITING);
        let (quit, quitting) = oneshot::channel();
        let (send_built, built) = oneshot::channel();
        let (runs, ended) = oneshot::channel();
        let handlers = Handlers { begin: Some(begin), sessions, built, quit, ended, is_listener };
        (handlers, Clients { begun, built: send_built, waiting, quitting, runs })
    }

    /// Starts the thread of the handlers.
    pub(super) fn start(factory: Factory) -> Result<Self, Error> {
        let (handlers, clients) = Handlers::new(false);
        let Clients { begun, built, waiting, quitting, runs, .. } = clients;
        let body = move || {
            // Dropped at the very end, by a panic, too: all sessions are over by then, and the handler is dropped.
            let _runs: oneshot::Sender<()> = runs;
            match runtime::local() {
                Ok(runtime) => runtime.block_on(run(factory, begun, built, waiting, quitting)),
                Err(source) => drop(built.send(Err(Error::System { stage: Stage::Build, source }))),
            }
        };
        thread::Builder::new().name("rendezvous-handlers".into()).spawn(body).map_err(Error::system(Stage::Build))?;
        Ok(handlers)
    }

    /// Begins to build the handler.
    pub(super) fn begin(&mut self, start: ServerHandle) {
        if let Some(begin) = self.begin.take() {
            // If the thread is gone, `built` reports why.
            let _ = begin.send(start);
        }
    }

    /// Waits until the handler is built, once it was begun. It must not be called again then.
    pub(super) async fn built(&mut self) -> Result<(), Error> {
        (&mut self.built).await.unwrap_or_else(|_| Err(Error::Handler(NotBuilt::Panicked.into())))
    }

    /// Waits as [`built`](Handlers::built) does, until `until` and while no retirement is requested.
    pub(super) async fn built_by(&mut self, until: Instant, shutdown: &Shutdown) -> Result<(), Error> {
        tokio::select! {
            biased;
            built = timeout_at(until, self.built()) => {
                built.unwrap_or_else(|_| Err(Error::Handler(NotBuilt::Overdue.into())))
            }
            () = shutdown.requested() => Err(Error::Handler(NotBuilt::Abandoned.into())),
        }
    }

    /// Waits until no code of the handler runs any more, although it was not ended. It must not be called again then. A
    /// listener that is dropped requests the retirement itself.
    pub(super) async fn run_no_more(&mut self) {
        if self.is_listener {
            std::future::pending::<()>().await;
        }
        let _ = (&mut self.ended).await;
    }

    pub(super) fn sessions(&self) -> mpsc::Sender<Session> {
        self.sessions.clone()
    }

    /// Ends all sessions, and returns when no code of the handler runs any more.
    pub(super) async fn ended(self) {
        drop(self.begin);
        let _ = self.quit.send(());
        let _ = self.ended.await;
    }

    /// Ends the sessions as [`ended`](Handlers::ended) does, within `patience`, and returns whether they ended.
    pub(super) async fn end(self, patience: Duration) -> bool {
        timeout(patience, self.ended()).await.is_ok()
    }
}

pub(super) async fn run(
    factory: Factory,
    begun: oneshot::Receiver<ServerHandle>,
    send_built: oneshot::Sender<Result<(), Error>>,
    waiting: mpsc::Receiver<Session>,
    mut quitting: oneshot::Receiver<()>,
) {
    let Ok(server) = begun.await else { return };
    if start::serves() {
        // This thread may have been started before the server handled the signals of timers.
        signals::block_none();
    }
    let built = tokio::select! {
        biased;
        _ = &mut quitting => return,
        built = factory.build(server) => built,
    };
    match built {
        Ok(handler) => {
            let _ = send_built.send(Ok(()));
            serve(handler, waiting, quitting).await;
        }
        Err(error) => drop(send_built.send(Err(Error::Handler(error)))),
    }
}

async fn serve(handler: Sessions, mut waiting: mpsc::Receiver<Session>, mut quitting: oneshot::Receiver<()>) {
    loop {
        let session = tokio::select! {
            biased;
            _ = &mut quitting => return,
            session = waiting.recv() => match session {
                Some(session) => session,
                None => return,
            },
        };
        let handler = handler.clone();
        tokio::task::spawn_local(async move {
            match session.open() {
                Ok((peer, stream)) => {
                    // The client stays counted until this future is gone, too.
                    let _counted = stream.counted();
                    if let Err(error) = handler(peer, stream).await {
                        let (client, pid) = (peer.number, peer.process.map(|process| process.get()));
                        tracing::warn!(target: "rendezvous_ipc::serve", client, pid, error = &*error, "a session failed");
                    }
                }
                Err(error) => tracing::warn!(target: "rendezvous_ipc::serve", %error, "a client was lost"),
            }
        });
    }
}
