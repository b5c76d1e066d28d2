//! The handler of a service: how it is built, and the handle by which it controls its server.

mod threads;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use crate::blocking::BlockingStream;
use crate::context::Context;
use crate::counters::Counters;
use crate::error::{BoxError, Error};
use crate::limits::Limits;
use crate::park;
use crate::peer::Peer;
use crate::retiring::Retiring;
use crate::stream::Stream;

type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;
pub(crate) type Sessions = Rc<dyn Fn(Peer, Stream) -> LocalFuture<Result<(), BoxError>>>;
type SendFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A handle by which a handler controls its server, given to the closure that builds the handler.
///
/// It can be kept, cloned and sent to other threads.
///
/// ```
/// # use rendezvous_ipc::{Context, Descriptor, Stream};
/// # let context = Context::new("org.example.store")?;
/// let service = Descriptor::new(&context, "store")?.stream_handler(async |server| {
///     let data = server.context().home().join("data");
///     std::fs::create_dir_all(&data)?; // the client that starts the server receives this error
///     Ok(async move |_peer, _stream: Stream| println!("{}", data.display()))
/// });
/// # Ok::<(), rendezvous_ipc::Error>(())
/// ```
#[derive(Clone)]
pub struct ServerHandle {
    context: Context,
    server: Arc<Control>,
}

/// The requests that a handler can make of its server. The driver supplies the closures.
pub(crate) struct Control {
    pub(crate) keep_alive: Box<dyn Fn() -> KeepAlive + Send + Sync>,
    pub(crate) closing: Box<dyn Fn() -> Box<dyn Any + Send + Sync> + Send + Sync>,
    pub(crate) counters: Box<dyn Fn() -> Counters + Send + Sync>,
    pub(crate) retire: Box<dyn Fn() + Send + Sync>,
    pub(crate) retiring: Box<dyn Fn() -> SendFuture<Retiring> + Send + Sync>,
}

impl ServerHandle {
    pub(crate) fn new(context: Context, control: Control) -> Self {
        ServerHandle { context, server: Arc::new(control) }
    }

    /// Returns the context of the service.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Keeps an idle server alive until the returned value is dropped, for work that continues without a client.
    ///
    /// It does not delay a server that was requested to retire, nor an internal server whose last connection has ended.
    ///
    /// ```
    /// # use rendezvous_ipc::ServerHandle;
    /// # async fn upload() {}
    /// fn begin_upload(server: &ServerHandle) {
    ///     let stay = server.keep_alive();
    ///     tokio::task::spawn_local(async move {
    ///         upload().await;
    ///         drop(stay); // from here on it may be idle
    ///     });
    /// }
    /// ```
    pub fn keep_alive(&self) -> KeepAlive {
        (self.server.keep_alive)()
    }

    /// Returns what the server has counted so far: its clients and how many it has welcomed, the connections that it
    /// refused, and how often it restored its files. [`inspect`](crate::Descriptor::inspect) returns the same numbers.
    ///
    /// ```
    /// # use rendezvous_ipc::ServerHandle;
    /// fn report(server: &ServerHandle) -> String {
    ///     let counters = server.counters();
    ///     format!("{} clients, {} since the start", counters.clients, counters.welcomed)
    /// }
    /// ```
    pub fn counters(&self) -> Counters {
        (self.server.counters)()
    }

    /// Requests that the server retire, as a client's [`retire`](crate::Descriptor::retire) does, and returns at once.
    ///
    /// The server admits no new client, and waits for the clients that it has until
    /// [`Limits::drain`](crate::Limits::drain) is over. A second request changes nothing.
    pub fn retire(&self) {
        (self.server.retire)();
    }

