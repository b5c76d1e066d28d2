//! The server's side of the dialect's handshake: it receives 32 bytes and sends no reply.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::acceptor::Handshake;
use super::super::admission::Admission;
use super::super::counters::SharedCounters;
use super::super::handlers::Session;
use super::super::os::{listener, stream};
use super::super::reserve::Reserve;
use crate::limits::Limits;
use crate::peer::Peer;
use crate::proto::cookie::Cookie;
use crate::proto::sequoia::record::Record;
use crate::stream::socket::{Handover, Socket, port_ended};

/// The state by which a server of the dialect admits its clients. It sends them no reply.
pub(super) struct ServerState {
    pub(super) record: Record,
    limits: Limits,
    admission: Arc<Admission>,
    sessions: mpsc::Sender<Session>,
    /// For as many clients as are served at once.
    places: Arc<Semaphore>,
    pub(super) reserve: Reserve,
    counters: Arc<SharedCounters>,
    arrived: Notify,
    since: Instant,
    /// A second descriptor of the listener, to see whether a connection waits there.
    listener: OwnedFd,
    pending: RefCell<Vec<Weak<PendingClient>>>,
}

/// A client that has connected and is not admitted yet.
struct PendingClient {
    stream: TcpStream,
    /// Whether it has sent the cookie.
    received: Cell<bool>,
}

impl ServerState {
    pub(super) fn new(
        listener: &TcpListener,
        cookie: Cookie,
        limits: Limits,
        (admission, counters): (&Arc<Admission>, &Arc<SharedCounters>),
        sessions: mpsc::Sender<Session>,
    ) -> io::Result<Rc<Self>> {
        let port = NonZeroU16::new(listener.local_addr()?.port()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let places = limits.max_clients.map_or(Semaphore::MAX_PERMITS, |clients| clients.min(Semaphore::MAX_PERMITS));
        Ok(Rc::new(ServerState {
            record: Record { cookie, port },
            limits,
            admission: admission.clone(),
            sessions,
            places: Arc::new(Semaphore::new(places)),
            reserve: Reserve::new(),
            counters: counters.clone(),
            arrived: Notify::new(),
            since: Instant::now(),
            listener: std::os::fd::AsFd::as_fd(listener).try_clone_to_owned()?,
            pending: RefCell::default(),
        }))
    }

    /// Waits until all clients that have sent the cookie are admitted, or until `patience` is over.
    ///
    /// The caller holds the point lock, so no client of the dialect sends the cookie meanwhile. Connections that have sent
    /// nothing are not waited for.
    pub(super) async fn settle(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while self.has_waiting() && Instant::now() < until {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until a client was admitted, or until `patience` has passed since this server began to serve.
    pub(super) async fn first(&self, patience: Duration) {
        if self.counters.beside(0).welcomed == 0 {
            let _ = timeout_at(self.since + patience, self.arrived.notified()).await;
        }
    }

    fn has_waiting(&self) -> bool {
        let mut pending = self.pending.borrow_mut();
        pending.retain(|client| client.strong_count() > 0);
        let has_sent = |client: Rc<PendingClient>| {
            client.received.get() || stream::has_received::<{ Cookie::LEN }>(&client.stream)
        };
        listener::has_waiting(&self.listener) || pending.iter().filter_map(Weak::upgrade).any(has_sent)
    }

    async fn let_in(&self, client: Rc<PendingClient>) -> Option<()> {
        if receive_cookie(&client.stream).await.ok()? != self.record.cookie {
            return None;
        }
        client.received.set(true);
        // Only clients that have sent the cookie wait while the server is full.
        let room = async {
            let room = (self.places.clone().acquire_owned().await, self.sessions.reserve().await);
            // As in the native dialect.
            self.reserve.full().await;
            room
        };
        let (place, seat) = tokio::select! {
            (place, seat) = room => (place.ok()?, seat.ok()?),
            () = port_ended(&client.stream) => return None,
        };
        let counted = self.admission.admit()?;
        let number = self.counters.welcome();
        self.arrived.notify_one();
        let peer = Peer { number, process: None };
        tracing::debug!(target: "rendezvous_ipc::serve", step = "Admit", number, "Admit");
        let stream = Handover::Tcp(Rc::into_inner(client)?.stream.into_std().ok()?);
        seat.send(Session { peer, stream, counted, place });
        Some(())
    }
}

impl Handshake for ServerState {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    fn handshake(self: Rc<Self>, stream: Socket) -> impl Future<Output = Option<()>> + 'static {
        let client = match stream {
            Socket::Tcp(stream) => Some(Rc::new(PendingClient { stream, received: Cell::new(false) })),
            Socket::Unix(_) => None,
        };
        self.pending.borrow_mut().extend(client.as_ref().map(Rc::downgrade));
        async move {
            let mut arrived = self.counters.arrives();
            self.let_in(client?).await?;
            arrived.welcomed();
            Some(())
        }
    }
}

/// Receives a cookie, and not a byte more.
pub(super) async fn receive_cookie(stream: &TcpStream) -> io::Result<Cookie> {
    let (mut cookie, mut received) = ([0; Cookie::LEN], 0);
    while received < cookie.len() {
        stream.readable().await?;
        match stream.try_read(&mut cookie[received..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => received += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Cookie::new(cookie))
}
