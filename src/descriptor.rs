//! The description of one service, from which clients connect and servers serve.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::context::{self, Context};
#[cfg(all(feature = "tokio", feature = "sequoia"))]
use crate::dialect::Dialect;
use crate::error::{Error, Usage};
use crate::limits::Limits;
use crate::older::Older;
use crate::os::process;
use crate::proto::tag::Tag;
use crate::service::{Program, Service, Version, beside};
use crate::surroundings::{LOG, Surroundings};
use crate::transport::Transport;
use crate::waiting::{OnWait, Waiting};
#[cfg(feature = "tokio")]
use crate::{
    blocking::BlockingStream,
    connection::Connection,
    driver,
    error::BoxError,
    handler::{Factory, ServerHandle, SessionResult},
    join::Join,
    peer::Peer,
    policy::Policy,
    status::{Retirement, Status, Termination},
    stream::Stream,
    when_lost::WhenLost,
};

/// One service: where it lives, how it is started, and what handles its clients.
///
/// The same value serves both sides. A client calls [`connect`](Descriptor::connect); the program that it starts
/// builds the same descriptor and calls [`serve`](Descriptor::serve) or [`bind`](Descriptor::bind).
///
/// A setter takes the descriptor and returns it, and never fails: a wrong value is [`Error::Usage`] at the first call
/// that needs it. [`Context`] has setters of the same kind, named `with_…`.
#[derive(Clone, Debug)]
pub struct Descriptor {
    service: Service,
    #[cfg(feature = "tokio")]
    pub(crate) factory: Option<Factory>,
}

/// The suffix of the life file's name. All future formats keep it.
const LIFE: &str = "life";
/// The suffix of the older log's name.
const OLDER_LOG: &str = "log.1";
/// The suffix of a socket's name.
const SOCK: &str = "sock";