    /// Waits until the server retires, and returns why. From then on it admits no client, and it waits for those that it
    /// has until [`Limits::drain`](crate::Limits::drain) is over.
    ///
    /// A session uses it to say goodbye and to end, and a framework to begin its graceful shutdown, so that a server
    /// with clients that stay ends at once and not after the drain. It returns at once if the server retires already.
    /// With [`WhenLost::KeepSessions`](crate::WhenLost::KeepSessions) a session that is to live on ignores
    /// [`Retiring::Lost`].
    ///
    /// ```
    /// # use rendezvous_ipc::{ServerHandle, Stream};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// async fn session(server: ServerHandle, mut stream: Stream) -> std::io::Result<()> {
    ///     tokio::select! {
    ///         why = server.retiring() => stream.write_all(format!("goodbye: {why}\n").as_bytes()).await,
    ///         request = stream.read_u8() => stream.write_u8(request?).await,
    ///     }
    /// }
    /// ```
    ///
    /// # Cancel safety
    /// The future can be dropped at any time, and the call repeated.
    pub fn retiring(&self) -> impl Future<Output = Retiring> + Send + use<> {
        (self.server.retiring)()
    }

    /// Returns a guard for what has to be done once when the server retires: the drain waits for it as for a client.
    ///
    /// Unlike a client and [`keep_alive`](ServerHandle::keep_alive) it keeps no server from retiring. Take it where the
    /// handler is built, await [`Closing::retiring`] in a task or a thread, do the work, and drop it. The work has until
    /// the end of [`Limits::drain`](crate::Limits::drain). A task on the handlers' thread (`spawn_local`) is dropped then;
    /// code elsewhere, as of a program with a [`Listener`](crate::Listener), keeps the lifetime lock until the process
    /// exits. The clients that are left are served meanwhile.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Stream};
    /// # async fn save(why: rendezvous_ipc::Retiring) {}
    /// # let context = Context::new("org.example.store")?;
    /// let service = Descriptor::new(&context, "store")?.stream_handler(async |server| {
    ///     let closing = server.closing();
    ///     tokio::task::spawn_local(async move {
    ///         let why = closing.retiring().await;
    ///         save(why).await;
    ///     });
    ///     Ok(async |_peer, _stream: Stream| {})
    /// });
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    pub fn closing(&self) -> Closing {
        Closing { _closes: (self.server.closing)(), server: self.clone() }
    }

    /// Waits as [`retiring`](ServerHandle::retiring) does, and blocks the thread meanwhile. Do not call it in async code.
    pub fn retiring_blocking(&self) -> Retiring {
        park::wait(self.retiring())
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("context", &self.context).finish_non_exhaustive()
    }
}

/// A guard that keeps an idle server alive until it is dropped: see [`ServerHandle::keep_alive`].
#[must_use = "dropped, it keeps nothing"]
pub struct KeepAlive {
    _kept: Box<dyn Any + Send + Sync>,
}

impl KeepAlive {
    pub(crate) fn new(kept: impl Any + Send + Sync) -> Self {
        KeepAlive { _kept: Box::new(kept) }
    }
}

impl fmt::Debug for KeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeepAlive")
    }
}

/// A guard for which a drain waits until it is dropped: see [`ServerHandle::closing`].
#[must_use = "dropped, the drain does not wait for it"]
pub struct Closing {
    _closes: Box<dyn Any + Send + Sync>,
    server: ServerHandle,
}

impl Closing {
    /// Waits until the server retires, and returns why: see [`ServerHandle::retiring`].
    ///
    /// # Cancel safety
    /// The future can be dropped at any time, and the call repeated.
    pub fn retiring(&self) -> impl Future<Output = Retiring> + Send + use<> {
        self.server.retiring()
    }

    /// Waits as [`retiring`](Closing::retiring) does, and blocks the thread meanwhile. Do not call it in async code.
    pub fn retiring_blocking(&self) -> Retiring {
        self.server.retiring_blocking()
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closing")
    }
}

/// What a session returns: `()`, or a `Result<(), E>` with any error that a [`BoxError`] can be made of.
///
/// An error ends its connection, as every end of a session does. The server logs it as a warning, with the number and
/// the process of the client.
pub trait SessionResult: sealed::IntoResult {}

impl<T: sealed::IntoResult> SessionResult for T {}

mod sealed {
    use super::BoxError;

    pub trait IntoResult {
        fn into_result(self) -> Result<(), BoxError>;
    }

    impl IntoResult for () {
        fn into_result(self) -> Result<(), BoxError> {
            Ok(())
        }
    }

