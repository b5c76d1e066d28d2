//! Where connections wait until they are welcomed: accepting, and the server's side of the handshake.
//!
//! What is not welcomed has a deadline and a cap, is never counted and never touches the idle period.
//! When the lobby is full the oldest goes: a client that knows what it wants is out of it in a millisecond.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::IntoRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use super::dial;
use super::hall::{Hall, Told};
use super::handlers::{Peer, Session};
use super::os::{process, scope};
use crate::error::Error;
use crate::proto::address::Address;
use crate::proto::cookie::Cookie;
use crate::proto::handshake::{CLIENT_PROOF, HELLO, Intent, Nonce, Prove, WELCOME, Welcome};
use crate::proto::record::Record;
use crate::service::Service;

/// After an error of accept (no descriptors, most likely), how long until the next try: a small part of a client's
/// patience, and twenty tries a second cost nothing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that may wait to be accepted: as many as the lobby takes in. Whom the system turns away tries again after
/// a second, which is most of a client's patience.
const BACKLOG: u32 = 1024;
/// How many connections that asked for the server's retirement are kept until its exit. Each takes a descriptor that
/// nothing frees before; who is not kept hears that it is over before it is.
const WITNESSES: usize = 64;

/// What a server answers its clients with.
pub(super) struct Host {
    pub(super) service: Service,
    pub(super) record: Record,
    pub(super) hall: Arc<Hall>,
    pub(super) sessions: mpsc::Sender<Session>,
    /// For as many clients as are served at once.
    places: Arc<Semaphore>,
    pub(super) told: Told,
    pub(super) since: Instant,
    /// How many clients were welcomed so far.
    pub(super) welcomed: Cell<u64>,
    /// Those who asked for the retirement: they see its end by the end of their connection.
    pub(super) witnesses: RefCell<Vec<TcpStream>>,
}

/// The listener, and the connections that are not welcomed. Dropping it closes them all.
pub(super) struct Lobby {
    accepting: AbortHandle,
    guests: Rc<RefCell<VecDeque<AbortHandle>>>,
}

impl Lobby {
    pub(super) fn open(listener: TcpListener, host: Rc<Host>) -> Self {
        let guests = Rc::new(RefCell::new(VecDeque::new()));
        let accepting = spawn_local(accept(listener, host, guests.clone())).abort_handle();
        Lobby { accepting, guests }
    }
}

impl Drop for Lobby {
    fn drop(&mut self) {
        self.accepting.abort();
        self.guests.borrow_mut().drain(..).for_each(|guest| guest.abort());
    }
}

async fn accept(listener: TcpListener, host: Rc<Host>, guests: Rc<RefCell<VecDeque<AbortHandle>>>) {
    // Connections that say nothing may take half of what the process can open, and no more.
    let room = host.service.limits.lobby.min(process::descriptors() / 2).max(1);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let greeting = timeout(host.service.limits.handshake, greet(host.clone(), stream));
                let guest = spawn_local(async move { drop(greeting.await) }).abort_handle();
                let mut guests = guests.borrow_mut();
                if guests.len() >= room {
                    guests.retain(|guest| !guest.is_finished());
                }
                if guests.len() >= room {
                    let_the_oldest_go(&mut guests);
                }
                guests.push_back(guest);
            }
            Err(error) => {
                tracing::warn!(target: "rendezvous_ipc::serve", %error, "accepting again in a moment");
                // Who says nothing has no better right to a descriptor than who comes.
                if !process::is_shortage(&error) || !let_the_oldest_go(&mut guests.borrow_mut()) {
                    sleep(ACCEPT_PAUSE).await;
                }
                // What was aborted is closed when its task is dropped, which is this thread's next turn.
                tokio::task::yield_now().await;
            }
        }
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

