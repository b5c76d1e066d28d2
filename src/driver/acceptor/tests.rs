//! Handshakes at real Unix sockets: with clients that are silent, that wait for a place, and that request retirement.

use std::future::Future;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::driver::net::timed;
use crate::driver::runtime;
use crate::proto::handshake::{Hello, Rejected, SERVER_PROOF, WELCOME};
use crate::transport::Transport;

/// A bound that no wait should reach.
const LONG: Duration = Duration::from_secs(30);

/// A server that accepts one connection at a time, when the test asks for it.
struct Server {
    state: Rc<ServerState>,
    incoming: Incoming,
    /// The clients that the server has welcomed, instead of its handler.
    sessions: mpsc::Receiver<Session>,
    _file: Option<SocketFile>,
    _home: TempDir,
}

/// A client, and the server's side of its handshake.
struct Client {
    socket: Socket,
    agreed: Option<(Record, handshake::Agreed)>,
    handshake: JoinHandle<Option<()>>,
}

impl Server {
    /// A server that serves so many clients at once.
    fn of(max_clients: usize) -> Self {
        Server::with(max_clients, max_clients, LONG)
    }

    /// A server whose handler takes no further client while so many wait for it.
    fn with(max_clients: usize, waiting: usize, patience: Duration) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut service = Service { transport: Transport::Unix, ..Service::sample(home.path()) };
        service.limits.max_clients = Some(max_clients);
        service.limits.patience = patience;
        let (admission, counters, shutdown) = (Admission::new(), Arc::default(), Shutdown::new());
        let (sender, sessions) = mpsc::channel(waiting);
        let cookie = Cookie::new([7; 32]);
        let (listener, state) =
            ServerState::listen(&service, (&admission, &counters), &shutdown, sender, cookie, Reserve::none()).unwrap();
        admission.open();
        let (incoming, _file) = listener.into_parts();
        Server { state, incoming, sessions, _file, _home: home }
    }

    /// A client that has connected and sends nothing.
    async fn connected(&self) -> Client {
        let (point, address) = (&self.state.service.point, self.state.record.address);
        let socket = timed::connect(point, address, Instant::now() + LONG).await.ok().expect("a connection");
        let handshake = spawn_local(self.state.clone().handshake(self.incoming.accept().await.unwrap()));
        Client { socket, agreed: None, handshake }
    }

    /// A client that has proved that it knows the cookie.
    async fn proved(&self, intent: Intent) -> Client {
        let mut client = self.connected().await;
        client.prove(&self.state, intent).await;
        client
    }
}

impl Client {
    async fn prove(&mut self, state: &ServerState, intent: Intent) {
        let hello = Hello::new(intent, state.service.party(), random::draw().unwrap());
        self.socket.write_all(&hello.to_bytes()).await.unwrap();
        let mut proof = [0; SERVER_PROOF];
        self.socket.read_exact(&mut proof).await.unwrap();
        let agreed = hello.judge(&state.record, &proof).expect("the server knows the cookie");
        self.socket.write_all(&agreed.proof(&state.record)).await.unwrap();
        self.agreed = Some((state.record.clone(), agreed));
    }

    /// Returns how many clients the server counts, by its welcome.
    async fn welcomed(&mut self) -> u32 {
        self.reply().await.expect("a welcome").clients
    }

    /// Returns the server's last message.
    async fn reply(&mut self) -> Result<Welcome, Rejected> {
        let mut welcome = [0; WELCOME];
        self.socket.read_exact(&mut welcome).await.unwrap();
        let (record, agreed) = self.agreed.as_ref().expect("it has proved itself");
        agreed.judge(record, &welcome)
    }

