//! The handshakes that are running, and which of them is dropped if there are too many.

use std::collections::VecDeque;

use tokio::task::AbortHandle;

use crate::driver::reserve::Reserve;
use crate::proto::serving::pending::{self, Room};

/// The handshakes that are running, in the order in which their clients connected.
#[derive(Default)]
pub(super) struct Pending(VecDeque<AbortHandle>);

impl Pending {
    /// Adds a handshake to those that are running. If there are too many, the oldest is dropped.
    pub(super) fn add(&mut self, connection: AbortHandle, cap: usize) {
        // Most handshakes end in the order in which they began. Dropping the handle frees their memory.
        while self.0.front().is_some_and(AbortHandle::is_finished) {
            self.0.pop_front();
        }
        if pending::is_full(self.0.len(), cap) {
            self.forget_finished();
        }
        if pending::is_full(self.0.len(), cap) {
            self.drop_oldest();
        }
        self.0.push_back(connection);
    }

    /// Frees a descriptor for the connection that waits to be accepted. Returns whether it could.
    pub(super) fn make_room(&mut self, reserve: &Reserve) -> bool {
        self.forget_finished();
        match pending::make_room(self.0.len(), reserve.size(), reserve.can_lend()) {
            Room::Lend => reserve.lend(1),
            Room::DropOldest => self.drop_oldest(),
            Room::Nothing => false,
        }
    }

    pub(super) fn end_all(&mut self) {
        self.0.drain(..).for_each(|connection| connection.abort());
    }

    fn forget_finished(&mut self) {
        self.0.retain(|connection| !connection.is_finished());
    }

    /// Ends the oldest handshake that is not finished. Returns whether there was one.
    fn drop_oldest(&mut self) -> bool {
        while let Some(oldest) = self.0.pop_front() {
            if !oldest.is_finished() {
                oldest.abort();
                return true;
            }
        }
        false
    }
}