impl Descriptor {
    /// Describes the service `name` of a context. It opens and creates no file.
    ///
    /// The descriptor holds a clone of the context, and with it the home that the context has now.
    ///
    /// # Errors
    /// [`Error::Usage`] if `name` is not one path component, or ends in `.life`, `.log`, `.log.1` or `.sock`; [`Error::File`] if
    /// the home of the context is relative and there is no current directory.
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
        let ends_in = |suffix| name.strip_suffix(suffix).is_some_and(|name| name.ends_with('.'));
        if [LIFE, LOG, OLDER_LOG, SOCK].into_iter().any(ends_in) {
            return Err(Error::Usage(Usage::ReservedName(name.to_owned())));
        }
        let point = context.home().join(name);
        let service = Service {
            context: context.clone(),
            life: beside(&point, LIFE),
            log: Surroundings::default().log_of(&point),
            point,
            surroundings: Surroundings::default(),
            transport: Transport::default(),
            #[cfg(all(feature = "tokio", feature = "sequoia"))]
            dialect: Dialect::default(),
            limits: Limits::default(),
            #[cfg(feature = "tokio")]
            when_lost: WhenLost::default().machine(),
            version: Version::default(),
            newest: u32::MAX,
            on_wait: None,
            older: Older::default(),
            protocol: Ok(Tag::NONE),
            of_handler: Tag::NONE,
            program: Err(Usage::NoProgram),
        };
        Ok(Descriptor {
            service,
            #[cfg(feature = "tokio")]
            factory: None,
        })
    }

    /// Sets the program that serves the service: an absolute path, or one relative to the context's lib directory.
    ///
    /// A client runs it in the context's home directory (or other [`surroundings`](Descriptor::surroundings)), with
    /// exactly these arguments. The program has to call [`serve`](Descriptor::serve) for the point of this name. Until
    /// then it must not print to standard output, on which the client waits for its reply, nor read standard input, where
    /// context and point wait ([more](crate::manual::arguments)).
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor};
    /// let context = Context::new("org.example.counter")?.with_lib("/usr/lib/counter");
    /// // /usr/lib/counter/counterd serve
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

    /// Sets this program, with these arguments, as the one that serves the service: see
    /// [`program`](Descriptor::program).
    ///
    /// If a rebuild replaces the program while it runs, the new one is started. If the system does not report the path
    /// of this program (there is no `/proc`), the service has no program: joining, inspecting and retiring still work,
    /// and a connect that has to start a server fails with [`Error::Usage`].
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

    /// Sets what a server runs in that a client starts: environment, working directory, umask and log.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Surroundings};
    /// # let context = Context::from_args("org.example.counter")?;
    /// let surroundings = Surroundings::new().env_remove("EDITOR").current_dir("/");
    /// let service = Descriptor::new(&context, "counter")?.surroundings(surroundings);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn surroundings(mut self, surroundings: Surroundings) -> Self {
        self.service.surround(surroundings);
        self
    }

    /// Sets the transport on which the server listens. The default is a Unix socket.
    ///
    /// The server chooses the transport; a client uses the one that the record names.
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

    /// Sets the dialect of this point: how its clients and its server find and authenticate each other. The default is
    /// [`Dialect::Native`]. It needs the feature `sequoia`.
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
    #[cfg(all(feature = "tokio", feature = "sequoia"))]
    #[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.service.dialect = dialect;
        self
    }

    /// Sets the limits. [`Limits`] says which of them apply to the client, and which to the server.
    ///
    /// Limits that contradict each other are [`Error::Usage`] at the first call that needs them; its text names the
    /// rule.
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

    /// Sets what the server does when another process has its life file, or its home is gone. By default it retires.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, WhenLost};
    /// # let context = Context::from_args("org.example.shells")?;
    /// // The shells live on when the user logs out.
    /// let service = Descriptor::new(&context, "shells")?.when_lost(WhenLost::KeepSessions);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[cfg(feature = "tokio")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    #[must_use]
    pub fn when_lost(mut self, when_lost: WhenLost) -> Self {
        self.service.when_lost = when_lost.machine();
        self
    }

    /// Sets the version of the service that this program offers: a number of your own that only grows. The default is
    /// 0.
    ///
    /// A client requests that a server of an older version retire, waits until it has drained, and starts its own, or
    /// does what [`older`](Descriptor::older) says. A client of an older version than the server joins it. So two
    /// programs never replace each other in turn. With [`Policy::Internal`] a client joins an older server, too, since
    /// it could start none in its place. A server that is started by hand replaces no other.
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
        self.service.version = Version::Number(version);
        self
    }

    /// Makes each build of the program a version of its own, for development: after a rebuild the next connect replaces
    /// the running server, or does what [`older`](Descriptor::older) says.
    ///
    /// The version is the time at which the program's file was last modified, in seconds since 1970. A client looks at
    /// the file of its [`program`](Descriptor::program) at each connect, also while it still runs an older build of it
    /// itself. On Linux a server offers the time of the file that it executes, even if that was replaced since; elsewhere
    /// that of the file at its path. Of this and [`version`](Descriptor::version) the last call counts. Leave
    /// [`newest`](Descriptor::newest) out.
    ///
    /// - The program must be the executable: a wrapper or a script has another file than the server runs, so a connect
    ///   fails with [`StartFailure::Version`](crate::StartFailure::Version), or nothing is ever replaced.
    /// - A build in the same second, or a copy that keeps an older time (`cp -p`, an archive, a package of a
    ///   reproducible build), is no newer version.
    /// - If several programs share the service, the one that was built last provides the server, provided that all of
    ///   them call this. The time of a build is more than a [`version`](Descriptor::version) ever is: a build replaces the
    ///   server of such a program, and that program joins the build's. So keep the two apart, by the name or the home.
    /// - A client without a program, or whose program is missing at the moment, joins any server. A server on a system
    ///   that does not report its file fails with [`Error::Usage`].
    ///
    /// So it is not for programs that are installed: raise `version` there.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor};
    /// # let context = Context::from_args("org.example.counter")?;
    /// let service = if cfg!(debug_assertions) {
    ///     // By a name of its own: a server of an installed program is left alone.
    ///     Descriptor::new(&context, "counter-debug")?.restart_when_rebuilt()
    /// } else {
    ///     Descriptor::new(&context, "counter")?.version(3)
    /// };
    /// let service = service.this_program(["serve"]);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn restart_when_rebuilt(mut self) -> Self {
        self.service.version = Version::Build;
        self
    }

    /// Sets the newest version of the service that this program understands as a client. By default it accepts any.
    ///
    /// A connect to a live server of a newer version fails with [`Error::TooNew`] under every policy, and leaves the
    /// server alone. See [`version`](Descriptor::version).
    #[must_use]
    pub fn newest(mut self, newest: u32) -> Self {
        self.service.newest = newest;
        self
    }

    /// Sets the tag of the protocol that the service speaks on its streams: 1 to 32 printable ASCII characters without
    /// spaces, such as `build/2`. By default it is the ID of the Cap'n Proto interface of the
    /// [`handler`](Descriptor::handler), and a service without one states none.
    ///
    /// Client and server tell each other their tags. If both state one and they differ, a connect fails with
    /// [`Error::OtherProtocol`], which has both, in place of a stream on which neither side understands the other. The
    /// server is left alone. A side that states none accepts any: programs that were built before the service got its tag
    /// go on, and so do tools that only look. [`inspect`](Descriptor::inspect) and [`retire`](Descriptor::retire) are the
    /// same for all protocols, and so is the replacement of an older [`version`](Descriptor::version), by which a service
    /// may change its protocol.
    ///
    /// A tag that is not one is [`Error::Usage`] at the first call that needs it.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor};
    /// # let context = Context::from_args("org.example.counter")?;
    /// let service = Descriptor::new(&context, "counter")?.protocol("counter/2");
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn protocol(mut self, tag: &str) -> Self {
        self.service.protocol = Tag::new(tag).ok_or_else(|| Usage::Protocol(tag.to_owned()));
        self
    }

    /// Sets what a client does with a live server of an older version. By default it replaces that server.
    ///
    /// A server that a connect has started itself must offer [`version`](Descriptor::version) at least, whatever this
    /// says: otherwise it is ended, with [`StartFailure::Version`](crate::StartFailure::Version).
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Older};
    /// # let context = Context::from_args("org.example.counter")?;
    /// // Joins a server of version 2, too: this program speaks both.
    /// let service = Descriptor::new(&context, "counter")?.version(3).older(Older::Join);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn older(mut self, older: Older) -> Self {
        self.service.older = older;
        self
    }

    /// Sets a function that is called while a call waits: for a spinner, or a line on standard error.
    ///
    /// [`connect`](Descriptor::connect), [`join`](Descriptor::join), [`retire`](Descriptor::retire),
    /// [`end_unresponsive`](Descriptor::end_unresponsive), [`inspect`](Descriptor::inspect) and their blocking forms call
    /// it when something has lasted for a tenth of a second: a start, a drain, a lock, or the silence of a server. They
    /// call it again when they wait for something else, or for another process. A join of a live server and a start that
    /// is over at once do not call it, and nothing calls it after the call has returned. [`serve`](Descriptor::serve) by
    /// hand calls it until it knows whether it may serve. [The manual](crate::manual::waiting) has more.
    ///
    /// It runs in the task or thread of the call, which waits for it, so it must not block. (A blocking call that needs a
    /// runtime has a thread of its own for it.) A panic in it is a panic of the call, and [`Error::Internal`] from
    /// `serve`; no lock and no process is left.
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{Context, Descriptor, Error};
    /// # async fn run() -> Result<(), Error> {
    /// # let context = Context::from_args("org.example.counter")?;
    /// let service = Descriptor::new(&context, "counter")?.this_program(["serve"]).on_wait(|waiting| eprintln!("{waiting}"));
    /// service.connect().await?; // waiting for server 4711 to start: at most 8 s more
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn on_wait(mut self, tell: impl Fn(&Waiting) + Send + Sync + 'static) -> Self {
        self.service.on_wait = Some(OnWait::new(tell));
        self
    }
}

