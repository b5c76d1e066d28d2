//! Where connections wait until they are welcomed: accepting, and the server's side of the handshake.
//!
//! A pending connection has a deadline, is never counted and never touches the idle period. Their number is limited. A
//! client that completes the handshake is pending for a millisecond.

mod pending;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle, spawn_local};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::pending::Pending;
use super::admission::Admission;
use super::counters::SharedCounters;
use super::handlers::Session;
use super::net::dial::Tag;
use super::net::listener::{Incoming, Listener};
use super::os::listener::{ListenError, SocketFile};
use super::os::{process, scope, stat};
use super::random;
use super::reserve::Reserve;
use super::shutdown::Shutdown;
use crate::counters::Counters;
use crate::error::Error;
use crate::limits::Limits;
use crate::peer::Peer;
use crate::pid::Pid;
use crate::proto::address::Address;
use crate::proto::cookie::Cookie;
use crate::proto::handshake::{self, Asked, CLIENT_PROOF, HELLO, Intent, Party, Prove, Welcome};
use crate::proto::record::Record;
use crate::proto::scope::Place;
use crate::proto::serving::pending::{cap, keeps_retire_waiter};
use crate::proto::timing::{self, ACCEPT_PAUSE};
use crate::service::Service;
use crate::stream::Socket;

/// The state from which a server answers its clients.
pub(super) struct ServerState {
    pub(super) service: Service,
    pub(super) record: Record,
    /// The place of this server, with which it compares the records of others.
    pub(super) here: Place,
    pub(super) admission: Arc<Admission>,
    pub(super) sessions: mpsc::Sender<Session>,
    /// One permit for each client that may be served at once.
    places: Arc<Semaphore>,
    pub(super) reserve: Reserve,
    pub(super) shutdown: Shutdown,
    counters: Arc<SharedCounters>,
    /// The connections of the clients that requested retirement. Their end shows the end of this server.
    pub(super) retire_waiters: RefCell<Vec<Socket>>,
}

/// The server's side of a handshake, in one dialect.
pub(super) trait Handshake: 'static {
    fn limits(&self) -> &Limits;

    fn reserve(&self) -> &Reserve;

    /// Runs one handshake. The call itself takes note of the connection; the future is dropped when its time is over.
    fn handshake(self: Rc<Self>, stream: Socket) -> impl Future<Output = Option<()>> + 'static;
}

/// The listener and the pending connections. Dropping it closes them all.
pub(super) struct Acceptor<G> {
    state: Rc<G>,
    incoming: Rc<Incoming>,
    accepting: JoinHandle<()>,
    /// When it began to accept connections.
    since: Instant,
    pending: Rc<RefCell<Pending>>,
    file: Option<SocketFile>,
}

impl<G: Handshake> Acceptor<G> {
    pub(super) fn open(listener: Listener, state: Rc<G>) -> Self {
        let pending = Rc::<RefCell<Pending>>::default();
        let (incoming, file) = listener.into_parts();
        let incoming = Rc::new(incoming);
        let accepting = spawn_local(accept(incoming.clone(), state.clone(), pending.clone()));
        Acceptor { state, incoming, accepting, since: Instant::now(), pending, file }
    }

    /// Returns when the task that accepts has come to its end, which it does not by itself. To be called again only
    /// when there is another.
    pub(super) async fn accepts_no_more(&mut self) -> Result<(), JoinError> {
        (&mut self.accepting).await
    }

    /// Starts the accepting task again, on the same socket, so that no waiting connection is lost. Returns whether it
    /// did: it does not if the task was started only just now.
    pub(super) fn accept_again(&mut self) -> bool {
        let again = self.since.elapsed() >= self.state.limits().check;
        if again {
            self.accept();
        }
        again
    }

    fn accept(&mut self) {
        self.accepting.abort();
        self.accepting = spawn_local(accept(self.incoming.clone(), self.state.clone(), self.pending.clone()));
        self.since = Instant::now();
    }
}

