//! Connecting from a program without a runtime.

use tokio::runtime::{Handle, LocalRuntime};

use crate::connection::Connection;
use crate::descriptor::Descriptor;
use crate::driver::local_runtime;
use crate::error::{Error, Usage};
use crate::outcome::Outcome;
use crate::stage::Stage;
use crate::stream::Stream;

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
    /// As of [`connect`](Descriptor::connect); and [`Error::Usage`] within a runtime, which it would block.
    pub fn connect_blocking(&self) -> Result<BlockingConnection, Error> {
        if Handle::try_current().is_ok() {
            return Err(Error::Usage(Usage::WithinRuntime));
        }
        let runtime = local_runtime().map_err(Error::system(Stage::Read))?;
        let connection = runtime.block_on(self.connect())?;
        Ok(BlockingConnection { connection, runtime })
    }
}

/// A [`Connection`], and the runtime that it lives in. It stays in its thread.
#[derive(Debug)]
pub struct BlockingConnection {
    connection: Connection,
    runtime: LocalRuntime,
}

impl BlockingConnection {
    /// How this client came to its server.
    pub fn outcome(&self) -> &Outcome {
        self.connection.outcome()
    }

    /// Runs `body` with the authenticated stream, to its end: see [`Connection::into_stream`].
    ///
    /// The thread is blocked meanwhile. For a deadline, put a [`timeout`](tokio::time::timeout) into `body`.
    pub fn with_stream<T>(self, body: impl AsyncFnOnce(Stream) -> T) -> T {
        let BlockingConnection { connection, runtime } = self;
        runtime.block_on(body(connection.into_stream()))
    }

    /// Runs `body` with the server's capability, to its end: see [`Connection::run`], which has an example.
    ///
    /// The thread is blocked meanwhile. For a deadline, put a [`timeout`](tokio::time::timeout) into `body`.
    ///
    /// # Errors
    /// [`Error::Disconnected`] where the connection ends before `body` does.
    #[cfg(feature = "capnp")]
    #[cfg_attr(docsrs, doc(cfg(feature = "capnp")))]
    pub fn run<C: capnp::capability::FromClientHook, T>(self, body: impl AsyncFnOnce(C) -> T) -> Result<T, Error> {
        let BlockingConnection { connection, runtime } = self;
        runtime.block_on(connection.run(body))
    }
}
