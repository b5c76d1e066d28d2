//! What a connection keeps.

use std::any::Any;
use std::sync::Arc;

use crate::ephemeral::Ephemeral;

/// The values that must live as long as a connection is used. On the server's side that is the count of the client; on
/// the client's, the internal server and the ephemeral context.
#[derive(Default)]
pub(crate) struct Keeps {
    /// Keeps the client counted. Its session has the other clone.
    pub(crate) counted: Option<Arc<dyn Any + Send + Sync>>,
    /// The lease of an internal server. Dropping it ends this use of the server.
    pub(crate) lease: Option<Box<dyn Any + Send + Sync>>,
    pub(crate) _context: Option<Arc<Ephemeral>>,
}
