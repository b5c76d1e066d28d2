//! What is needed to reach or to start one service.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::connection::Connection;
use crate::context::{self, Context};
#[cfg(feature = "sequoia")]
use crate::dialect::Dialect;
use crate::driver;
use crate::error::{BoxError, Error, Usage};
use crate::handler::{Factory, ServerHandle};
use crate::limits::Limits;
use crate::os::process;
use crate::peer::Peer;
use crate::policy::Policy;
use crate::service::{Program, Service};
use crate::status::{Retirement, Status, Termination};
use crate::stream::Stream;
use crate::transport::Transport;

/// One service: where it lives, how it is started, and what handles its clients.
///
/// The same value serves both sides. A client calls [`connect`](Descriptor::connect); the program that it starts
/// builds the same descriptor and calls [`serve`](Descriptor::serve).
///
/// A setter takes the descriptor and returns it, and never fails: what makes no sense is [`Error::Usage`] at the call that
/// needs it. [`Context`] has setters of the same kind, named `with_…` beside its getters.
#[derive(Clone, Debug)]
pub struct Descriptor {
    service: Service,
    factory: Option<Factory>,
}

/// What stands behind the point's name for the life file. Frozen for all formats to come.
const LIFE: &str = "life";
/// What stands behind the point's name for the log.
const LOG: &str = "log";
/// What stands at the end of a socket's name.
const SOCK: &str = "sock";