impl Acceptor<ServerState> {
    /// Creates the socket's file again if it was removed or replaced, and repairs its mode if that was changed. The
    /// name is this server's own, so the record stays true. Returns whether something had to be done.
    pub(super) fn repair_file(&mut self) -> bool {
        let Address::Unix(name) = self.state.record.address else { return false };
        if let Some(file) = self.file.as_ref().filter(|file| file.is_there()) {
            match file.repair() {
                Ok(false) => return false,
                Ok(true) => tracing::info!(target: "rendezvous_ipc::serve", %name, "the socket's mode was repaired"),
                Err(error) => {
                    tracing::warn!(target: "rendezvous_ipc::serve", %error, "the socket's mode is not repaired");
                }
            }
            return true;
        }
        match Listener::at(&self.state.service.point, name) {
            Ok(listener) => {
                tracing::info!(target: "rendezvous_ipc::serve", %name, "the socket was made again");
                self.state.counters.restore();
                let (incoming, file) = listener.into_parts();
                self.incoming = Rc::new(incoming);
                self.accept();
                self.file = file;
            }
            Err(ListenError::Unsupported(error) | ListenError::Failed(error)) => {
                tracing::warn!(target: "rendezvous_ipc::serve", %error, "the socket is not made again");
            }
        }
        true
    }
}

impl<G> Drop for Acceptor<G> {
    fn drop(&mut self) {
        self.accepting.abort();
        self.pending.borrow_mut().end_all();
    }
}

