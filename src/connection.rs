//! A connection to a server, and how it came about.

use std::fmt;

use crate::outcome::Outcome;
use crate::stream::Stream;

/// An authenticated connection to a server that counts this client.
///
/// It is `Send`, and dropping it ends it. Nothing is sent on it by itself, so nothing tells that it has ended but its
/// use. With the feature `capnp`, `run` and `bootstrap` speak Cap'n Proto on it.
///
/// ```no_run
/// # use rendezvous_ipc::{Descriptor, Error};
/// # async fn run(service: Descriptor) -> Result<(), Error> {
/// let connection = service.connect().await?;
/// println!("{}", connection.outcome()); // joined an external server: pid 4711
/// let stream = connection.into_stream();
/// # Ok(()) }
/// ```
pub struct Connection {
    pub(crate) stream: Stream,
    pub(crate) outcome: Outcome,
}

impl Connection {
    /// How this client came to its server. Clone it to keep it: what uses the connection consumes it.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The authenticated stream, for a protocol of your own. Dropping it ends the connection.
    pub fn into_stream(self) -> Stream {
        self.stream
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
