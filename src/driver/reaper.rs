//! The thread that waits for a child's end and reaps it, and the handle by which the child can be killed until then.

use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, PoisonError};

use super::os::process::{self, Child};
use super::sync::{Mutex, MutexGuard, mpsc, thread};

/// A process that may be killed until the reaper saw its end: its number may be another's from then on, even
/// unreaped by us, where the host ignores the signal of a child's end.
#[derive(Clone)]
pub(super) struct Process(Arc<Mutex<State>>);

struct State {
    child: Child,
    ended: bool,
}

impl Process {
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

/// A thread that waits for one child's end and reaps it, however long that takes.
pub(super) struct Reaper(mpsc::Sender<Process>);

impl Reaper {
    /// Starts the thread, before there is a child. It reports how the child ends, if the system says so.
    pub(super) fn start(report: impl FnOnce(Option<ExitStatus>) + Send + 'static) -> io::Result<Self> {
        let (give, take) = mpsc::channel::<Process>();
        thread::Builder::new().name("rendezvous-reaper".into()).stack_size(128 * 1024).spawn(move || {
            let Ok(process) = take.recv() else { return };
            let id = process.state().child.id();
            process::wait_for_end(id);
            let mut state = process.state();
            state.ended = true;
            report(state.child.wait().ok());
        })?;
        Ok(Reaper(give))
    }

    pub(super) fn take(self, child: Child) -> Process {
        let process = Process(Arc::new(Mutex::new(State { child, ended: false })));
        let _ = self.0.send(process.clone());
        process
    }
}
