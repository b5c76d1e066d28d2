//! Cap'n Proto RPC on an authenticated stream.
//!
//! The driver knows streams only; this adapts them, on both sides. Small messages leave at once and as one
//! write (no delay, and buffered): without either a call takes forty milliseconds now and then.

mod halves;

use std::ops::Deref;
use std::time::Duration;

use capnp::capability::{Client, FromClientHook};
use capnp::message::ReaderOptions;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use capnp_rpc::{Disconnector, RpcSystem};
use futures_util::io::BufWriter;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use self::halves::{Incoming, halves};
use crate::connection::Connection;
use crate::descriptor::Descriptor;
use crate::error::{BoxError, Error};
use crate::handler::ServerHandle;
use crate::peer::Peer;
use crate::proto::message::MAX_WORDS;
use crate::stream::{Keeps, Stream};

/// How long a connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

impl Descriptor {
    /// What handles clients: each gets a Cap'n Proto capability of its own.
    ///
    /// `build` runs once in the server, after it holds the lifetime lock and before anyone can connect. What it answers
    /// is called for each client, and makes the capability that the client bootstraps. Both run on the handlers'
    /// thread, so they and all that they make need not be `Send`. Messages of more than 8 MiB are refused, and a client
    /// that does not read its answers is not read either: [memory](crate::manual::life_of_a_server).
    ///
    /// See [`stream_handler`](Descriptor::stream_handler) for what holds of sessions in general.
    ///
    /// ```standalone_crate
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manual/counter.rs"));
    /// # fn main() -> Result<(), rendezvous_ipc::Error> {
    /// # let context = Context::new("org.example.counter")?;
    /// let service = Descriptor::new(&context, "counter")?.this_program(["serve"]).handler(async |_server| {
    ///     let count = Rc::new(Cell::new(0)); // of all clients
    ///     Ok(move |_: &Peer| -> counter::Client { capnp_rpc::new_client(Counter(count.clone())) })
    /// });
    /// # Ok(()) }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "capnp")))]
    #[must_use]
    pub fn handler<B, H, C>(self, build: B) -> Self
    where
        B: AsyncFn(ServerHandle) -> Result<H, BoxError> + Send + Sync + 'static,
        H: Fn(&Peer) -> C + 'static,
        C: FromClientHook + 'static,
    {
        self.stream_handler(async move |server| {
            let handler = build(server).await?;
            Ok(async move |peer: Peer, stream: Stream| {
                let client = Client::new(handler(&peer).into_client_hook());
                let (network, _keeps) = network(stream, Side::Server);
                let rpc = RpcSystem::new(network, Some(client));
                if let Err(error) = rpc.await {
                    tracing::debug!(target: "rendezvous_ipc::serve", %error, "a client's connection ended");
                }
            })
        })
    }
}

impl Connection {
    /// Runs `body` with the server's capability, and the connection beside it, in the caller's task.
    ///
    /// This is the main way to call a server, and works in any runtime. For a deadline, put a
    /// [`timeout`](tokio::time::timeout) around one call in `body`, which cancels that call, or around all of it. The
    /// future is not `Send`, since Cap'n Proto is not: await it where that does not matter, as in `main` or in a
    /// `LocalSet`. What was sent and not awaited has up to a second to leave when `body` is done.
    ///
    /// ```standalone_crate
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manual/counter.rs"));
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let connection = service()?.connect().await?;
    /// let count = connection.run(async |counter: counter::Client| {
    ///     let response = counter.increment_request().send().promise.await?;
    ///     Ok::<_, capnp::Error>(response.get()?.get_count())
    /// });
    /// assert_eq!(count.await??, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Disconnected`] where the connection ends before `body` does.
    ///
    /// # Cancel safety
    /// Dropped, it ends the connection; the server cancels the calls that run.
    #[cfg_attr(docsrs, doc(cfg(feature = "capnp")))]
    pub async fn run<C: FromClientHook, T>(self, body: impl AsyncFnOnce(C) -> T) -> Result<T, Error> {
        let Connection { stream, outcome } = self;
        let (network, _keeps) = network(stream, Side::Client);
        let mut rpc = RpcSystem::new(network, None);
        let client = rpc.bootstrap(Side::Server);
        let goodbye = rpc.get_disconnector();
        let answer = tokio::select! {
            biased;
            answer = body(client) => answer,
            ended = &mut rpc => {
                let source = ended.err().map(BoxError::from);
                return Err(Error::Disconnected { outcome: Box::new(outcome), source });
            }
        };
        // What was sent and not awaited leaves before the connection does.
        let _ = timeout(GOODBYE, async { tokio::join!(goodbye, rpc) }).await;
        Ok(answer)
    }

