//! Signals: which a server takes, and which it blocks.

use std::io;

use nix::sys::signal as mask;
use rustix::process::Signal;
use tokio::signal::unix::{self as signal, SignalKind};

/// The signals of timers. A timer outlives the execution of another program, which did not ask for it.
const TIMERS: [mask::Signal; 3] = [mask::Signal::SIGALRM, mask::Signal::SIGVTALRM, mask::Signal::SIGPROF];

/// Has this thread, the threads that it starts and the programs that they execute block no signals but those of timers, which
/// a started server is to live through until it handles them. Whoever started this process may have blocked any.
pub(crate) fn block_only_timers() {
    block(mask::SigSet::from_iter(TIMERS));
}

fn block(signals: mask::SigSet) {
    if let Err(error) = signals.thread_set_mask() {
        tracing::warn!(target: "rendezvous_ipc::serve", %error, "signals that were blocked may stay so");
    }
}

/// The signals that ask a server to end, and those that must not end it.
pub(crate) struct Signals {
    terminate: signal::Signal,
    interrupt: signal::Signal,
    /// Of a terminal that is gone: for a server that has none of its own.
    hangup: Option<signal::Signal>,
    _child: signal::Signal,
    _file_size: signal::Signal,
    _timers: Vec<signal::Signal>,
}

impl Signals {
    /// Takes the signals from this process. One that was started for a client takes more of them, and blocks none in this
    /// thread and in those that it starts from here on.
    pub(crate) fn new(started: bool) -> io::Result<Self> {
        let timers: &[mask::Signal] = if started { &TIMERS } else { &[] };
        let signals = Signals {
            terminate: signal::signal(SignalKind::terminate())?,
            interrupt: signal::signal(SignalKind::interrupt())?,
            // A terminal that a handler opens may become this process's own, for it leads a session. Its end is not ours.
            hangup: started.then(|| signal::signal(SignalKind::hangup())).transpose()?,
            // A caller that ignores the ends of its children hands that to its children, and a handler that starts
            // a process could not wait for it.
            _child: signal::signal(SignalKind::child())?,
            // A file that may not grow any more is an error of its write, and not the end of the process: the limit is
            // that of whoever happened to start this server.
            _file_size: signal::signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?,
            _timers: timers
                .iter()
                .map(|timer| signal::signal(SignalKind::from_raw(*timer as i32)))
                .collect::<Result<_, _>>()?,
        };
        if started {
            block(mask::SigSet::empty());
        }
        Ok(signals)
    }

    /// Returns at the next signal that asks to end.
    pub(crate) async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                () = hung_up(&mut self.hangup) => {
                    tracing::info!(target: "rendezvous_ipc::serve", "a terminal hung up (SIGHUP), and this server goes on");
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
