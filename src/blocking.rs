//! A connect and a join for programs without a runtime.

use tokio::runtime::{Handle, LocalRuntime};

use crate::connection::Connection;
use crate::descriptor::Descriptor;
use crate::driver::local_runtime;
use crate::error::{Error, Usage};
use crate::join::Join;
use crate::outcome::Outcome;
use crate::stage::Stage;
use crate::stream::{BlockingStream, Stream};

impl Descriptor {
    /// Connects as [`connect`](Descriptor::connect) does, from a program without a runtime.
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{Context, Descriptor};
    /// use tokio::io::AsyncReadExt;
    ///
    /// let service = Descriptor::new(&Context::new("org.example.greeter")?, "greeter")?.program("greeter", ["serve"]);
    /// let connection = service.connect_blocking()?;
    /// println!("{}", connection.outcome());
    /// let greeting = connection.with_stream(async |mut stream| {
    ///     let mut greeting = String::new();
    ///     stream.read_to_string(&mut greeting).await.map(|_| greeting)
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`connect`](Descriptor::connect); and [`Error::Usage`] within a runtime, which the call would block.
    pub fn connect_blocking(&self) -> Result<BlockingConnection, Error> {
        let runtime = own_runtime()?;
        let connection = runtime.block_on(self.connect())?;
        Ok(BlockingConnection { connection, runtime })
    }

    /// Joins as [`join`](Descriptor::join) does, from a program without a runtime.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Join};
    /// # let context = Context::ephemeral("org.example.greeter")?;
    /// let service = Descriptor::new(&context, "greeter")?;
    /// match service.join_blocking()? {
    ///     Join::Joined(connection) => println!("{}", connection.outcome()),
    ///     Join::Absent => println!("no greeter is running"),
    /// }
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`join`](Descriptor::join); and [`Error::Usage`] within a runtime, which the call would block.
    pub fn join_blocking(&self) -> Result<Join<BlockingConnection>, Error> {
        let runtime = own_runtime()?;
        Ok(match runtime.block_on(self.join())? {
            Join::Joined(connection) => Join::Joined(BlockingConnection { connection, runtime }),
            Join::Absent => Join::Absent,
        })
    }
}

/// Returns a runtime for this call, which blocks the thread.
fn own_runtime() -> Result<LocalRuntime, Error> {
    match Handle::try_current() {
        Ok(_) => Err(Error::Usage(Usage::WithinRuntime)),
        Err(_) => local_runtime().map_err(Error::system(Stage::Read)),
    }
}

/// A [`Connection`] with the runtime that drives it. It is not `Send`.
#[derive(Debug)]
pub struct BlockingConnection {
    connection: Connection,
    runtime: LocalRuntime,
}

impl BlockingConnection {
    /// Returns how this client reached its server.
    pub fn outcome(&self) -> &Outcome {
        self.connection.outcome()
    }

    /// Runs `body` with the authenticated stream, and returns its result: see [`Connection::into_stream`].
    ///
    /// It blocks the thread meanwhile. For a deadline, use [`timeout`](tokio::time::timeout) in `body`.
    pub fn with_stream<T>(self, body: impl AsyncFnOnce(Stream) -> T) -> T {
        let BlockingConnection { connection, runtime } = self;
        runtime.block_on(body(connection.into_stream()))
    }

    /// Returns the authenticated stream, for a protocol of your own without async. Dropping it ends the connection.
    ///
    /// ```no_run
    /// # use rendezvous_ipc::Descriptor;
    /// # fn run(service: &Descriptor) -> Result<(), Box<dyn std::error::Error>> {
    /// let greeting = std::io::read_to_string(service.connect_blocking()?.into_stream()?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the system.
    pub fn into_stream(self) -> std::io::Result<BlockingStream> {
        self.connection.into_stream().into_blocking()
    }

    /// Runs `body` with the server's capability, and returns its result: see [`Connection::run`], which has an example.
    ///
    /// It blocks the thread meanwhile. For a deadline, use [`timeout`](tokio::time::timeout) in `body`. It needs the
    /// feature `capnp`.
    ///
    /// # Errors
    /// [`Error::Disconnected`] if the connection ends before `body` does. A call that `body` awaits may fail first, with
    /// an error of the kind `Disconnected`; then the result is what `body` returns.
    #[cfg(feature = "capnp")]
    #[cfg_attr(docsrs, doc(cfg(feature = "capnp")))]
    pub fn run<C: capnp::capability::FromClientHook, T>(self, body: impl AsyncFnOnce(C) -> T) -> Result<T, Error> {
        let BlockingConnection { connection, runtime } = self;
        runtime.block_on(connection.run(body))
    }
}