#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
impl Descriptor {
    /// Sets the handler of clients: it gets an authenticated stream for each, for a protocol of your own.
    ///
    /// `build` runs once in the server, after the server has taken the lifetime lock and before a client can connect.
    /// The function that it returns is called for each client. Its future is the client's session. The client is counted
    /// until both the session and its stream are gone ([more](crate::manual::life_of_a_server)). Sessions run concurrently
    /// on one thread of their own. A panic or an error ([`SessionResult`]) ends only its own session. A session that blocks
    /// the thread delays the other sessions, but no handshake.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Peer, Stream};
    /// use tokio::io::AsyncWriteExt;
    ///
    /// async fn session(_peer: Peer, mut stream: Stream) -> std::io::Result<()> {
    ///     stream.write_all(b"hello").await
    /// }
    ///
    /// let service = Descriptor::new(&Context::from_args("org.example.greeter")?, "greeter")?
    ///     .this_program(["serve"])
    ///     .stream_handler(async |_server| Ok(session));
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    ///
    /// `build` is called again if a program starts another internal server after the first, so what it captures stays
    /// in it. A clone of a captured `Arc`, or what `build` itself creates, can be moved into the sessions. A program that
    /// is the server can pass a closure that is called once to [`serve_with`](Descriptor::serve_with). For sessions on a
    /// runtime of the program's own there is [`bind`](Descriptor::bind).
    #[must_use]
    pub fn stream_handler<B, S, R>(self, build: B) -> Self
    where
        B: AsyncFn(ServerHandle) -> Result<S, BoxError> + Send + Sync + 'static,
        S: AsyncFn(Peer, Stream) -> R + 'static,
        R: SessionResult,
    {
        self.handled_by(Factory::new(build), Tag::NONE)
    }