    /// The server's capability, for a task in a [`LocalSet`](tokio::task::LocalSet) or a `LocalRuntime`.
    ///
    /// The connection runs in a task of its own, and ends when what is answered here is dropped, whatever was cloned
    /// of the capability. How it came about is told before: [`Connection::outcome`].
    ///
    /// ```standalone_crate
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manual/counter.rs"));
    /// # #[tokio::main(flavor = "local")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let counter = service()?.connect().await?.bootstrap::<counter::Client>();
    /// let response = counter.increment_request().send().promise.await?;
    /// assert_eq!(response.get()?.get_count(), 1);
    /// counter.disconnect().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// Where there is no local task set.
    #[cfg_attr(docsrs, doc(cfg(feature = "capnp")))]
    pub fn bootstrap<C: FromClientHook>(self) -> Rpc<C> {
        let (network, keeps) = network(self.stream, Side::Client);
        let mut rpc = RpcSystem::new(network, None);
        let client = rpc.bootstrap(Side::Server);
        let goodbye = rpc.get_disconnector();
        let (tell, closed) = watch::channel(None);
        let task = tokio::task::spawn_local(async move {
            let closed = match rpc.await {
                Ok(()) => Closed::Ended,
                Err(error) => Closed::Broken(error.to_string()),
            };
            tell.send_replace(Some(closed));
        });
        Rpc { client, goodbye: Some(goodbye), task: task.abort_handle(), closed, _keeps: keeps }
    }
}

/// A server's capability, and the connection that carries it: see [`Connection::bootstrap`].
///
/// It is the capability by `Deref`. Dropping it ends the connection at once; the server cancels the calls that run.
pub struct Rpc<C> {
    client: C,
    goodbye: Option<Disconnector<Side>>,
    task: AbortHandle,
    closed: watch::Receiver<Option<Closed>>,
    /// What has to stay for as long as it is used.
    _keeps: Keeps,
}

/// How a connection came to its end: what [`Rpc::closed`] answers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Closed {
    /// One side ended it: the server is gone or has drained, or we said goodbye.
    Ended,
    /// It broke, or the other side broke the protocol: what the RPC system says.
    Broken(String),
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Closed::Ended => f.write_str("the connection ended"),
            Closed::Broken(error) => write!(f, "the connection broke: {error}"),
        }
    }
}

impl<C> Rpc<C> {
    /// Returns when the connection is over, also if that was long ago, and says how it came to its end.
    ///
    /// ```standalone_crate
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manual/counter.rs"));
    /// # #[tokio::main(flavor = "local")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let counter = service()?.connect().await?.bootstrap::<counter::Client>();
    /// tokio::select! {
    ///     closed = counter.closed() => eprintln!("{closed}"), // connect again
    ///     response = counter.increment_request().send().promise => assert_eq!(response?.get()?.get_count(), 1),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub async fn closed(&self) -> Closed {
        let mut closed = self.closed.clone();
        let closed = closed.wait_for(Option::is_some).await.ok().and_then(|closed| closed.clone());
        // Without a word the task was aborted, which only dropping this value does.
        closed.unwrap_or(Closed::Ended)
    }

    /// Ends the connection when all that was sent has left, or after a second.
    ///
    /// # Cancel safety
    /// Dropped, the connection ends at once.
    pub async fn disconnect(mut self) {
        if let Some(goodbye) = self.goodbye.take() {
            let _ = timeout(GOODBYE, goodbye).await;
        }
    }
}

impl<C> Deref for Rpc<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.client
    }
}

impl<C> Drop for Rpc<C> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Network = Box<VatNetwork<Incoming>>;

fn network(stream: Stream, side: Side) -> (Network, Keeps) {
    let (socket, keeps) = stream.into_parts();
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(MAX_WORDS));
    let (incoming, outgoing) = halves(socket, side == Side::Server);
    (Box::new(VatNetwork::new(incoming, BufWriter::new(outgoing), side, options)), keeps)
}
