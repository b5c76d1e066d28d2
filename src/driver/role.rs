//! What this process is: a client, or a server that a client started.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::context;
use crate::error::{Error, Usage};

/// Whether this process, started as a server, has begun to serve.
static SERVES: AtomicBool = AtomicBool::new(false);

/// Returns an error in a process that was started as a server and does not serve yet.
///
/// A program that forgets to serve would connect, and so start itself, again and again.
pub(super) fn client_only() -> Result<(), Error> {
    match context::started_as_server() && !SERVES.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err(Error::Usage(Usage::ServerConnects)),
    }
}

/// Marks that this process, started as a server, begins to serve. It can do so once.
pub(super) fn begin_to_serve() -> Result<(), Error> {
    match SERVES.swap(true, Ordering::Relaxed) {
        false => Ok(()),
        true => Err(Error::Usage(Usage::ServesAlready)),
    }
}