    /// Sets the handler of clients for a program without async: each session is a function that blocks, in a thread of its
    /// own.
    ///
    /// It is as [`stream_handler`](Descriptor::stream_handler) otherwise. At most [`Limits::max_clients`] sessions run at
    /// once, and 512 if that is `None`; further clients wait for their welcome. If the system has no thread left, the
    /// connection of that client is closed, and the server logs it and lives on.
    ///
    /// Nothing can stop a thread: a session that still runs when the drain is over runs until the process exits. So let a
    /// session end when the server retires. [`ServerHandle::retiring_blocking`] waits for that, in a thread of its own, and
    /// [`shutdown`](BlockingStream::shutdown) ends the read that another thread waits in.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor};
    /// use rendezvous_ipc::{BlockingStream, Peer};
    /// use std::io::{self, Write};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let service = Descriptor::new(&Context::from_args("org.example.greeter")?, "greeter")?
    ///     .this_program(["serve"])
    ///     .thread_handler(|_server| {
    ///         let greeted = AtomicU64::new(0); // shared by all sessions
    ///         Ok(move |_peer: Peer, mut stream: BlockingStream| {
    ///             let number = greeted.fetch_add(1, Ordering::Relaxed) + 1;
    ///             writeln!(stream, "hello, client {number}")?;
    ///             Ok::<_, io::Error>(())
    ///         })
    ///     });
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn thread_handler<B, S, R>(self, build: B) -> Self
    where
        B: Fn(ServerHandle) -> Result<S, BoxError> + Send + Sync + 'static,
        S: Fn(Peer, BlockingStream) -> R + Send + Sync + 'static,
        R: SessionResult,
    {
        self.handled_by(Factory::threads(build), Tag::NONE)
    }

