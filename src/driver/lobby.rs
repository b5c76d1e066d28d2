//! Where connections wait until they are welcomed: accepting, and the server's side of the handshake.
//!
//! What is not welcomed has a deadline and a cap, is never counted and never touches the idle period.
//! When the lobby is full the oldest goes: a client that knows what it wants is out of it in a millisecond.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinError, JoinHandle, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use super::dial::Tag;
use super::hall::{Hall, Told};
use super::handlers::Session;
use super::net::socket::{Incoming, Listener};
use super::os::listener::{SocketFile, Unheard};
use super::os::{process, scope, stat};
use super::random;
use super::reserve::Reserve;
use crate::error::Error;
use crate::limits::Limits;
use crate::peer::Peer;
use crate::pid::Pid;
use crate::proto::address::Address;
use crate::proto::cookie::Cookie;
use crate::proto::handshake::{CLIENT_PROOF, HELLO, Intent, Prove, Welcome};
use crate::proto::record::Record;
use crate::proto::scope::Place;
use crate::proto::serving::pending::{self, Room};
use crate::service::Service;
use crate::stream::Socket;

/// After an error of accept (no descriptors, most likely), how long until the next try: a small part of a client's
/// patience, and twenty tries a second cost nothing.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a server answers its clients with.
pub(super) struct Host {
    pub(super) service: Service,
    pub(super) record: Record,
    /// Where it looks at the records of others from.
    pub(super) here: Place,
    pub(super) hall: Arc<Hall>,
    pub(super) sessions: mpsc::Sender<Session>,
    /// For as many clients as are served at once.
    places: Arc<Semaphore>,
    pub(super) reserve: Reserve,
    pub(super) told: Told,
    pub(super) since: Instant,
    /// How many clients were welcomed so far.
    pub(super) welcomed: Cell<u64>,
    /// Those who asked for the retirement: they see its end by the end of their connection.
    pub(super) witnesses: RefCell<Vec<Socket>>,
}

/// Whoever greets those who connect.
pub(super) trait Greet: 'static {
    fn limits(&self) -> &Limits;

    fn reserve(&self) -> &Reserve;

    /// One greeting, in which this is told of the connection at once. It is given up when its time is over.
    fn greet(self: Rc<Self>, stream: Socket) -> impl Future<Output = Option<()>> + 'static;
}

/// The listener, and the connections that are not welcomed. Dropping it closes them all.
pub(super) struct Lobby<G> {
    host: Rc<G>,
    incoming: Rc<Incoming>,
    accepting: JoinHandle<()>,
    /// When it began to accept.
    since: Instant,
    guests: Guests,
    file: Option<SocketFile>,
}

/// Those who are being greeted, in the order in which they came.
type Guests = Rc<RefCell<VecDeque<AbortHandle>>>;

impl<G: Greet> Lobby<G> {
    pub(super) fn open(listener: Listener, host: Rc<G>) -> Self {
        let guests = Guests::default();
        let (incoming, file) = listener.into_parts();
        let incoming = Rc::new(incoming);
        let accepting = spawn_local(accept(incoming.clone(), host.clone(), guests.clone()));
        Lobby { host, incoming, accepting, since: Instant::now(), guests, file }
    }

    /// Returns when the task that accepts has come to its end, which it does not by itself. To be called again only when
    /// there is another.
    pub(super) async fn accepts_no_more(&mut self) -> Result<(), JoinError> {
        (&mut self.accepting).await
    }

    /// Begins to accept anew, at the same socket, so no connection that waits there is lost. Answers whether it did: it does
    /// not where it began only just now.
    pub(super) fn accept_again(&mut self) -> bool {
        let again = self.since.elapsed() >= self.host.limits().check;
        if again {
            self.accept();
        }
        again
    }

    fn accept(&mut self) {
        self.accepting.abort();
        self.accepting = spawn_local(accept(self.incoming.clone(), self.host.clone(), self.guests.clone()));
        self.since = Instant::now();
    }
}

