//! The request to retire, shared by all threads of a server.

use std::time::Duration;

use super::clock::now;
use super::sync::watch;
use crate::proto::serving::{self as machine, Cause, Retire};

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

    /// Requests the retirement as the program does that ends its own part of the server.
    pub(super) fn leave(&self) {
        self.0.send_if_modified(|shutdown| shutdown.leave(now()));
    }

    /// Requests it for a client that starts a server of this version instead, or none if it is 0.
    pub(super) fn replace(&self, by: u32) {
        self.0.send_if_modified(|shutdown| shutdown.replace(by, now()));
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

    /// Announces to the handler that the server admits no client any more.
    pub(super) fn announce(&self, why: Retire) {
        self.0.send_if_modified(|shutdown| shutdown.announce(why));
    }

    /// Waits until that is announced, and returns why the server retires.
    pub(super) async fn announced(&self) -> Cause {
        loop {
            // It cannot fail: the sender is here.
            if let Ok(shutdown) = self.0.subscribe().wait_for(|shutdown| shutdown.announced().is_some()).await
                && let Some(cause) = shutdown.announced()
            {
                return cause;
            }
        }
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