    /// Connects to the server of this service, and starts it if there is none.
    ///
    /// It works in a multi-thread and in a current-thread runtime, with I/O and time enabled. To join a live server it
    /// takes no lock. The context's [`policy`](Context::policy) decides how a server is started.
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
    /// [`Error`] says at which stage the connect failed and what to do; [the manual](crate::manual::errors) lists all
    /// errors. It never takes longer than [`Limits::connect`]. Outside of a runtime, or in one without I/O or time, it is
    /// [`Error::Usage`], as for all calls but [`serve`](Descriptor::serve), [`serve_with`](Descriptor::serve_with) and
    /// those that end in `_blocking`.
    ///
    /// # Cancel safety
    /// A future that is dropped at any await leaves no lock, no child and no half-written record.
    pub async fn connect(&self) -> Result<Connection, Error> {
        self.connect_with_policy(self.service.context.policy()).await
    }

    /// Connects as [`connect`](Descriptor::connect) does, by this policy instead of the context's.
    ///
    /// Without a handler, [`Policy::Robust`] acts as [`Policy::External`], since there is nothing to fall back to.
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
    /// As for [`connect`](Descriptor::connect); and [`Error::Usage`] for [`Policy::Internal`] without a handler.
    ///
    /// # Cancel safety
    /// As for [`connect`](Descriptor::connect).
    pub async fn connect_with_policy(&self, policy: Policy) -> Result<Connection, Error> {
        driver::connect(self.service()?, policy.machine(), self.factory.as_ref()).await
    }

    /// Connects to the server of this service, if there is one. It starts no server.
    ///
    /// For `list`, `kill` or a status bar. A live server is joined as [`connect`](Descriptor::connect) joins it, by the
    /// same one dial, and counts this client. Without one the result is [`Join::Absent`]. It creates and changes no
    /// file: no home, no point, no life file, and the record of a dead server stays. So it also works in a home that
    /// cannot be written. It needs neither a program nor a handler, and no [`policy`](Context::policy) applies. A server
    /// inside of a process, as of [`Policy::Internal`], has no record and is not found.
    ///
    /// A start or a drain that is in progress is waited for. A server of an older version is joined, not replaced:
    /// [`Outcome::version`](crate::Outcome::version) has its version. With [`Older::Refuse`] it is [`Error::TooOld`].
    /// One that is too new for [`newest`](Descriptor::newest) is [`Error::TooNew`]. If a person removes the point of a
    /// live server, the result is [`Join::Absent`] until the server has restored it: at once where the system reports
    /// changes, and by its next check ([`Limits::check`](field@Limits::check)) elsewhere.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Join};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rendezvous_ipc::Error> {
    /// # let context = Context::ephemeral("org.example.counter")?;
    /// let service = Descriptor::new(&context, "counter")?;
    /// assert!(matches!(service.join().await?, Join::Absent));
    /// assert!(!service.point().exists());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`connect`](Descriptor::connect), except those of a start. A server that is alive and does not answer is
    /// [`Error::Unresponsive`]. It never takes longer than [`Limits::connect`].
    ///
    /// # Cancel safety
    /// A future that is dropped at any await leaves no lock and no connection.
    pub async fn join(&self) -> Result<Join<Connection>, Error> {
        driver::join(self.service()?).await
    }