impl Lobby<Host> {
    /// Makes the socket's file again where somebody removed or replaced it, and repairs its mode where somebody changed
    /// that. The name is this server's own, so the record stays true.
    pub(super) fn look_after_file(&mut self) {
        let Address::Unix(name) = self.host.record.address else { return };
        if let Some(file) = self.file.as_ref().filter(|file| file.is_there()) {
            match file.repair() {
                Ok(false) => {}
                Ok(true) => tracing::info!(target: "rendezvous_ipc::serve", %name, "the socket's mode was repaired"),
                Err(error) => {
                    tracing::warn!(target: "rendezvous_ipc::serve", %error, "the socket's mode is not repaired");
                }
            }
            return;
        }
        match Listener::at(&self.host.service.point, name) {
            Ok(listener) => {
                tracing::info!(target: "rendezvous_ipc::serve", %name, "the socket was made again");
                let (incoming, file) = listener.into_parts();
                self.incoming = Rc::new(incoming);
                self.accept();
                self.file = file;
            }
            Err(Unheard::Impossible(error) | Unheard::Wrong(error)) => {
                tracing::warn!(target: "rendezvous_ipc::serve", %error, "the socket is not made again");
            }
        }
    }
}

impl<G> Drop for Lobby<G> {
    fn drop(&mut self) {
        self.accepting.abort();
        self.guests.borrow_mut().drain(..).for_each(|guest| guest.abort());
    }
}