async fn accept(incoming: Rc<Incoming>, state: Rc<impl Handshake>, pending: Rc<RefCell<Pending>>) {
    let cap = cap(state.limits().max_pending, process::descriptors());
    state.reserve().fill();
    loop {
        match incoming.accept().await {
            Ok(stream) => {
                let handshake = timeout(state.limits().handshake, state.clone().handshake(stream));
                let connection = spawn_local(async move { drop(handshake.await) }).abort_handle();
                pending.borrow_mut().add(connection, cap);
                state.reserve().fill();
                // Its handshake goes first: usually no other connection waits.
                after_the_others().await;
            }
            Err(error) => {
                if !process::is_shortage(&error) || !pending.borrow_mut().make_room(state.reserve()) {
                    tracing::warn!(target: "rendezvous_ipc::serve", %error, "accepting again in a moment");
                    sleep(ACCEPT_PAUSE).await;
                }
                // An aborted connection is closed when its task is dropped, at this thread's next turn.
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Lets the tasks of this thread that are ready run first. `yield_now` would also have the runtime ask the system for
/// events before this task goes on.
async fn after_the_others() {
    let mut is_ready = false;
    poll_fn(|task| match std::mem::replace(&mut is_ready, true) {
        true => Poll::Ready(()),
        false => {
            task.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

impl Handshake for ServerState {
    fn limits(&self) -> &Limits {
        &self.service.limits
    }

    fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    async fn handshake(self: Rc<Self>, stream: Socket) -> Option<()> {
        let mut arrived = self.counters.arrives();
        handshake(self.clone(), stream).await?;
        arrived.welcomed();
        Some(())
    }
}

/// Runs the handshake with one client. Returns `None` if it was not welcomed; the connection is then closed.
async fn handshake(state: Rc<ServerState>, mut stream: Socket) -> Option<()> {
    let mut hello = [0; HELLO];
    stream.read_exact(&mut hello).await.ok()?;
    // The client's side would look at the program's file, where that is the version.
    let service = &state.service;
    let point = scope::identity(service.context.home(), &service.point);
    let party = Party { point, tag: service.tag(), service: state.record.version };
    let prove = Prove::hello(&hello, party, random::draw().ok()?)?;
    let tag = Tag(prove.nonce());
    log_step("Answer", &tag);
    stream.write_all(&prove.to_bytes(&state.record)).await.ok()?;
    if prove.refuses() {
        return None;
    }
    let mut proof = [0; CLIENT_PROOF];
    stream.read_exact(&mut proof).await.ok()?;
    let asked = prove.judge(&state.record, &proof)?;
    if asked.speaks_another(&state.service.tag()) {
        log_step("Decline", &tag);
        return state.declines(&stream, &asked, handshake::Admission::OtherProtocol);
    }
    // For each intent, the check, the count and the welcome are one step without an await, so the check stays true.
    match asked.intent {
        Intent::Connect => {
            // Only clients that want to be served wait while the server is full.
            let limits = &state.service.limits;
            let until = Instant::now() + timing::until_full(limits.patience, limits.handshake);
            let room = async {
                let place = timeout_at(until, state.places.clone().acquire_owned()).await?;
                // A handler that takes no session is no lack of room: the client is told nothing, and times out.
                let seat = state.sessions.reserve().await;
                // A client keeps its descriptor, and the reserve is for connections that are short.
                timeout_at(until, state.reserve.full()).await?;
                Ok::<_, Elapsed>((place, seat))
            };
            let room = tokio::select! {
                biased;
                room = room => room,
                // A client that has given up does not keep a place in the queue.
                () = stream.ended() => return None,
            };
            let Ok((place, seat)) = room else {
                log_step("Full", &tag);
                return state.declines(&stream, &asked, handshake::Admission::Full);
            };
            let (place, seat) = (place.ok()?, seat.ok()?);
            log_step("Admit", &tag);
            let counted = state.admission.admit()?;
            let number = state.counters.welcome();
            state.replies(&stream, &asked, handshake::Admission::Welcome)?;
            let process = stream.peer();
            let peer = Peer { number, process: process.and_then(Pid::new) };
            log_step("Welcome", &tag);
            seat.send(Session { peer, stream: stream.hand_over().ok()?, counted, place });
        }
        Intent::Status => {
            log_step("Admit", &tag);
            state.admission.is_open().then(|| state.replies(&stream, &asked, handshake::Admission::Welcome))??;
            log_step("Welcome", &tag);
        }
        Intent::Retire => {
            log_step("Admit", &tag);
            state.admission.is_open().then(|| state.replies(&stream, &asked, handshake::Admission::Welcome))??;
            state.shutdown.replace(asked.service);
            log_step("Welcome", &tag);
            let mut retire_waiters = state.retire_waiters.borrow_mut();
            if keeps_retire_waiter(retire_waiters.len()) {
                retire_waiters.push(stream);
            }
        }
    }
    Some(())
}

/// Logs a step of a handshake before it is done, and the welcome after it was sent.
fn log_step(step: &'static str, peer: &Tag) {
    tracing::debug!(target: "rendezvous_ipc::serve", step, %peer, "{step}");
}

impl ServerState {
    /// Listens for a server with this cookie. It accepts no connection yet.
    pub(super) fn listen(
        service: &Service,
        (admission, counters): (&Arc<Admission>, &Arc<SharedCounters>),
        shutdown: &Shutdown,
        sessions: mpsc::Sender<Session>,
        cookie: Cookie,
        reserve: Reserve,
    ) -> Result<(Listener, Rc<Self>), Error> {
        let (listener, address) = Listener::open(service.transport, &service.point)?;
        let here = scope::place(service.context.home())?;
        let record = Record {
            scope: here.scope,
            address,
            cookie,
            pid: process::id(),
            started: stat::own_began(),
            version: service.offered()?,
        };
        let state = ServerState {
            service: service.clone(),
            record,
            here,
            admission: admission.clone(),
            sessions,
            places: Arc::new(Semaphore::new(
                service
                    .limits
                    .max_clients
                    .map_or(Semaphore::MAX_PERMITS, |clients| clients.min(Semaphore::MAX_PERMITS)),
            )),
            reserve,
            shutdown: shutdown.clone(),
            counters: counters.clone(),
            retire_waiters: RefCell::new(Vec::new()),
        };
        Ok((listener, Rc::new(state)))
    }

    /// Sends the last message of a handshake.
    fn replies(&self, stream: &Socket, asked: &Asked, admission: handshake::Admission) -> Option<()> {
        let Counters { uptime, clients, welcomed, refused, restored } = self.counters.beside(self.admission.counted());
        let welcome = Welcome {
            pid: self.record.pid,
            service: self.record.version,
            uptime: uptime.as_secs(),
            clients,
            welcomed,
            refused,
            restored,
            tag: self.service.tag(),
        };
        // The buffer of the socket is empty, so the whole message fits at once.
        stream.send_at_once(&asked.reply(&self.record, admission, welcome))
    }

    /// Tells a client why it is not admitted. A server that does not serve says nothing.
    fn declines(&self, stream: &Socket, asked: &Asked, admission: handshake::Admission) -> Option<()> {
        self.admission.is_open().then(|| self.replies(stream, asked, admission))??;
        None
    }

    /// Leaves the connections of the retire waiters open until the process exits, so that they see its end. It is for a
    /// process that runs nothing but this server.
    pub(super) fn release_retire_waiters(&self) {
        for waiter in self.retire_waiters.borrow_mut().drain(..) {
            let _ = waiter.leave();
        }
    }
}

#[cfg(test)]
mod tests;