    /// Runs the server in this process, and returns when the server has retired.
    ///
    /// **Started by a client**, the server has the context of that client: its home, its lib, and whether it is ephemeral
    /// replace those of this descriptor, and [`ServerHandle::context`] has them. It runs in a session of its own, in what
    /// [`surroundings`](Descriptor::surroundings) says: by default in the home directory, with the umask 077 and the
    /// environment of that client. Standard input is empty. Standard output and error go to the
    /// [log](Descriptor::log), whose length is [bounded](crate::manual::life_of_a_server). Print with `tracing` (to the log
    /// by `log_to_stderr`, which needs the feature `log`) or `writeln!`: `println!` panics on a full disk. If the
    /// client's process left files open to the server, the server executes itself once more to close them, so call
    /// `serve` before anything that must not be done twice.
    ///
    /// **Started by hand**, the server keeps its terminal, its directory and its umask. It registers itself, notifies
    /// the service manager that listens at `NOTIFY_SOCKET`, and returns [`Error::AlreadyRunning`] if there is a live
    /// server already, of any version.
    ///
    /// **By socket activation** it cannot be started: if a service manager has opened sockets for this process
    /// (`LISTEN_PID` is its PID), the result is [`Error::Usage`].
    ///
    /// SIGTERM and SIGINT request that the server retire; a second one ends its wait for clients. Their handlers stay
    /// installed after `serve` has returned, so let `serve` be the last call of a program. A server that a client
    /// started blocks no signals, and neither SIGHUP nor the signal of a timer ends it.
    ///
    /// The server runs on threads of its own, so `serve` works in any executor. [The
    /// manual](crate::manual::life_of_a_server) has more.
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
    /// [`Error::Usage`] without a handler, in a process that was started for a service of another name, and, with
    /// [`restart_when_rebuilt`](Descriptor::restart_when_rebuilt), if the system does not report the build;
    /// [`Error::Handler`] if the handler cannot be built within [`Limits::start`]; and any error of the system. A server
    /// that a client started sends the same error to that client. A server that is started by hand can also fail with
    /// [`Error::AlreadyRunning`], and with the errors of [`connect`](Descriptor::connect) that leave open whether a server
    /// is alive.
    ///
    /// # Cancel safety
    /// If the future is dropped, the server retires on threads of its own, and nothing reports when it has.
    pub async fn serve(&self) -> Result<(), Error> {
        let factory = self.factory.clone().ok_or(Error::Usage(Usage::NoHandler)).map_err(driver::told)?;
        driver::serve(self.to_serve()?, factory).await
    }

    /// Runs the server in this process as [`serve`](Descriptor::serve) does, with a handler that is built once.
    ///
    /// It is for a program that is the server and nothing else. What `build` captures can be moved into the sessions: a
    /// database that `main` has opened, the receiver of a channel. In all else it is as for
    /// [`stream_handler`](Descriptor::stream_handler), whose closure may have to build another handler later. A handler of
    /// this descriptor is not used.
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{Context, Descriptor, Error, Peer, Stream};
    /// # struct Settings;
    /// # impl Settings { fn greeting(&self) -> &[u8] { b"hello" } }
    /// use tokio::io::AsyncWriteExt;
    ///
    /// #[tokio::main]
    /// async fn main() -> Result<(), Error> {
    ///     let context = Context::from_args("org.example.greeter")?;
    ///     let settings = Settings; // neither `Clone` nor `Sync`
    ///     Descriptor::new(&context, "greeter")?
    ///         .serve_with(async move |_server| {
    ///             Ok(async move |_peer, mut stream: Stream| stream.write_all(settings.greeting()).await)
    ///         })
    ///         .await
    /// }
    /// ```
    ///
    /// # Errors
    /// As for [`serve`](Descriptor::serve).
    ///
    /// # Cancel safety
    /// As for [`serve`](Descriptor::serve).
    pub async fn serve_with<B, S, R>(&self, build: B) -> Result<(), Error>
    where
        B: AsyncFnOnce(ServerHandle) -> Result<S, BoxError> + Send + 'static,
        S: AsyncFn(Peer, Stream) -> R + 'static,
        R: SessionResult,
    {
        driver::serve(self.to_serve()?, Factory::once(build)).await
    }

    /// Returns the state of the service. It starts nothing and changes nothing.
    ///
    /// It takes some milliseconds, or up to [`Limits::patience`] if the server does not answer.
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
    /// A local error, such as a file that cannot be opened. All that is found out about a server is a [`Status`].
    ///
    /// # Cancel safety
    /// No lock is held at an await.
    pub async fn inspect(&self) -> Result<Status, Error> {
        driver::inspect(self.service()?).await
    }

