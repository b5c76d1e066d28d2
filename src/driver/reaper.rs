//! The thread that waits for a child's end and reaps it, and the handle by which the child can be killed until then.

use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, PoisonError};

use super::os::process::{self, Child};
use super::sync::{Mutex, MutexGuard};

/// A process that may be killed until the reaper saw its end: its number may be another's from then on, even
/// unreaped by us, where the host ignores the signal of a child's end.
#[derive(Clone)]
pub(super) struct Process(Arc<Mutex<State>>);

struct State {
    child: Child,
    ended: bool,
}

impl Process {
    /// Starts the thread that waits for a child's end and reaps it, however long that takes. It reports how the child
    /// ends, if the system says so.
    ///
    /// # Errors
    /// There is no thread. The child, whose program may have run for a moment, is killed, and reaped if it ends within
    /// 200 ms. The caller's thread sleeps until then.
    pub(super) fn reaped(child: Child, report: impl FnOnce(Option<ExitStatus>) + Send + 'static) -> io::Result<Self> {
        let id = child.id();
        Self::reaped_by(child, |process| process::at_end(id, move || process.reap(report)))
    }

    pub(super) fn reaped_by(child: Child, spawn: impl FnOnce(Self) -> io::Result<()>) -> io::Result<Self> {
        let process = Process(Arc::new(Mutex::new(State { child, ended: false })));
        match spawn(process.clone()) {
            Ok(()) => Ok(process),
            Err(error) => {
                process::end_without_a_reaper(&mut process.state().child);
                Err(error)
            }
        }
    }

    fn reap(self, report: impl FnOnce(Option<ExitStatus>)) {
        let mut state = self.state();
        state.ended = true;
        report(state.child.wait().ok());
    }

    pub(super) fn kill(&self) {
        let mut state = self.state();
        if !state.ended {
            let _ = state.child.kill();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
