//! Descriptors that a server keeps to itself, so that it can be reached when all others are taken.
//!
//! Clients may take all but these. A connection that arrives then is accepted on one of them. It may ask for the
//! server's status or have it retire; a client waits for its welcome, as in a full house, until the reserve is whole
//! again.

use std::cell::RefCell;
use std::fs::File;

use tokio::time::sleep;

use super::os::{process, stdio};
use crate::proto::timing::ACCEPT_PAUSE;

/// For as many handshakes as go on at once: each takes a millisecond.
const MOST: usize = 16;

pub(super) struct Reserve {
    kept: RefCell<Vec<File>>,
    size: usize,
}

impl Reserve {
    /// That of a server, filled when it begins to accept.
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

    /// Fills it, as far as that can be; answers whether it is full.
    pub(super) fn fill(&self) -> bool {
        let mut kept = self.kept.borrow_mut();
        while kept.len() < self.size {
            match stdio::nowhere() {
                Ok(file) => kept.push(file),
                // Where there is no such file at all there is no reserve, and nobody waits for it.
                Err(error) => return !process::is_shortage(&error),
            }
        }
        true
    }

    /// Returns when it is full.
    pub(super) async fn full(&self) {
        while !self.fill() {
            sleep(ACCEPT_PAUSE).await;
        }
    }

    /// Whether there is one to give up.
    pub(super) fn can_lend(&self) -> bool {
        !self.kept.borrow().is_empty()
    }

    /// Closes so many, as far as there are any, so that whatever is opened next has room. Answers whether there was
    /// one.
    pub(super) fn lend(&self, files: usize) -> bool {
        let mut kept = self.kept.borrow_mut();
        let before = kept.len();
        kept.truncate(before.saturating_sub(files));
        kept.len() < before
    }
}