    /// Requests that the server retire, if there is one, and returns when the server is about to exit.
    ///
    /// If a server is already draining, it waits for that one, so that no server is left when it returns.
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
    /// As for [`connect`](Descriptor::connect), except those of a start. A server that does not answer is
    /// [`Error::Unresponsive`]; one that has received the request and is still there is [`Error::Deadline`]. The
    /// request takes [`Limits::connect`] at most, and the wait after it [`Limits::lock`], [`Limits::drain`] and twice
    /// [`Limits::patience`].
    ///
    /// # Cancel safety
    /// If the future is dropped early, the server may or may not retire.
    pub async fn retire(&self) -> Result<Retirement, Error> {
        driver::retire(self.service()?).await
    }

    /// Kills a server that does not answer, and returns when it is gone. A connect never does that by itself.
    ///
    /// Call it after [`Error::Unresponsive`], if the user or a program that knows the server decides so: all that the
    /// server has in memory is lost, and its clients lose their connections. A server that answers within
    /// [`Limits::patience`] is left alone. A server that holds its lifetime lock, does not answer three times in a row
    /// and makes no progress is killed by SIGKILL. It makes no progress if it was stopped all the time, if its serving
    /// thread got no CPU time, or if the queue at its port was full and no connection was accepted. The returned
    /// [`Termination`] says which. Processes that its handler has started continue. Nothing else is changed: the next
    /// connect finds the server gone.
    ///
    /// A server that does not answer and shows none of these signs is left alone as well, with [`Error::NotHung`]: it
    /// may work while other clients fill the queue at its port. That decision takes three times [`Limits::patience`].
    ///
    /// The process is identified by a pidfd and by its start time, so that another process to which its number was
    /// given is never killed. Nothing is killed on a system without pidfd (Linux before 5.3, other Unix), nor where the
    /// server is in another PID namespace than this process. A free lifetime lock then shows that the server is gone.
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
    /// [`Error::Unidentified`] if the process cannot be identified for certain, and [`Error::NotHung`] if it may still
    /// work: nothing was killed then. [`Error::Deadline`] at *Lock* if another process held the point lock for all of
    /// [`Limits::connect`], and at *Kill* if the lifetime lock was still held [`Limits::lock`] after the kill. Any
    /// other error is a local one.
    ///
    /// # Cancel safety
    /// If the future is dropped early, the server may or may not have been killed. No lock is left.
    pub async fn end_unresponsive(&self) -> Result<Termination, Error> {
        driver::end_unresponsive(self.service()?).await
    }
}

impl Descriptor {
    /// Returns the path of the point: the file that holds the record of the server. Read it if you like; do not change
    /// it.
    pub fn point(&self) -> &Path {
        &self.service.point
    }

    /// Returns the path of the log of a server that a client starts.
    pub fn log(&self) -> &Path {
        &self.service.log
    }

    /// Returns the context.
    #[cfg(feature = "tokio")]
    pub(crate) fn context(&self) -> &Context {
        &self.service.context
    }

    /// Returns whether the point uses this dialect.
    #[cfg(all(feature = "tokio", feature = "sequoia"))]
    pub(crate) fn is_of(&self, dialect: Dialect) -> bool {
        self.service.dialect == dialect
    }

    /// Returns the service, if its limits are consistent and its protocol's tag is one.
    pub(crate) fn service(&self) -> Result<&Service, Error> {
        self.service.limits.check()?;
        self.service.protocol.as_ref().map_err(|why| Error::Usage(why.clone()))?;
        Ok(&self.service)
    }

    /// Returns the service for a server. If it is wrong, the client that started this process is told.
    #[cfg(feature = "tokio")]
    pub(crate) fn to_serve(&self) -> Result<Service, Error> {
        self.service().cloned().map_err(driver::told)
    }

    /// Sets the handler and the tag of its protocol, in place of those of an earlier one.
    #[cfg(feature = "tokio")]
    pub(crate) fn handled_by(mut self, factory: Factory, tag: Tag) -> Self {
        self.factory = Some(factory);
        self.service.of_handler = tag;
        self
    }

    /// Returns the path of the life file.
    #[cfg(feature = "test-util")]
    pub(crate) fn life(&self) -> &Path {
        &self.service.life
    }
}