    /// Whether the server has ended the connection by now.
    async fn is_ended(&mut self) -> bool {
        // The read is tried before the timer.
        timeout(Duration::ZERO, self.socket.read(&mut [0])).await.is_ok()
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    runtime::local().unwrap().block_on(async { timeout(LONG, test).await.expect("each wait has an end") })
}

#[test]
fn a_shortage_closes_the_oldest_pending_connection_that_is_open() {
    run(async {
        let server = Server::of(1);
        let (gone, mut oldest, mut newest) =
            (server.connected().await, server.connected().await, server.connected().await);
        let mut pending = Pending::default();
        [&gone, &oldest, &newest].iter().for_each(|client| pending.add(client.handshake.abort_handle(), 3));
        drop(gone.socket);
        assert_eq!(gone.handshake.await.unwrap(), None);
        assert!(pending.make_room(&server.state.reserve), "a connection can be closed");
        assert_eq!(oldest.socket.read(&mut [0]).await.unwrap(), 0, "the oldest is closed");
        newest.prove(&server.state, Intent::Connect).await;
        assert_eq!(newest.welcomed().await, 1, "the newest is served");
        newest.handshake.await.unwrap();
        assert!(!pending.make_room(&server.state.reserve), "nothing is left to close");
    });
}

#[test]
fn a_client_that_leaves_while_it_waits_for_a_place_is_noticed() {
    run(async {
        let mut server = Server::of(1);
        let mut first = server.proved(Intent::Connect).await;
        assert_eq!(first.welcomed().await, 1);
        let served = server.sessions.recv().await.expect("the first client");
        let leaves = server.proved(Intent::Connect).await;
        let mut waits = server.proved(Intent::Connect).await;
        drop(leaves.socket);
        assert_eq!(leaves.handshake.await.unwrap(), None, "its handshake ends while the server is full");
        assert!(!waits.is_ended().await, "another goes on waiting");
        drop(served);
        assert_eq!(waits.welcomed().await, 1, "the client that stayed gets the place");
        let served = server.sessions.recv().await.expect("the next client");
        assert_eq!((served.peer.number, server.state.admission.counted()), (2, 1), "no other client was welcomed");
    });
}

#[test]
fn a_server_is_full_for_want_of_places_and_not_because_its_handler_hangs() {
    // A server without a place says so after half of it.
    let patience = Duration::from_millis(200);
    run(async {
        let server = Server::with(1, 2, patience);
        let mut first = server.proved(Intent::Connect).await;
        assert_eq!(first.welcomed().await, 1);
        let mut refused = server.proved(Intent::Connect).await;
        assert!(matches!(refused.reply().await, Err(Rejected::Full(_))), "there is no place");

        let mut server = Server::with(2, 1, patience);
        let mut first = server.proved(Intent::Connect).await;
        assert_eq!(first.welcomed().await, 1);
        let mut waits = server.proved(Intent::Connect).await;
        let told = timeout(patience * 2, waits.socket.read(&mut [0])).await;
        assert!(told.is_err(), "there is a place, and nobody takes the client: {told:?}");
        drop(server.sessions.recv().await.expect("the first client"));
        assert_eq!(waits.welcomed().await, 1, "it is taken in the end");
    });
}

#[test]
fn a_server_counts_connections_by_how_they_end() {
    run(async {
        let mut server = Server::of(1);
        let stranger = server.connected().await;
        drop(stranger.socket);
        stranger.handshake.await.unwrap();
        let mut client = server.proved(Intent::Connect).await;
        assert_eq!(client.welcomed().await, 1);
        client.handshake.await.unwrap();
        let mut looks = server.proved(Intent::Status).await;
        let told = looks.reply().await.unwrap();
        looks.handshake.await.unwrap();
        assert_eq!((told.clients, told.welcomed, told.refused, told.restored), (1, 1, 1, 0));
        drop(server.sessions.recv().await);
        // A status query is neither a client nor refused.
        let counted = server.state.counters.beside(server.state.admission.counted());
        assert_eq!((counted.clients, counted.welcomed, counted.refused), (0, 1, 1));
    });
}

#[test]
fn the_connection_of_a_retire_waiter_ends_with_the_server_or_the_process() {
    run(async {
        let server = Server::of(1);
        let mut by_hand = server.proved(Intent::Retire).await;
        assert_eq!(by_hand.welcomed().await, 0);
        (&mut by_hand.handshake).await.unwrap().expect("it is welcomed");
        assert!(server.state.shutdown.at().is_some(), "the retirement is requested");
        assert!(!by_hand.is_ended().await, "the server is there");
        drop(server);
        assert_eq!(by_hand.socket.read(&mut [0]).await.unwrap(), 0, "the server is gone");

        let server = Server::of(1);
        let mut started = server.proved(Intent::Retire).await;
        assert_eq!(started.welcomed().await, 0);
        (&mut started.handshake).await.unwrap().expect("it is welcomed");
        server.state.release_retire_waiters();
        drop(server);
        assert!(!started.is_ended().await, "the process of the server is still there");
    });
}
