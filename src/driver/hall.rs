//! What the threads of a server share: the gate at which clients are counted, and whether it was told to retire.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::sync::{Instant, Mutex, MutexGuard, Notify, timeout_at, watch};
use crate::proto::serving::{Gate, Retire};

/// A timer that is this late was not ours to keep: the process was stopped, or starved.
const LATE: Duration = Duration::from_millis(100);

/// Whether somebody asked for the server's retirement, and when first.
#[derive(Clone)]
pub(super) struct Told(watch::Sender<Option<Instant>>);

impl Told {
    pub(super) fn new() -> Self {
        Told(watch::Sender::new(None))
    }

    pub(super) fn tell(&self) {
        self.0.send_if_modified(|told| told.replace(told.unwrap_or_else(Instant::now)).is_none());
    }

    /// Returns when somebody asked for it, also if that was long ago.
    pub(super) async fn told(&self) {
        // It cannot fail: the sender is here.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    pub(super) fn at(&self) -> Option<Instant> {
        *self.0.borrow()
    }
}

/// The gate of a server, shared by the thread that admits and the one whose sessions end.
pub(super) struct Hall {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    gate: Gate,
    /// How many reasons a handler has to stay, besides clients.
    kept: u32,
    /// When the idle period began: at registration, and when the last client and the last reason were gone.
    empty_since: Instant,
    /// Until when those are heard out who waited while the timer was late.
    heard_out: Option<Instant>,
}

impl State {
    /// The idle period begins anew.
    fn rest(&mut self) {
        self.empty_since = Instant::now();
        self.heard_out = None;
    }

    fn is_empty(&self) -> bool {
        self.gate.counted() == 0 && self.kept == 0
    }
}

impl Hall {
    pub(super) fn new() -> Arc<Self> {
        let state = State { gate: Gate::new(), kept: 0, empty_since: Instant::now(), heard_out: None };
        Arc::new(Hall { state: Mutex::new(state), changed: Notify::new() })
    }

    pub(super) fn open(&self) {
        self.state().gate.open();
        self.rest();
    }

    /// The idle period begins anew.
    pub(super) fn rest(&self) {
        self.state().rest();
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().gate.is_open()
    }

    pub(super) fn counted(&self) -> u32 {
        self.state().gate.counted()
    }

    /// *Look*: whether the gate is shut now. A reason to stay counts as a client does.
    pub(super) fn look(&self, why: Retire) -> bool {
        let mut state = self.state();
        (why != Retire::Idle || state.kept == 0) && state.gate.look(why)
    }

    /// Counts a client for as long as the answer lives, or refuses it.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Counted> {
        self.state().gate.admit().then(|| Counted(self.clone()))
    }

    /// Returns when nobody has been counted for `period`.
    ///
    /// After a long stop or a suspended night the timer is over before those who waited meanwhile are heard: then they
    /// have `patience` to become clients.
    pub(super) async fn idle(&self, period: Option<Duration>, patience: Duration) {
        loop {
            let (empty, since, heard_out) = {
                let state = self.state();
                (state.is_empty(), state.empty_since, state.heard_out)
            };
            let Some(period) = period.filter(|_| empty) else {
                self.changed.notified().await;
                continue;
            };
            let until = heard_out.unwrap_or(since + period);
            if timeout_at(until, self.changed.notified()).await.is_ok() {
                continue;
            }
            let mut state = self.state();
            // Who comes does not say so here: it would be one more wake-up for each.
            let came = !state.is_empty() || state.heard_out.is_some() != heard_out.is_some();
            if came || heard_out.is_none() && state.empty_since.elapsed() < period {
                continue;
            }
            if heard_out.is_some() || until.elapsed() < LATE {
                return;
            }
            state.heard_out = Some(Instant::now() + patience);
        }
    }

    /// Keeps an idle server for as long as the answer lives.
    pub(super) fn keep(self: &Arc<Self>) -> Kept {
        self.state().kept += 1;
        Kept(self.clone())
    }

    /// Returns when nobody is counted.
    pub(super) async fn empty(&self) {
        while self.counted() > 0 {
            self.changed.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client is counted while this lives.
pub(super) struct Counted(Arc<Hall>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.left(|state| state.gate.leave());
    }
}

/// A reason to stay, while this lives.
pub(super) struct Kept(Arc<Hall>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.left(|state| state.kept -= 1);
    }
}

impl Hall {
    fn left(&self, leave: impl FnOnce(&mut State)) {
        let mut state = self.state();
        leave(&mut state);
        let nobody = state.gate.counted() == 0;
        if state.is_empty() {
            state.rest();
        }
        drop(state);
        if nobody {
            self.changed.notify_one();
        }
    }
}
