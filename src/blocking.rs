//! The calls of programs that block their thread: they need no runtime, and work in any thread.

#[cfg(feature = "tokio")]
mod served;
mod stream;

use std::fmt;

pub use self::stream::BlockingStream;
use crate::descriptor::Descriptor;
use crate::driver::blocking;
use crate::error::Error;
use crate::join::Join;
use crate::outcome::Outcome;
use crate::status::{Retirement, Status, Termination};

impl Descriptor {
    /// Connects as `connect` does, and blocks the thread meanwhile. It starts a server if there is none.
    ///
    /// It works in every thread, and needs no runtime: with [`Policy::External`](crate::Policy::External) it uses `std` and
    /// system calls alone. In async code call it in `tokio::task::spawn_blocking`, since it blocks. If it may have to serve
    /// in this process (`Policy::Internal`, or `Policy::Robust` with a handler), and in the dialect of sequoia, it runs in a
    /// runtime on a thread of its own. It keeps to the context's policy; `connect_with_policy` has no blocking form.
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{Context, Descriptor};
    /// let service = Descriptor::new(&Context::new("org.example.greeter")?, "greeter")?.program("greeter", ["serve"]);
    /// let connection = service.connect_blocking()?;
    /// println!("{}", connection.outcome()); // joined an external server: pid 4711
    /// let greeting = std::io::read_to_string(connection.into_stream())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error`] says at which stage the connect failed and what to do; [the manual](crate::manual::errors) lists all
    /// errors. It never takes longer than [`Limits::connect`](crate::Limits::connect).
    pub fn connect_blocking(&self) -> Result<BlockingConnection, Error> {
        #[cfg(feature = "tokio")]
        if self.speaks_by_a_runtime() || self.may_serve_here() {
            return served::by_a_runtime(async || self.connect().await.and_then(BlockingConnection::of));
        }
        blocking::connect(self.service()?)
    }

    /// Joins as `join` does, and blocks the thread meanwhile. It starts no server, and creates no file.
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
    /// As for [`connect_blocking`](Descriptor::connect_blocking), except those of a start.
    pub fn join_blocking(&self) -> Result<Join<BlockingConnection>, Error> {
        #[cfg(feature = "tokio")]
        if self.speaks_by_a_runtime() {
            return served::by_a_runtime(async || match self.join().await? {
                Join::Joined(connection) => BlockingConnection::of(connection).map(Join::Joined),
                Join::Absent => Ok(Join::Absent),
            });
        }
        blocking::join(self.service()?)
    }

    /// Returns the state of the service, as `inspect` does, and blocks the thread meanwhile. It starts nothing and changes
    /// nothing.
    ///
    /// It takes some milliseconds, or up to [`Limits::patience`](crate::Limits::patience) if the server does not answer.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Status};
    /// # let context = Context::ephemeral("org.example.greeter")?;
    /// let service = Descriptor::new(&context, "greeter")?;
    /// assert_eq!(service.inspect_blocking()?, Status::Absent);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    ///
    /// # Errors
    /// A local error, such as a file that cannot be opened. All that is found out about a server is a [`Status`].
    pub fn inspect_blocking(&self) -> Result<Status, Error> {
        #[cfg(feature = "tokio")]
        if self.speaks_by_a_runtime() {
            return served::by_a_runtime(async || self.inspect().await);
        }
        blocking::inspect(self.service()?)
    }

    /// Requests that the server retire, as `retire` does, and blocks the thread until the server is about to exit.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor, Retirement};
    /// # let context = Context::ephemeral("org.example.greeter")?;
    /// let service = Descriptor::new(&context, "greeter")?;
    /// assert_eq!(service.retire_blocking()?, Retirement::NoServer);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for `retire`, which has the times, too.
    pub fn retire_blocking(&self) -> Result<Retirement, Error> {
        #[cfg(feature = "tokio")]
        if self.speaks_by_a_runtime() {
            return served::by_a_runtime(async || self.retire().await);
        }
        blocking::retire(self.service()?)
    }

    /// Kills a server that does not answer, as `end_unresponsive` does, and blocks the thread until it is gone.
    ///
    /// Call it after [`Error::Unresponsive`], if the user or a program that knows the server decides so. A server that
    /// answers, or that may still work, is left alone.
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{BlockingConnection, Descriptor, Error};
    /// fn connect_at_any_price(service: &Descriptor) -> Result<BlockingConnection, Error> {
    ///     match service.connect_blocking() {
    ///         Err(Error::Unresponsive { .. }) => {
    ///             eprintln!("{}", service.end_unresponsive_blocking()?); // ended: pid 4711, for it was stopped
    ///             service.connect_blocking()
    ///         }
    ///         connected => connected,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As for `end_unresponsive`, which has the times, too.
    pub fn end_unresponsive_blocking(&self) -> Result<Termination, Error> {
        #[cfg(feature = "tokio")]
        if self.speaks_by_a_runtime() {
            return served::by_a_runtime(async || self.end_unresponsive().await);
        }
        blocking::end_unresponsive(self.service()?)
    }
}

/// An authenticated connection of a thread that blocks, to a server that counts this client.
///
/// It is `Send`. Dropping it ends the connection.
pub struct BlockingConnection {
    pub(crate) stream: BlockingStream,
    pub(crate) outcome: Outcome,
}

impl BlockingConnection {
    /// Returns how this client reached its server. Clone it to keep it: [`into_stream`](Self::into_stream) consumes it.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Returns the authenticated stream, for a protocol of your own. Dropping the stream ends the connection.
    pub fn into_stream(self) -> BlockingStream {
        self.stream
    }
}

impl fmt::Debug for BlockingConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingConnection").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