    impl<E: Into<BoxError>> IntoResult for Result<(), E> {
        fn into_result(self) -> Result<(), BoxError> {
            self.map_err(Into::into)
        }
    }
}

/// How many sessions run at once if each has a thread and [`Limits::max_clients`] sets no number.
const THREADS: usize = 512;

/// The closure that builds a handler. A server calls it once.
#[derive(Clone)]
pub(crate) struct Factory {
    build: Arc<dyn Fn(ServerHandle) -> LocalFuture<Result<Sessions, BoxError>> + Send + Sync>,
    /// How many sessions may run at once if the limits do not say.
    most: Option<usize>,
}

impl Factory {
    pub(crate) fn new<B, S, R>(build: B) -> Self
    where
        B: AsyncFn(ServerHandle) -> Result<S, BoxError> + Send + Sync + 'static,
        S: AsyncFn(Peer, Stream) -> R + 'static,
        R: SessionResult,
    {
        let build = Arc::new(build);
        Factory::of(move |start| {
            let build = build.clone();
            Box::pin(async move { Ok(sessions(build(start).await?)) })
        })
    }

    /// Returns a factory of sessions that have a thread each.
    pub(crate) fn threads<B, S, R>(build: B) -> Self
    where
        B: Fn(ServerHandle) -> Result<S, BoxError> + Send + Sync + 'static,
        S: Fn(Peer, BlockingStream) -> R + Send + Sync + 'static,
        R: SessionResult,
    {
        let build = Arc::new(build);
        let factory = Factory::of(move |start| {
            let build = build.clone();
            Box::pin(async move { Ok(threads::sessions(build(start)?)) })
        });
        Factory { most: Some(THREADS), ..factory }
    }

    fn of(build: impl Fn(ServerHandle) -> LocalFuture<Result<Sessions, BoxError>> + Send + Sync + 'static) -> Self {
        Factory { build: Arc::new(build), most: None }
    }

    /// Returns the limits of a server with this handler.
    pub(crate) fn limits(&self, limits: Limits) -> Limits {
        Limits { max_clients: limits.max_clients.or(self.most), ..limits }
    }

    /// Returns a factory for a program that serves once.
    pub(crate) fn once<B, S, R>(build: B) -> Self
    where
        B: AsyncFnOnce(ServerHandle) -> Result<S, BoxError> + Send + 'static,
        S: AsyncFn(Peer, Stream) -> R + 'static,
        R: SessionResult,
    {
        let build = Mutex::new(Some(build));
        Factory::of(move |start| {
            let build = build.lock().unwrap_or_else(PoisonError::into_inner).take();
            Box::pin(async move {
                let build = build.ok_or_else(|| Error::missing("the closure that builds the handler"))?;
                Ok(sessions(build(start).await?))
            })
        })
    }

    /// Builds the handler.
    pub(crate) fn build(&self, start: ServerHandle) -> LocalFuture<Result<Sessions, BoxError>> {
        (self.build)(start)
    }
}

fn sessions<S, R>(session: S) -> Sessions
where
    S: AsyncFn(Peer, Stream) -> R + 'static,
    R: SessionResult,
{
    let session = Rc::new(session);
    Rc::new(move |peer, stream| {
        let session = session.clone();
        Box::pin(async move { session(peer, stream).await.into_result() })
    })
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Factory(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_in_threads_are_limited_though_the_limits_set_no_number() {
        let async_sessions = Factory::new(async |_server| Ok(async |_peer, _stream| {}));
        let threads = Factory::threads(|_server| Ok(|_peer, _stream| {}));
        for (max_clients, of_async, of_threads) in [
            (None, None, Some(THREADS)),
            (Some(8), Some(8), Some(8)),
            (Some(THREADS + 1), Some(THREADS + 1), Some(THREADS + 1)),
        ] {
            let limits = Limits { max_clients, ..Limits::default() };
            assert_eq!(async_sessions.limits(limits).max_clients, of_async);
            assert_eq!(threads.limits(limits).max_clients, of_threads);
        }
    }
}
