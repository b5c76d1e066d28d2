//! Signals: those that a server handles, and those that it blocks.

use std::io;

use nix::sys::signal as mask;
use rustix::process::Signal;
use tokio::signal::unix::{self as signal, SignalKind};

/// The signals of timers. A timer survives an exec, and would kill a program that never set it.
const TIMERS: [mask::Signal; 3] = [mask::Signal::SIGALRM, mask::Signal::SIGVTALRM, mask::Signal::SIGPROF];

/// Unblocks all signals but those of timers, in this thread, the threads it starts and the programs they execute.
///
/// The process that started this one may have blocked any signal. Those of timers stay blocked until the server handles
/// them, since they would kill it.
pub(crate) fn block_only_timers() {
    block(mask::SigSet::from_iter(TIMERS));
}

/// Unblocks all signals, in this thread, the threads it starts and the programs they execute. [`Signals`] handle those of
/// timers by then.
pub(crate) fn block_none() {
    block(mask::SigSet::empty());
}

fn block(signals: mask::SigSet) {
    if let Err(error) = signals.thread_set_mask() {
        tracing::warn!(target: "rendezvous_ipc::serve", %error, "blocked signals may stay blocked");
    }
}

/// The signals that ask a server to end, and those that must not end it.
pub(crate) struct Signals {
    terminate: signal::Signal,
    interrupt: signal::Signal,
    /// The hangup of a terminal, which must not end a started server.
    hangup: Option<signal::Signal>,
    _child: signal::Signal,
    _file_size: signal::Signal,
    _timers: Vec<signal::Signal>,
}

impl Signals {
    /// Handles the signals of this process. A server that was started for a client handles more of them, and then
    /// unblocks all signals in this thread and in the threads that it starts from here on.
    pub(crate) fn new(started: bool) -> io::Result<Self> {
        let timers: &[mask::Signal] = if started { &TIMERS } else { &[] };
        let signals = Signals {
            terminate: signal::signal(SignalKind::terminate())?,
            interrupt: signal::signal(SignalKind::interrupt())?,
            // This process leads a session, so a terminal that a handler opens may become its controlling terminal. The
            // hangup of that terminal must not end the server.
            hangup: started.then(|| signal::signal(SignalKind::hangup())).transpose()?,
            // A caller that ignores SIGCHLD passes that on to its children. A handler that starts a process could then
            // not wait for it.
            _child: signal::signal(SignalKind::child())?,
            // Exceeding the file size limit becomes an error of the write instead of killing the process: the limit is
            // inherited from the process that happened to start this server.
            _file_size: signal::signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?,
            _timers: timers
                .iter()
                .map(|timer| signal::signal(SignalKind::from_raw(*timer as i32)))
                .collect::<Result<_, _>>()?,
        };
        if started {
            block_none();
        }
        Ok(signals)
    }

    /// Waits for the next signal that asks the server to end.
    pub(crate) async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                () = hung_up(&mut self.hangup) => {
                    tracing::info!(target: "rendezvous_ipc::serve", "a terminal hung up (SIGHUP); this server goes on");
                }
            }
        }
    }
}

async fn hung_up(hangup: &mut Option<signal::Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}