async fn accept(incoming: Rc<Incoming>, host: Rc<impl Greet>, guests: Guests) {
    let cap = pending::cap(host.limits().lobby, process::descriptors());
    host.reserve().fill();
    loop {
        match incoming.accept().await {
            Ok(stream) => {
                let greeting = timeout(host.limits().handshake, host.clone().greet(stream));
                let guest = spawn_local(async move { drop(greeting.await) }).abort_handle();
                let mut guests = guests.borrow_mut();
                // Mostly they are done in the order in which they came; what a guest took is given back with its handle.
                while guests.front().is_some_and(AbortHandle::is_finished) {
                    guests.pop_front();
                }
                if pending::is_full(guests.len(), cap) {
                    guests.retain(|guest| !guest.is_finished());
                }
                if pending::is_full(guests.len(), cap) {
                    let_the_oldest_go(&mut guests);
                }
                guests.push_back(guest);
                host.reserve().fill();
            }
            Err(error) => {
                if !process::is_shortage(&error) || !make_room(host.reserve(), &mut guests.borrow_mut()) {
                    tracing::warn!(target: "rendezvous_ipc::serve", %error, "accepting again in a moment");
                    sleep(ACCEPT_PAUSE).await;
                }
                // What was aborted is closed when its task is dropped, which is this thread's next turn.
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Frees a descriptor for the connection that waits to be accepted. Answers whether it could.
fn make_room(reserve: &Reserve, guests: &mut VecDeque<AbortHandle>) -> bool {
    guests.retain(|guest| !guest.is_finished());
    match pending::make_room(guests.len(), reserve.size(), reserve.can_lend()) {
        Room::Lend => reserve.lend(1),
        Room::DropOldest => let_the_oldest_go(guests),
        Room::Nothing => false,
    }
}

/// Ends the greeting that has taken longest, of those that are not finished. Answers whether there was one.
fn let_the_oldest_go(guests: &mut VecDeque<AbortHandle>) -> bool {
    while let Some(oldest) = guests.pop_front() {
        if !oldest.is_finished() {
            oldest.abort();
            return true;
        }
    }
    false
}

impl Greet for Host {
    fn limits(&self) -> &Limits {
        &self.service.limits
    }

    fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    fn greet(self: Rc<Self>, stream: Socket) -> impl Future<Output = Option<()>> + 'static {
        greet(self, stream)
    }
}

/// The handshake with one client. `None`: it went wrong at some point, and is closed without a word.
async fn greet(host: Rc<Host>, mut stream: Socket) -> Option<()> {
    let mut hello = [0; HELLO];
    stream.read_exact(&mut hello).await.ok()?;
    let prove = Prove::hello(&hello, random::draw().ok()?, host.record.version)?;
    let tag = Tag(prove.nonce());
    tell("Answer", &tag);
    stream.write_all(&prove.to_bytes(&host.record)).await.ok()?;
    let mut proof = [0; CLIENT_PROOF];
    stream.read_exact(&mut proof).await.ok()?;
    // Each way, to count and to welcome is one step, with no await in it: what was verified stays verified.
    match prove.judge(&host.record, &proof)? {
        Intent::Connect => {
            // A full house lets its clients wait, and nobody else.
            let room = async {
                let room = (host.places.clone().acquire_owned().await, host.sessions.reserve().await);
                // A client stays, and the reserve is for connections that do not.
                host.reserve.full().await;
                room
            };
            let (place, seat) = tokio::select! {
                biased;
                (place, seat) = room => (place.ok()?, seat.ok()?),
                // Who gave up does not wait in front of others, itself included.
                () = stream.ended() => return None,
            };
            tell("Admit", &tag);
            let counted = host.hall.admit()?;
            host.welcome(&stream)?;
            let process = stream.peer();
            let number = host.welcomed.replace(host.welcomed.get() + 1) + 1;
            let peer = Peer { number, process: process.and_then(Pid::new) };
            tell("Welcome", &tag);
            seat.send(Session { peer, stream: stream.hand_over().ok()?, counted, place });
        }
        Intent::Status => {
            tell("Admit", &tag);
            host.hall.is_open().then(|| host.welcome(&stream))??;
            tell("Welcome", &tag);
        }
        Intent::Retire => {
            tell("Admit", &tag);
            host.hall.is_open().then(|| host.welcome(&stream))??;
            host.told.tell();
            tell("Welcome", &tag);
            let mut witnesses = host.witnesses.borrow_mut();
            if pending::keeps_retire_waiter(witnesses.len()) {
                witnesses.push(stream);
            }
        }
    }
    Some(())
}

/// Tells a step of a handshake before it is done, and the welcome when it was sent.
fn tell(step: &'static str, peer: &Tag) {
    tracing::debug!(target: "rendezvous_ipc::serve", step, %peer, "{step}");
}

impl Host {
    /// Listens, for a server that is reached by this cookie. Nothing is accepted yet.
    pub(super) fn listen(
        service: &Service,
        hall: &Arc<Hall>,
        told: &Told,
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
            pid: std::process::id(),
            started: stat::began("self"),
            version: service.version,
        };
        let host = Host {
            service: service.clone(),
            record,
            here,
            hall: hall.clone(),
            sessions,
            places: Arc::new(Semaphore::new(
                service.limits.clients.map_or(Semaphore::MAX_PERMITS, |clients| clients.min(Semaphore::MAX_PERMITS)),
            )),
            reserve,
            told: told.clone(),
            since: Instant::now(),
            welcomed: Cell::new(0),
            witnesses: RefCell::new(Vec::new()),
        };
        Ok((listener, Rc::new(host)))
    }

    fn welcome(&self, stream: &Socket) -> Option<()> {
        let welcome = Welcome {
            pid: self.record.pid,
            service: self.record.version,
            uptime: self.since.elapsed().as_secs(),
            clients: self.hall.counted(),
        };
        // The socket's buffer is empty: what is written is written whole, at once.
        stream.send_at_once(&welcome.to_bytes())
    }

    /// Leaves the witnesses' connections to the process, which closes them when it exits, and not before: so they
    /// see its end. For a process that is nothing but this server.
    pub(super) fn dismiss_witnesses(&self) {
        for witness in self.witnesses.borrow_mut().drain(..) {
            let _ = witness.leave();
        }
    }
}
