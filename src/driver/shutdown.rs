//! The request to retire, shared by all threads of a server.

use std::time::Duration;

use super::clock::now;
use super::sync::watch;
use crate::proto::serving as machine;

/// Whether the server's retirement was requested, and when first.
#[derive(Clone)]
pub(super) struct Shutdown(watch::Sender<machine::Shutdown>);

impl Shutdown {
    pub(super) fn new() -> Self {
        Shutdown(watch::Sender::new(machine::Shutdown::new()))
    }

    pub(super) fn request(&self) {
        self.0.send_if_modified(|shutdown| shutdown.request(now()));
    }

    /// Takes a signal: the first requests the retirement, another forces the end of the drain.
    pub(super) fn signal(&self) {
        self.0.send_if_modified(|shutdown| shutdown.signal(now()));
    }

    /// Waits until retirement is requested. Returns at once if it was already.
    pub(super) async fn requested(&self) {
        // It cannot fail: the sender is here.
        let _ = self.0.subscribe().wait_for(|shutdown| shutdown.requested().is_some()).await;
    }

    /// Waits until the end of the drain is forced.
    pub(super) async fn forced(&self) {
        let _ = self.0.subscribe().wait_for(machine::Shutdown::is_forced).await;
    }

    pub(super) fn at(&self) -> Option<Duration> {
        self.0.borrow().requested()
    }

    pub(super) fn is_forced(&self) -> bool {
        self.0.borrow().is_forced()
    }
}
