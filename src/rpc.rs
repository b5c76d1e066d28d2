//! Cap'n Proto RPC on an authenticated stream.
//!
//! The driver provides streams; this module adapts them on both sides.

mod halves;

use std::ops::Deref;
use std::time::Duration;

use capnp::capability::{Client, FromClientHook};
use capnp::message::ReaderOptions;
use capnp::traits::HasTypeId;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use capnp_rpc::{Disconnector, RpcSystem};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use self::halves::{Incoming, halves};
use crate::connection::Connection;
use crate::descriptor::Descriptor;
use crate::error::{BoxError, Error};
use crate::handler::{Factory, ServerHandle};
use crate::keeps::Keeps;
use crate::peer::Peer;
use crate::proto::message::MAX_WORDS;
use crate::proto::tag::Tag;
use crate::stream::Stream;

/// How long the end of a connection may wait until the last messages are sent.
const GOODBYE: Duration = Duration::from_secs(1);

impl Descriptor {
    /// Sets the handler of clients: it gives each client a Cap'n Proto capability of its own.
    ///
    /// `build` runs once in the server, after the server has taken the lifetime lock and before a client can connect.
    /// The closure that it returns is called for each client, and creates the capability that the client bootstraps.
    /// Both run on the handlers' thread, so they and their values need not be `Send`. The server refuses messages of
    /// more than 8 MiB, and stops reading from a client that does not read its replies:
    /// [memory](crate::manual::life_of_a_server).
    ///
    /// [`stream_handler`](Descriptor::stream_handler) says what holds for all sessions. The interface's ID becomes the
    /// service's [`protocol`](Descriptor::protocol), such as `capnp-0x8e5322c1e9282534`, unless another one is set. It
    /// needs the feature `capnp`.
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
        C: FromClientHook + HasTypeId + 'static,
    {
        let factory = Factory::new(async move |server| {
            let handler = build(server).await?;
            Ok(async move |peer: Peer, stream: Stream| {
                let client = Client::new(handler(&peer).into_client_hook());
                let (network, _keeps) = network(stream, Side::Server);
                let rpc = RpcSystem::new(network, Some(client));
                if let Err(error) = rpc.await {
                    tracing::debug!(target: "rendezvous_ipc::serve", %error, "a client's connection ended");
                }
            })
        });
        let tag = Tag::new(&format!("capnp-{:#x}", C::TYPE_ID)).unwrap_or(Tag::NONE);
        self.handled_by(factory, tag)
    }
}

impl Connection {
    /// Runs `body` with the server's capability, and drives the connection meanwhile, in the caller's task.
    ///
    /// This is the main way to call a server, and works in any runtime. For a deadline, use
    /// [`timeout`](tokio::time::timeout) around one call in `body`, which cancels that call, or around the whole
    /// future. The future is not `Send`, since Cap'n Proto is not: await it where that does not matter, as in `main` or
    /// in a `LocalSet`. When `body` is done, messages that were sent and not awaited have up to a second to leave. It
    /// needs the feature `capnp`.
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
    /// [`Error::Disconnected`] if the connection ends before `body` does. A call that `body` awaits may fail first, with
    /// an error of the kind `Disconnected`; then the result is what `body` returns.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection, and the server cancels the calls that run.
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
        // Messages that were sent and not awaited leave before the connection ends.
        let _ = timeout(GOODBYE, async { tokio::join!(goodbye, rpc) }).await;
        Ok(answer)
    }

    /// Returns the server's capability, for use in a [`LocalSet`](tokio::task::LocalSet) or a `LocalRuntime`.
    ///
    /// A task drives the connection. It ends when the returned [`Rpc`] is dropped, even if clones of the capability are
    /// left. Call [`Connection::outcome`] before, since this consumes the connection. It needs the feature `capnp`.
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
    /// Panics outside of a `LocalSet` and a `LocalRuntime`.
    #[cfg_attr(docsrs, doc(cfg(feature = "capnp")))]
    pub fn bootstrap<C: FromClientHook>(self) -> Rpc<C> {
        let (network, keeps) = network(self.stream, Side::Client);
        let mut rpc = RpcSystem::new(network, None);
        let client = rpc.bootstrap(Side::Server);
        let goodbye = rpc.get_disconnector();
        let (sender, closed) = watch::channel(None);
        let task = tokio::task::spawn_local(async move {
            let closed = match rpc.await {
                Ok(()) => Closed::Ended,
                Err(error) => Closed::Broken(error.to_string()),
            };
            sender.send_replace(Some(closed));
        });
        Rpc { client, goodbye: Some(goodbye), task: task.abort_handle(), closed, _keeps: keeps }
    }
}

/// A server's capability with the connection that carries it, made by [`Connection::bootstrap`].
///
/// It dereferences to the capability. Dropping it ends the connection at once, and the server cancels the calls that
/// run. It needs the feature `capnp`.
pub struct Rpc<C> {
    client: C,
    goodbye: Option<Disconnector<Side>>,
    task: AbortHandle,
    closed: watch::Receiver<Option<Closed>>,
    /// What must be kept alive while the connection is used.
    _keeps: Keeps,
}

/// How a connection ended, as [`Rpc::closed`] returns it. It needs the feature `capnp`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Closed {
    /// One side ended the connection: the server is gone or has drained, or this client disconnected.
    Ended,
    /// The connection failed, or the other side violated the protocol. The text is the error of the RPC system.
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
    /// Waits until the connection has ended, and returns how. It returns at once if the connection has ended already.
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
    /// The future can be dropped, and the method called again.
    pub async fn closed(&self) -> Closed {
        let mut closed = self.closed.clone();
        let closed = closed.wait_for(Option::is_some).await.ok().and_then(|closed| closed.clone());
        // A task that reports nothing was aborted, which only the drop of this value does.
        closed.unwrap_or(Closed::Ended)
    }

    /// Ends the connection when all messages have been sent, or after a second.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection at once.
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
    (Box::new(VatNetwork::new(incoming, outgoing, side, options)), keeps)
}
