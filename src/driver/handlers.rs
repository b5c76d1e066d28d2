//! The handler's side of a server: a thread of its own, on which the sessions of all clients run.
//!
//! It is apart from the thread that accepts and shakes hands, so that a handler that blocks holds up no
//! handshake. A session that panics ends alone.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::admission::{Admission, Counted};
use super::os::process;
use super::shutdown::Shutdown;
use crate::context::Context;
use crate::error::{Error, NotBuilt};
use crate::handler::{Factory, KeepAlive, ServerHandle, Sessions};
use crate::peer::Peer;
use crate::retiring::Retiring;
use crate::stage::Stage;
use crate::stream::socket::Handover;
use crate::stream::{Keeps, Stream};

/// How many welcomed clients may wait for the handlers' thread. If a handler blocks it, further clients wait for their
/// welcome instead.
const WAITING: usize = 128;

/// Returns the handle that a handler gets for its server.
pub(super) fn handle(context: &Context, admission: &Arc<Admission>, shutdown: &Shutdown) -> ServerHandle {
    let (admission, requests, announced) = (admission.clone(), shutdown.clone(), shutdown.clone());
    let retiring = move || {
        let announced = announced.clone();
        async move { Retiring::of(announced.announced().await) }
    };
    ServerHandle::new(
        context.clone(),
        move || KeepAlive::new(admission.keep()),
        move || requests.request(),
        move || Box::pin(retiring()),
    )
}

/// A client that was welcomed.
pub(super) struct Session {
    pub(super) peer: Peer,
    pub(super) stream: Handover,
    pub(super) counted: Counted,
    pub(super) place: OwnedSemaphorePermit,
}

/// The thread of the handlers.
pub(super) struct Handlers {
    begin: Option<oneshot::Sender<(Factory, ServerHandle)>>,
    sessions: mpsc::Sender<Session>,
    built: oneshot::Receiver<Result<(), Error>>,
    quit: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Handlers {
    /// Starts the thread. It builds a handler later, so that the server can prepare other things meanwhile.
    pub(super) fn start() -> Result<Self, Error> {
        let (begin, begun) = oneshot::channel();
        let (sessions, waiting) = mpsc::channel(WAITING);
        let (quit, quitting) = oneshot::channel();
        let (send_built, built) = oneshot::channel();
        let (send_ended, ended) = oneshot::channel();
        let body = move || {
            // Dropped at the very end, by a panic, too: all sessions are over by then, and the handler is dropped.
            let _send_ended: oneshot::Sender<()> = send_ended;
            match local_runtime() {
                Ok(runtime) => runtime.block_on(run(begun, send_built, waiting, quitting)),
                Err(source) => drop(send_built.send(Err(Error::System { stage: Stage::Build, source }))),
            }
        };
        thread::Builder::new().name("rendezvous-handlers".into()).spawn(body).map_err(Error::system(Stage::Build))?;
        Ok(Handlers { begin: Some(begin), sessions, built, quit, ended })
    }

    /// Builds the handler, and returns when it is built.
    pub(super) async fn build(&mut self, factory: Factory, start: ServerHandle) -> Result<(), Error> {
        if let Some(begin) = self.begin.take() {
            // If the thread is gone, `built` reports why.
            let _ = begin.send((factory, start));
        }
        (&mut self.built).await.unwrap_or_else(|_| Err(Error::Handler(NotBuilt::Panicked.into())))
    }

    /// Builds the handler as [`build`](Handlers::build) does, until `until` and while no retirement is requested.
    pub(super) async fn build_by(
        &mut self,
        until: Instant,
        factory: &Factory,
        start: ServerHandle,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        tokio::select! {
            biased;
            built = timeout_at(until, self.build(factory.clone(), start)) => {
                built.unwrap_or_else(|_| Err(Error::Handler(NotBuilt::Overdue.into())))
            }
            () = shutdown.requested() => Err(Error::Handler(NotBuilt::Abandoned.into())),
        }
    }

    /// Waits until no code of the handler runs any more, although it was not ended. It must not be called again then.
    pub(super) async fn run_no_more(&mut self) {
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

async fn run(
    begun: oneshot::Receiver<(Factory, ServerHandle)>,
    send_built: oneshot::Sender<Result<(), Error>>,
    waiting: mpsc::Receiver<Session>,
    mut quitting: oneshot::Receiver<()>,
) {
    let Ok((factory, start)) = begun.await else { return };
    let built = tokio::select! {
        biased;
        _ = &mut quitting => return,
        built = factory.build(start) => built,
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
        let Session { peer, stream, counted, place } = tokio::select! {
            biased;
            _ = &mut quitting => return,
            session = waiting.recv() => match session {
                Some(session) => session,
                None => return,
            },
        };
        let handler = handler.clone();
        tokio::task::spawn_local(async move {
            // Dropped when both are gone: this future, and the stream, which another thread may have by then.
            let counted: Arc<dyn Any + Send + Sync> = Arc::new((counted, place));
            let keeps = Keeps { _counted: Some(counted.clone()), ..Keeps::default() };
            match stream.take() {
                Ok(stream) => {
                    if let Err(error) = handler(peer, Stream::new(stream, keeps)).await {
                        let (client, pid) = (peer.number, peer.process.map(|process| process.get()));
                        tracing::warn!(target: "rendezvous_ipc::serve", client, pid, error = &*error, "a session failed");
                    }
                }
                Err(error) => tracing::warn!(target: "rendezvous_ipc::serve", %error, "a client was lost"),
            }
        });
    }
}

/// Creates a runtime for this thread.
///
/// The first runtime of a process creates a pair of sockets for signals, and tokio panics if that fails. So this tries
/// first whether there is room for all of its descriptors.
pub(crate) fn local_runtime() -> std::io::Result<tokio::runtime::LocalRuntime> {
    static HAS_SIGNALS: AtomicBool = AtomicBool::new(false);
    if !HAS_SIGNALS.load(Ordering::Relaxed) {
        process::try_room_for_a_runtime()?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    HAS_SIGNALS.store(true, Ordering::Relaxed);
    Ok(runtime)
}