/// The handshake with one client. `None`: it went wrong at some point, and is closed without a word.
async fn greet(host: Rc<Host>, mut stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut hello = [0; HELLO];
    stream.read_exact(&mut hello).await.ok()?;
    let nonce = Nonce(dial::random().ok()?);
    let prove = Prove::hello(&hello, nonce, host.record.version)?;
    let address = stream.peer_addr().ok()?;
    tell("Answer", address);
    stream.write_all(&prove.to_bytes(&host.record)).await.ok()?;
    let mut proof = [0; CLIENT_PROOF];
    stream.read_exact(&mut proof).await.ok()?;
    // Each way, to count and to welcome is one step, with no await in it: what was verified stays verified.
    match prove.judge(&host.record, &proof)? {
        Intent::Connect => {
            // A full house lets its clients wait, and nobody else.
            let room = async { (host.places.clone().acquire_owned().await, host.sessions.reserve().await) };
            let (place, seat) = tokio::select! {
                (place, seat) = room => (place.ok()?, seat.ok()?),
                // Who gave up does not wait in front of others, itself included.
                () = gone(&stream) => return None,
            };
            tell("Admit", address);
            let counted = host.hall.admit()?;
            host.welcome(&stream)?;
            let number = host.welcomed.replace(host.welcomed.get() + 1) + 1;
            let peer = Peer { number, address };
            tell("Welcome", address);
            seat.send(Session { peer, stream: stream.into_std().ok()?, counted, place });
        }
        Intent::Status => {
            tell("Admit", address);
            host.hall.is_open().then(|| host.welcome(&stream))??;
            tell("Welcome", address);
        }
        Intent::Retire => {
            tell("Admit", address);
            host.hall.is_open().then(|| host.welcome(&stream))??;
            host.told.tell();
            tell("Welcome", address);
            let mut witnesses = host.witnesses.borrow_mut();
            if witnesses.len() < WITNESSES {
                witnesses.push(stream);
            }
        }
    }
    Some(())
}

/// Tells a step of a handshake before it is done, and the welcome when it was sent.
fn tell(step: &'static str, peer: SocketAddr) {
    tracing::debug!(target: "rendezvous_ipc::serve", step, %peer, "{step}");
}

/// Returns when the other side has ended the connection. What it may have said already stays unread.
async fn gone(stream: &TcpStream) {
    if let Ok(1..) = stream.peek(&mut [0]).await {
        std::future::pending().await
    }
}

impl Host {
    /// Listens, for a server that is reached by this cookie. Nothing is accepted yet.
    pub(super) fn listen(
        service: &Service,
        hall: &Arc<Hall>,
        told: &Told,
        sessions: mpsc::Sender<Session>,
        cookie: Cookie,
    ) -> Result<(TcpListener, Rc<Self>), Error> {
        let (listener, address) = listen().map_err(Error::system("Listen"))?;
        let record = Record {
            scope: scope::here()?,
            address,
            cookie,
            pid: std::process::id(),
            started: process::began("self"),
            version: service.version,
        };
        let host = Host {
            service: service.clone(),
            record,
            hall: hall.clone(),
            sessions,
            places: Arc::new(Semaphore::new(
                service.limits.clients.map_or(Semaphore::MAX_PERMITS, |clients| clients.min(Semaphore::MAX_PERMITS)),
            )),
            told: told.clone(),
            since: Instant::now(),
            welcomed: Cell::new(0),
            witnesses: RefCell::new(Vec::new()),
        };
        Ok((listener, Rc::new(host)))
    }

    fn welcome(&self, stream: &TcpStream) -> Option<()> {
        let welcome = Welcome {
            pid: self.record.pid,
            service: self.record.version,
            uptime: self.since.elapsed().as_secs(),
            clients: self.hall.counted(),
        };
        // The socket's buffer is empty: what is written is written whole, at once.
        let sent = stream.try_write(&welcome.to_bytes()).ok()?;
        (sent == WELCOME).then_some(())
    }

    /// Leaves the witnesses' connections to the process, which closes them when it exits, and not before: so they
    /// see its end. For a process that is nothing but this server.
    pub(super) fn dismiss_witnesses(&self) {
        for witness in self.witnesses.borrow_mut().drain(..) {
            if let Ok(stream) = witness.into_std() {
                let _ = stream.into_raw_fd();
            }
        }
    }
}

/// Listens on a port of the system's choice, of IPv4 or, where there is none, of IPv6.
fn listen() -> std::io::Result<(TcpListener, Address)> {
    let bind = |address: SocketAddr| {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into())
        .or_else(|error| bind((Ipv6Addr::LOCALHOST, 0).into()).map_err(|_| error))?;
    let address = Address::new(listener.local_addr()?).map_err(std::io::Error::other)?;
    Ok((listener, address))
}
