//! A connection to a server, with the report of how it was made.

use std::fmt;

use crate::outcome::Outcome;
use crate::stream::Stream;

/// An authenticated connection to a server that counts this client.
///
/// It is `Send`. Dropping it ends the connection. The crate sends nothing on it, so only its use shows that the server
/// has ended it. With the feature `capnp`, `run` and `bootstrap` use it for Cap'n Proto RPC.
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
    /// Returns how this client reached its server. Clone it to keep it: the methods that use the connection consume it.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Returns the authenticated stream, for a protocol of your own. Dropping the stream ends the connection.
    pub fn into_stream(self) -> Stream {
        self.stream
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
