//! What a server counts besides its clients, for its status and its handler.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that the thread that serves increments, and all threads of the server read.
#[derive(Debug, Default)]
pub(super) struct Counters {
    welcomed: AtomicU64,
    refused: AtomicU64,
    restored: AtomicU64,
}

impl Counters {
    /// Counts a client that is welcomed, and returns its number.
    pub(super) fn welcome(&self) -> u64 {
        self.welcomed.fetch_add(1, Relaxed) + 1
    }

    /// Counts a file of the server that was restored: its record, its life file or its socket.
    pub(super) fn restore(&self) {
        self.restored.fetch_add(1, Relaxed);
    }

    /// Returns how many clients were welcomed, how many connections got no welcome, and how many files were restored.
    pub(super) fn get(&self) -> (u64, u64, u64) {
        (self.welcomed.load(Relaxed), self.refused.load(Relaxed), self.restored.load(Relaxed))
    }

    /// Counts a connection as refused when the returned value is dropped, unless it is welcomed first.
    pub(super) fn arrives(&self) -> Arrived<'_> {
        Arrived { counters: self, is_welcomed: false }
    }
}

/// A connection without a welcome.
pub(super) struct Arrived<'a> {
    counters: &'a Counters,
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
