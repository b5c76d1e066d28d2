//! What is needed to reach or to start one service.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::context::{self, Context};
use crate::driver::{self, Connection, Factory, Peer, Retired, Start, Status, Stream};
use crate::error::{BoxError, Error};
use crate::limits::Limits;
use crate::proto::connect::Policy;
use crate::service::{Program, Service};

/// One service: where it lives, how it is started, and what handles its clients.
///
/// The same value serves both sides. A client calls [`connect`](Descriptor::connect); the program that it starts
/// builds the same descriptor and calls [`serve`](Descriptor::serve).
#[derive(Clone, Debug)]
pub struct Descriptor {
    service: Service,
    factory: Option<Factory>,
}

/// What stands behind the point's name for the life file. Frozen for all formats to come.
const LIFE: &str = "life";
/// What stands behind the point's name for the log.
const LOG: &str = "log";

impl Descriptor {
    /// Describes the service `name` of a context. Touches no file.
    ///
    /// # Errors
    /// [`Error::Usage`] where `name` is not one path component, or ends in `.life` or `.log`.
    pub fn new(context: &Context, name: &str) -> Result<Self, Error> {
        context::component(name)?;
        if [LIFE, LOG].iter().any(|suffix| name.rsplit_once('.').is_some_and(|(_, end)| end == *suffix)) {
            return Err(Error::Usage(format!("{name:?} cannot name a service: it ends as its other files do")));
        }
        let path = |suffix| context.home().join(format!("{name}.{suffix}"));
        let service = Service {
            context: context.clone(),
            point: context.home().join(name),
            life: path(LIFE),
            log: path(LOG),
            limits: Limits::default(),
            version: 0,
            newest: u32::MAX,
            program: None,
        };
        Ok(Descriptor { service, factory: None })
    }

    /// The service is served by a program of its own: absolute, or relative to the context's lib directory.
    ///
    /// It is run with these arguments, then the context's (`--home`, `--lib`), then `--spawned`, in the context's
    /// home directory, and has to call [`serve`](Descriptor::serve).
    #[must_use]
    pub fn program<A: Into<OsString>>(mut self, path: impl Into<PathBuf>, args: impl IntoIterator<Item = A>) -> Self {
        let path = self.service.context.lib().join(path.into());
        self.service.program = Some(Program { path, args: args.into_iter().map(Into::into).collect() });
        self
    }

    /// The service is served by this program, run with these arguments: see [`program`](Descriptor::program).
    #[must_use]
    pub fn this_program<A: Into<OsString>>(self, args: impl IntoIterator<Item = A>) -> Self {
        match context::program() {
            Ok(path) => self.program(path, args),
            // The first connect that has to start it says so.
            Err(_) => self,
        }
    }

    /// Sets the limits.
    ///
    /// # Errors
    /// [`Error::Usage`] where they do not hang together; the text names the rule.
    pub fn limits(mut self, limits: Limits) -> Result<Self, Error> {
        self.service.limits = limits.checked()?;
        Ok(self)
    }

