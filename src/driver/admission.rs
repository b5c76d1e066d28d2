//! The admission of clients: how many are counted, and how long none has been.
//!
//! The thread that admits clients and the thread whose sessions end share it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::clock::{at, now};
use super::sync::{Mutex, MutexGuard, Notify, timeout_at};
use crate::proto::serving::{Occupancy, Retire};

/// The occupancy of a server, shared by the thread that admits and the one whose sessions end.
pub(super) struct Admission {
    state: Mutex<Occupancy>,
    changed: Notify,
}

impl Admission {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Admission { state: Mutex::new(Occupancy::new()), changed: Notify::new() })
    }

    pub(super) fn open(&self) {
        self.state().open(now());
    }

    /// Restarts the idle period.
    pub(super) fn restart_idle(&self) {
        self.state().restart_idle(now());
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().is_open()
    }

    pub(super) fn counted(&self) -> u32 {
        self.state().counted()
    }

    /// Performs *Look*, and returns whether the gate is shut now.
    pub(super) fn look(&self, why: Retire) -> bool {
        self.state().look(why)
    }

    /// Counts a client until the returned value is dropped, or refuses it.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Counted> {
        self.state().admit().then(|| Counted(self.clone()))
    }

    /// Waits until no client has been counted for `period`, by [`Occupancy::is_idle`].
    pub(super) async fn idle(&self, period: Option<Duration>, patience: Duration) {
        loop {
            // Arrivals do not notify: that would cost a wake-up per client. So this asks again when the timer is over.
            let idle_at = self.state().idle_at(period);
            match idle_at {
                None => self.changed.notified().await,
                Some(idle_at) => {
                    let is_over = timeout_at(at(idle_at), self.changed.notified()).await.is_err();
                    if is_over && self.state().is_idle(period, patience, now()) {
                        return;
                    }
                }
            }
        }
    }

    /// Keeps an idle server alive until the returned value is dropped.
    pub(super) fn keep(self: &Arc<Self>) -> Kept {
        self.state().add_reason();
        Kept(self.clone())
    }

    /// Has the drain wait until the returned value is dropped.
    pub(super) fn close(self: &Arc<Self>) -> Closes {
        self.state().add_closing();
        Closes(self.clone())
    }

    /// Returns for how much the drain waits.
    pub(super) fn remaining(&self) -> u32 {
        self.state().remaining()
    }

    /// Waits until there is nothing left to drain.
    pub(super) async fn empty(&self) {
        while self.remaining() > 0 {
            self.changed.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, Occupancy> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self, leave: impl FnOnce(&mut Occupancy) -> bool) {
        // The lock is released before the waiter is woken.
        let look_again = leave(&mut self.state());
        if look_again {
            self.changed.notify_one();
        }
    }
}

/// A guard that keeps a client counted until it is dropped.
pub(super) struct Counted(Arc<Admission>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.left(|state| state.leave(now()));
    }
}

/// A guard that keeps an idle server alive until it is dropped.
pub(super) struct Kept(Arc<Admission>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.left(|state| state.drop_reason(now()));
    }
}

/// A guard for which the drain waits until it is dropped.
pub(super) struct Closes(Arc<Admission>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.left(Occupancy::drop_closing);
    }
}