impl Descriptor {
    /// Describes the service `name` of a context. Touches no file.
    ///
    /// The descriptor holds a clone of the context, and with it the home that the context has now.
    ///
    /// # Errors
    /// [`Error::Usage`] where `name` is not one path component, or ends in `.life`, `.log` or `.sock`; [`Error::File`] where
    /// the context was given a relative home and there is no current directory.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Error};
    /// let context = Context::new("org.example.counter")?;
    /// let service = Descriptor::new(&context, "counter")?;
    /// assert_eq!(service.point(), context.home().join("counter"));
    /// assert!(matches!(Descriptor::new(&context, "../counter"), Err(Error::Usage(_))));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(context: &Context, name: &str) -> Result<Self, Error> {
        context::component(name)?;
        context.check_home()?;
        if [LIFE, LOG, SOCK].iter().any(|suffix| name.rsplit_once('.').is_some_and(|(_, end)| end == *suffix)) {
            return Err(Error::Usage(Usage::ReservedName(name.to_owned())));
        }
        let path = |suffix| context.home().join(format!("{name}.{suffix}"));
        let service = Service {
            context: context.clone(),
            point: context.home().join(name),
            life: path(LIFE),
            log: path(LOG),
            transport: Transport::default(),
            #[cfg(feature = "sequoia")]
            dialect: Dialect::default(),
            limits: Limits::default(),
            version: 0,
            newest: u32::MAX,
            program: Err(Usage::NoProgram),
        };
        Ok(Descriptor { service, factory: None })
    }

    /// The service is served by a program of its own: absolute, or relative to the context's lib directory.
    ///
    /// It is run with these arguments, then the context's (`--home`, `--lib`, and `--ephemeral` if it is that), then
    /// `--spawned`, in the context's home directory, and has to call [`serve`](Descriptor::serve). Until it does it
    /// must not print to standard output, which is where its reply is awaited.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor};
    /// let context = Context::new("org.example.counter")?.with_lib("/usr/lib/counter");
    /// // /usr/lib/counter/counterd serve --home … --lib /usr/lib/counter --spawned
    /// let service = Descriptor::new(&context, "counter")?.program("counterd", ["serve"]);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn program<A: Into<OsString>>(mut self, path: impl Into<PathBuf>, args: impl IntoIterator<Item = A>) -> Self {
        let (path, args) = (path.into(), args.into_iter().map(Into::into).collect());
        self.service.program = match self.service.context.lib().filter(|lib| lib.is_absolute()) {
            Some(lib) => Ok(Program { path: lib.join(path), args }),
            None if path.is_absolute() => Ok(Program { path, args }),
            None => Err(Usage::RelativeProgram),
        };
        self
    }

    /// The service is served by this program, run with these arguments: see [`program`](Descriptor::program).
    ///
    /// A program that was replaced by a rebuild while it runs starts the new one. Where the system does not say which
    /// program this is (there is no `/proc`), the service has none: whoever joins, looks or retires needs none, and the
    /// first connect that has to start one is [`Error::Usage`].
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{Context, Descriptor, Error};
    /// # async fn run() -> Result<(), Error> {
    /// let context = Context::from_args("org.example.counter")?;
    /// let service = Descriptor::new(&context, "counter")?.this_program(["serve"]); // and a handler
    /// if std::env::args_os().nth(1).is_some_and(|command| command == "serve") {
    ///     return service.serve().await;
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn this_program<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        match process::this_program() {
            Some(path) => self.program(path, args),
            None => {
                self.service.program = Err(Usage::UnknownProgram);
                self
            }
        }
    }

    /// By what the server is reached, which is the server's choice: a client goes by the record. A Unix socket unless set.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Transport};
    /// # let context = Context::from_args("org.example.counter")?;
    /// let service = Descriptor::new(&context, "counter")?.transport(Transport::Tcp);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.service.transport = transport;
        self
    }

    /// Speaks another protocol at this point. [`Dialect::Native`] unless set. It needs the feature `sequoia`.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Dialect};
    /// let home = "/home/ada/.sequoia";
    /// let context = Context::from_args("org.sequoia-pgp.store")?.with_home(home).with_lib("/usr/lib/sequoia");
    /// // The point and the program of a client that uses `sequoia-ipc`.
    /// let service = Descriptor::new(&context, "store.cookie")?
    ///     .dialect(Dialect::Sequoia)
    ///     .program("sequoia-store", [""; 0]);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[cfg(feature = "sequoia")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.service.dialect = dialect;
        self
    }

    /// Sets the limits. [`Limits`] says which of them the client goes by, and which the server.
    ///
    /// Limits that do not hang together are [`Error::Usage`] at the first call that needs them; the text names the rule.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Limits};
    /// # let context = Context::from_args("org.example.counter")?;
    /// let mut limits = Limits::default();
    /// limits.idle = None; // it stays
    /// let service = Descriptor::new(&context, "counter")?.limits(limits);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.service.limits = limits;
        self
    }

    /// The version of the service that this program offers, a number of your own that only grows. 0 unless set.
    ///
    /// A client asks a server of an older version to retire, waits until it has drained, and starts its own; a client
    /// of an older version joins. So there is no fight between two. With [`Policy::Internal`] an older one is joined,
    /// too, for nothing could be started in its place. A server that is started by hand replaces nobody.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor};
    /// # let context = Context::from_args("org.example.counter")?;
    /// // Offers version 3, replaces servers of 0 to 2, joins those of 3 and 4, and leaves those of 5 alone.
    /// let service = Descriptor::new(&context, "counter")?.version(3).newest(4);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.service.version = version;
        self
    }

    /// The newest version of the service that this program understands as a client. Any unless set.
    ///
    /// A live server of a newer one is left alone, whatever the policy: [`Error::TooNew`]. See
    /// [`version`](Descriptor::version).
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
    /// let service = Descriptor::new(&Context::from_args("org.example.greeter")?, "greeter")?
    ///     .this_program(["serve"])
    ///     .stream_handler(async |_server| {
    ///         Ok(async |_peer, mut stream: Stream| {
    ///             let _ = stream.write_all(b"hello").await;
    ///         })
    ///     });
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn stream_handler<B, S>(mut self, build: B) -> Self
    where
        B: AsyncFn(ServerHandle) -> Result<S, BoxError> + Send + Sync + 'static,
        S: AsyncFn(Peer, Stream) + 'static,
    {
        self.factory = Some(Factory::new(build));
        self
    }

    /// Connects to the server of this service, and starts it if there is none.
    ///
    /// Works from a multi-thread runtime as from a current-thread one, with I/O and time enabled. A server that lives
    /// is joined without taking any lock. By which policy one is started the context says.
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{Descriptor, Error, Origin};
    /// # async fn run(service: Descriptor) -> Result<(), Error> {
    /// let connection = service.connect().await?;
    /// if let Origin::StartedExternal(reason) = connection.outcome().origin {
    ///     eprintln!("a server was started: {reason}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error`] says at which stage and what to do; [the manual](crate::manual::errors) has them all. Never takes
    /// longer than [`Limits::connect`].
    ///
    /// # Cancel safety
    /// Dropped at any await it leaves no lock, no child and no half-written record.
    pub async fn connect(&self) -> Result<Connection, Error> {
        self.connect_with_policy(self.service.context.policy()).await
    }

    /// Connects as [`connect`](Descriptor::connect) does, by this policy instead of the context's.
    ///
    /// [`Policy::Robust`] without a handler is [`Policy::External`]: there is nothing to fall back to.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Origin, Policy, Stream};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rendezvous_ipc::Error> {
    /// # let context = Context::ephemeral("org.example.counter")?;
    /// let service = Descriptor::new(&context, "counter")?
    ///     .stream_handler(async |_server| Ok(async |_peer, _stream: Stream| {}));
    /// let connection = service.connect_with_policy(Policy::Internal).await?;
    /// assert_eq!(connection.outcome().origin, Origin::StartedInternal);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As of [`connect`](Descriptor::connect); and [`Error::Usage`] for [`Policy::Internal`] without a handler.
    ///
    /// # Cancel safety
    /// As of [`connect`](Descriptor::connect).
    pub async fn connect_with_policy(&self, policy: Policy) -> Result<Connection, Error> {
        driver::connect(self.service()?, policy.into(), self.factory.as_ref()).await
    }

    /// Turns this program into the server, and returns when it has retired.
    ///
    /// **Started for a client** it runs in the home directory, in a session of its own, with the umask 077, the
    /// environment of whoever happened to start it, nothing on standard input, and standard output and error in the
    /// log beside the point, which is emptied when it has grown to 1 MiB. Print with `tracing` (to the log by
    /// `log_to_stderr`, with the feature `log`) or `writeln!`, for on a full disk `println!` panics. Where its caller
    /// left files open to it, it executes itself once more to be rid of them: call `serve` before anything that must
    /// not be done twice.
    ///
    /// **Started by hand** it keeps its terminal, its directory and its umask, registers itself, tells a service
    /// manager that listens at `NOTIFY_SOCKET`, and ends with [`Error::AlreadyRunning`] where there is a live server
    /// already, of whatever version.
    ///
    /// SIGTERM and SIGINT have it retire; a second one ends its wait for clients. They stay taken from this process
    /// when `serve` has returned: let it be the last thing that a program does. Started for a client it blocks no signals,
    /// and neither SIGHUP nor the signal of a timer ends it.
    ///
    /// It runs on threads of its own, so any executor will do. [The manual](crate::manual::life_of_a_server) has more.
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{Context, Descriptor, Error, Stream};
    /// #[tokio::main]
    /// async fn main() -> Result<(), Error> {
    ///     let context = Context::from_args("org.example.counter")?;
    ///     let service = Descriptor::new(&context, "counter")?
    ///         .stream_handler(async |_server| Ok(async |_peer, _stream: Stream| {}));
    ///     service.serve().await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::Usage`] without a handler; [`Error::Handler`] where it cannot be built, or not within
    /// [`Limits::start`]; and whatever the system refuses. Started for a client, that client is told the same. By hand
    /// also [`Error::AlreadyRunning`], and what keeps anybody from telling whether a server lives, as of
    /// [`connect`](Descriptor::connect).
    ///
    /// # Cancel safety
    /// Dropped, the server retires on threads of its own; when it is through is not told.
    pub async fn serve(&self) -> Result<(), Error> {
        let factory = self.factory.clone().ok_or(Error::Usage(Usage::NoHandler))?;
        driver::serve(self.service()?.clone(), factory).await
    }

    /// Looks at the service: starts nothing, changes nothing.
    ///
    /// Takes some milliseconds, or up to [`Limits::patience`] where somebody does not answer.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Status};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rendezvous_ipc::Error> {
    /// # let context = Context::ephemeral("org.example.counter")?;
    /// let service = Descriptor::new(&context, "counter")?;
    /// assert_eq!(service.inspect().await?, Status::Absent);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Only our own trouble is an error; whatever is found is a [`Status`].
    ///
    /// # Cancel safety
    /// Nothing is held at an await.
    pub async fn inspect(&self) -> Result<Status, Error> {
        driver::inspect(self.service()?).await
    }

    /// Asks the server to retire, if there is one, and returns when it is about to exit.
    ///
    /// Where there is none it waits for one that drains, so that after it nobody is there.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Retirement};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rendezvous_ipc::Error> {
    /// # let context = Context::ephemeral("org.example.counter")?;
    /// let service = Descriptor::new(&context, "counter")?;
    /// assert_eq!(service.retire().await?, Retirement::NoServer);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As of [`connect`](Descriptor::connect), but that nothing is started; a server that does not answer is
    /// [`Error::Unresponsive`], one that was told and is still there [`Error::Deadline`]. That takes
    /// [`Limits::connect`] at most to tell it, and then twice [`Limits::drain`] and [`Limits::patience`].
    ///
    /// # Cancel safety
    /// Dropped early, the server may retire or not.
    pub async fn retire(&self) -> Result<Retirement, Error> {
        driver::retire(self.service()?).await
    }

    /// Ends a server that does not answer, and returns when it is gone. A connect never does that by itself.
    ///
    /// It is the choice of a user, or of a program that knows its server, after [`Error::Unresponsive`]: what the
    /// server has in memory is lost, and its clients with it. A server that answers within [`Limits::patience`] is
    /// left alone. One that holds its lifetime lock and does not, three times in a row, is killed by SIGKILL if it makes no
    /// progress: it was stopped all the time, or its serving thread got no CPU time, or the queue at its port was
    /// full and nobody was accepted. The answer says which. What its handler has started goes on. Nothing else is
    /// changed: the next connect finds the server gone.
    ///
    /// A server that does not answer and shows none of these signs is left alone, too: [`Error::NotHung`]. It may be well, and
    /// others crowd its port. It takes three times [`Limits::patience`] to tell.
    ///
    /// The process is named by a pidfd and by its start, so that a number that was given away hits nobody; where a
    /// system has no pidfd (Linux before 5.3, other Unix) nothing is killed, nor where the server is in another PID namespace than this process. That the lifetime lock is free afterwards
    /// shows that the server is gone.
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{Connection, Descriptor, Error};
    /// async fn connect_at_any_price(service: &Descriptor) -> Result<Connection, Error> {
    ///     match service.connect().await {
    ///         Err(Error::Unresponsive { .. }) => {
    ///             eprintln!("{}", service.end_unresponsive().await?); // ended: pid 4711, for it was stopped
    ///             service.connect().await
    ///         }
    ///         connected => connected,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unidentified`] where the process cannot be told from others for certain, [`Error::NotHung`] where it may be
    /// well: nothing was killed then.
    /// [`Error::Deadline`] at *Lock* where somebody held the point lock for all of [`Limits::connect`], and at *Kill*
    /// where the lifetime lock was not free [`Limits::drain`] after the kill. Else our own trouble.
    ///
    /// # Cancel safety
    /// Dropped early, the server was killed or not. No lock is left.
    pub async fn end_unresponsive(&self) -> Result<Termination, Error> {
        driver::end_unresponsive(self.service()?).await
    }

    /// The path of the point: the file that names the service. It may be looked at, and left alone.
    pub fn point(&self) -> &std::path::Path {
        &self.service.point
    }

    /// Returns the service, if its limits hang together.
    fn service(&self) -> Result<&Service, Error> {
        self.service.limits.check()?;
        Ok(&self.service)
    }

    /// The path of the life file.
    #[cfg(feature = "test-util")]
    pub(crate) fn life(&self) -> &std::path::Path {
        &self.service.life
    }
}
