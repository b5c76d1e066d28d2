//! Descriptors that a server keeps in reserve, so that it stays reachable when clients use up all others.
//!
//! A connection that arrives then is accepted on one of them. It may request the server's status or its retirement. A
//! client waits for its welcome until the reserve is full again, as it does when a server has its maximum of clients.

use std::cell::RefCell;

use tokio::time::sleep;

use super::os::file::File;
use super::os::{process, stdio};
use crate::proto::timing::ACCEPT_PAUSE;

/// As many as there are handshakes at once: each takes a millisecond.
const MOST: usize = 16;

pub(super) struct Reserve {
    kept: RefCell<Vec<File>>,
    size: usize,
}

impl Reserve {
    /// Creates the reserve of a server. It is filled when the server begins to accept.
    pub(super) fn new() -> Self {
        Reserve { kept: RefCell::default(), size: MOST.min(process::descriptors() / 8) }
    }

    /// Creates an empty reserve, for a server in a process that has other work.
    pub(super) fn none() -> Self {
        Reserve { kept: RefCell::default(), size: 0 }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Fills it as far as possible, and returns whether it is full.
    pub(super) fn fill(&self) -> bool {
        let mut kept = self.kept.borrow_mut();
        while kept.len() < self.size {
            match stdio::nowhere() {
                Ok(file) => kept.push(file),
                // If the file does not exist there is no reserve, and no client waits for it.
                Err(error) => return !process::is_shortage(&error),
            }
        }
        true
    }

    /// Waits until it is full.
    pub(super) async fn full(&self) {
        while !self.fill() {
            sleep(ACCEPT_PAUSE).await;
        }
    }

    /// Returns whether it has a descriptor to give up.
    pub(super) fn can_lend(&self) -> bool {
        !self.kept.borrow().is_empty()
    }

    /// Closes up to `files` descriptors, so that the next files can be opened. Returns whether there was one.
    pub(super) fn lend(&self, files: usize) -> bool {
        let mut kept = self.kept.borrow_mut();
        let before = kept.len();
        kept.truncate(before.saturating_sub(files));
        kept.len() < before
    }
}
