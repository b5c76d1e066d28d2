//! What a server counts besides its clients, for its status and its handler.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use crate::counters::Counters;

/// Counters that the thread that serves increments, and all threads of the server read.
#[derive(Debug, Default)]
pub(super) struct SharedCounters {
    began: OnceLock<Instant>,
    welcomed: AtomicU64,
    refused: AtomicU64,
    restored: AtomicU64,
}

impl SharedCounters {
    /// The server serves from now on.
    pub(super) fn begin(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// Counts a client that is welcomed, and returns its number.
    pub(super) fn welcome(&self) -> u64 {
        self.welcomed.fetch_add(1, Relaxed) + 1
    }

    /// Counts a file of the server that was restored: its record, its life file or its socket.
    pub(super) fn restore(&self) {
        self.restored.fetch_add(1, Relaxed);
    }

    /// Returns what a server has counted that has so many clients now.
    pub(super) fn beside(&self, clients: u32) -> Counters {
        Counters {
            uptime: self.began.get().map(Instant::elapsed).unwrap_or_default(),
            clients,
            welcomed: self.welcomed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            restored: self.restored.load(Relaxed),
        }
    }

    /// Counts a connection as refused when the returned value is dropped, unless it is welcomed first.
    pub(super) fn arrives(&self) -> Arrived<'_> {
        Arrived { counters: self, is_welcomed: false }
    }
}

/// A connection without a welcome.
pub(super) struct Arrived<'a> {
    counters: &'a SharedCounters,
    is_welcomed: bool,
}

impl Arrived<'_> {
    /// The connection got its welcome.
    pub(super) fn welcomed(&mut self) {
        self.is_welcomed = true;
    }
}

impl Drop for Arrived<'_> {
    fn drop(&mut self) {
        if !self.is_welcomed {
            self.counters.refused.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_connection_counts_as_refused_unless_it_is_welcomed() {
        let counters = SharedCounters::default();
        drop(counters.arrives());
        let mut arrived = counters.arrives();
        assert_eq!((counters.beside(0).refused, counters.welcome()), (1, 1), "neither is known yet");
        arrived.welcomed();
        drop(arrived);
        drop(counters.arrives());
        let expected = Counters { welcomed: 1, refused: 2, ..Counters::default() };
        assert_eq!(counters.beside(0), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_uptime_begins_when_the_server_serves() {
        let counters = SharedCounters::default();
        let second = Duration::from_secs(1);
        tokio::time::advance(second).await;
        assert_eq!(counters.beside(3), Counters { clients: 3, ..Counters::default() });
        counters.begin();
        tokio::time::advance(second).await;
        counters.begin();
        assert_eq!(counters.beside(0).uptime, second);
    }
}
