//! A connect for programs without a runtime.

use tokio::runtime::{Handle, LocalRuntime};

use crate::connection::Connection;
use crate::descriptor::Descriptor;
use crate::driver::local_runtime;
use crate::error::{Error, Usage};
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
        if Handle::try_current().is_ok() {
            return Err(Error::Usage(Usage::WithinRuntime));
        }
        let runtime = local_runtime().map_err(Error::system(Stage::Read))?;
        let connection = runtime.block_on(self.connect())?;
        Ok(BlockingConnection { connection, runtime })
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