    /// The version of the service that this program offers, a number of your own that only grows. 0 unless set.
    ///
    /// A client asks a server of an older version to retire, waits until it has drained, and starts its own; a client
    /// of an older version joins. So there is no fight between two. With [`Policy::Internal`] any version is joined.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.service.version = version;
        self
    }

    /// The newest version of the service that this program understands as a client. Any unless set.
    ///
    /// A live server of a newer one is left alone: [`Error::TooNew`].
    #[must_use]
    pub fn newest(mut self, newest: u32) -> Self {
        self.service.newest = newest;
        self
    }

    /// What handles clients: each gets an authenticated stream, for a protocol of your own.
    ///
    /// `build` runs once in the server, after it holds the lifetime lock and before anyone can connect. What it
    /// answers is called for each client; its future is the client's session, and a client is counted until it ends.
    /// Sessions run side by side on one thread of their own. A panic ends its own session only; a session that
    /// blocks the thread holds up the other sessions, but no handshake.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Stream};
    /// use tokio::io::AsyncWriteExt;
    ///
    /// let service = Descriptor::new(&Context::new("org.example.greeter")?, "greeter")?
    ///     .this_program(["serve"])
    ///     .stream_handler(async |_start| {
    ///         Ok(async |_peer, mut stream: Stream| {
    ///             let _ = stream.write_all(b"hello").await;
    ///         })
    ///     });
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn stream_handler<B, S>(mut self, build: B) -> Self
    where
        B: AsyncFn(Start) -> Result<S, BoxError> + Send + Sync + 'static,
        S: AsyncFn(Peer, Stream) + 'static,
    {
        self.factory = Some(Factory::new(build));
        self
    }

    /// Connects to the server of this service, and starts it if there is none.
    ///
    /// Works from a multi-thread runtime as from a current-thread one, with I/O and time enabled. A server that lives
    /// is joined without taking any lock.
    ///
    /// # Errors
    /// [`Error`] says at which stage and what to do. Never takes longer than [`Limits::connect`].
    ///
    /// # Cancel safety
    /// Dropped at any await it leaves no lock, no child and no half-written record.
    pub async fn connect(&self) -> Result<Connection, Error> {
        self.connect_with_policy(self.service.context.policy()).await
    }

    /// Connects as [`connect`](Descriptor::connect) does, by this policy instead of the context's.
    ///
    /// # Errors
    /// As of [`connect`](Descriptor::connect); and [`Error::Usage`] for [`Policy::Internal`] without a handler.
    ///
    /// # Cancel safety
    /// As of [`connect`](Descriptor::connect).
    pub async fn connect_with_policy(&self, policy: Policy) -> Result<Connection, Error> {
        driver::connect(&self.service, policy, self.factory.as_ref()).await
    }

    /// Turns this program into the server, and returns when it has retired.
    ///
    /// Started for a client, it detaches itself from the terminal, and what it prints goes into the log beside the
    /// point. Where its caller left files open to it, it executes itself once more to be rid of them: call `serve`
    /// before anything that must not be done twice. It runs in the home directory, in a session of its own, with the
    /// umask 077, the environment of whoever happened to start it, nothing on standard input, and standard output and
    /// error in the log: print with `tracing` (with the feature `log` a subscriber is set unless there is one) or
    /// `writeln!`, for on a full disk `println!` panics. The log is emptied when it has grown to 1 MiB. Started by hand it keeps its terminal, registers itself, and ends with [`Error::AlreadyRunning`] where
    /// there is a live server already.
    ///
    /// # Errors
    /// [`Error::Usage`] without a handler, [`Error::Handler`] where it cannot be built, and whatever the system refuses.
    ///
    /// # Cancel safety
    /// Dropped, the server retires on threads of its own.
    pub async fn serve(&self) -> Result<(), Error> {
        let factory = self.factory.clone().ok_or_else(driver::no_handler)?;
        driver::serve(self.service.clone(), factory).await
    }

    /// Looks at the service: starts nothing, changes nothing.
    ///
    /// # Errors
    /// Only our own trouble is an error; whatever is found is a [`Status`].
    pub async fn inspect(&self) -> Result<Status, Error> {
        driver::inspect(&self.service).await
    }

    /// Asks the server to retire, if there is one, and returns when it is about to exit.
    ///
    /// # Errors
    /// As [`connect`](Descriptor::connect); a server that does not answer is [`Error::Unresponsive`].
    ///
    /// # Cancel safety
    /// Dropped early, the server may retire or not.
    pub async fn retire(&self) -> Result<Retired, Error> {
        driver::retire(&self.service).await
    }

    /// The path of the point.
    pub fn point(&self) -> &std::path::Path {
        &self.service.point
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Factory(…)")
    }
}
