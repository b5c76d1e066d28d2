//! What the threads of a server share: the gate at which clients are counted, and whether it was told to retire.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::clock::{at, now};
use super::sync::{Mutex, MutexGuard, Notify, timeout_at, watch};
use crate::proto::serving::{Occupancy, Retire, Shutdown};

/// Whether somebody asked for the server's retirement, and when first.
#[derive(Clone)]
pub(super) struct Told(watch::Sender<Shutdown>);

impl Told {
    pub(super) fn new() -> Self {
        Told(watch::Sender::new(Shutdown::new()))
    }

    pub(super) fn tell(&self) {
        self.0.send_if_modified(|shutdown| shutdown.request(now()));
    }

    /// Takes a signal: the first asks for the retirement, another for the end of the drain.
    pub(super) fn signal(&self) {
        self.0.send_if_modified(|shutdown| shutdown.signal(now()));
    }

    /// Returns when somebody asked for it, also if that was long ago.
    pub(super) async fn told(&self) {
        // It cannot fail: the sender is here.
        let _ = self.0.subscribe().wait_for(|shutdown| shutdown.requested().is_some()).await;
    }

    /// Returns when the clients that are left are not to be waited for.
    pub(super) async fn forced(&self) {
        let _ = self.0.subscribe().wait_for(Shutdown::is_forced).await;
    }

    pub(super) fn at(&self) -> Option<Duration> {
        self.0.borrow().requested()
    }

    pub(super) fn is_forced(&self) -> bool {
        self.0.borrow().is_forced()
    }
}

/// The occupancy of a server, shared by the thread that admits and the one whose sessions end.
pub(super) struct Hall {
    state: Mutex<Occupancy>,
    changed: Notify,
}

impl Hall {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Hall { state: Mutex::new(Occupancy::new()), changed: Notify::new() })
    }

    pub(super) fn open(&self) {
        self.state().open(now());
    }

    /// The idle period begins anew.
    pub(super) fn rest(&self) {
        self.state().rest(now());
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().is_open()
    }

    pub(super) fn counted(&self) -> u32 {
        self.state().counted()
    }

    /// *Look*: whether the gate is shut now.
    pub(super) fn look(&self, why: Retire) -> bool {
        self.state().look(why)
    }

    /// Counts a client for as long as the answer lives, or refuses it.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Counted> {
        self.state().admit().then(|| Counted(self.clone()))
    }

    /// Returns when nobody has been counted for `period`, as [`Occupancy::is_idle`] has it.
    pub(super) async fn idle(&self, period: Option<Duration>, patience: Duration) {
        loop {
            // Arrivals do not notify: that would cost a wake-up for each. So it is asked again when the timer is over.
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

    /// Keeps an idle server for as long as the answer lives.
    pub(super) fn keep(self: &Arc<Self>) -> Kept {
        self.state().add_reason();
        Kept(self.clone())
    }

    /// Returns when nobody is counted.
    pub(super) async fn empty(&self) {
        while self.counted() > 0 {
            self.changed.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, Occupancy> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self, leave: impl FnOnce(&mut Occupancy) -> bool) {
        // The lock is released before anybody is woken.
        let look_again = leave(&mut self.state());
        if look_again {
            self.changed.notify_one();
        }
    }
}

/// A client is counted while this lives.
pub(super) struct Counted(Arc<Hall>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.left(|state| state.leave(now()));
    }
}

/// A reason to stay, while this lives.
pub(super) struct Kept(Arc<Hall>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.left(|state| state.drop_reason(now()));
    }
}
