//! What a call waits for, as its caller is told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::pid::Pid;
use crate::proto::waiting::Kind;

/// A wait of a call, as [`Descriptor::on_wait`](crate::Descriptor::on_wait) reports it. `Display` is one line.
///
/// ```text
/// waiting for server 4711 to start: at most 8 s more
/// waiting for server 4711 to finish its work: at most 9 s more
/// waiting for process 4711, which holds the point lock: at most 30 s more
/// waiting for an answer of server 4711: at most 30 s more
/// ```
///
/// With the feature `serde` it can be serialized: `what` is the variant in `snake_case`, and times are seconds.
///
/// ```json
/// {"what": "start", "pid": 4711, "waited": 0.1, "left": 7.9}
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Waiting {
    /// What the call waits for.
    pub what: WaitingFor,
    /// The process that the call waits for: a server, or the holder of the lock. `None` if the system does not report it.
    pub pid: Option<Pid>,
    /// How long the call has waited for it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::json::seconds"))]
    pub waited: Duration,
    /// How much longer the call waits for it at most.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::json::seconds"))]
    pub left: Duration,
}

/// What a call waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WaitingFor {
    /// The server that this call has started, up to [`Limits::start`](crate::Limits::start); or the one in this process.
    Start,
    /// The answer of a server that was dialled: it is slow, stopped, or hangs.
    Answer,
    /// A place at a server that is full: see [`Limits::max_clients`](crate::Limits::max_clients).
    Full,
    /// The end of a server that retires: it lets the clients finish that it has.
    Drain,
    /// The lifetime lock, held by the process in [`Waiting::pid`]: a server that starts, ends, or is about to restore its
    /// record.
    LifetimeLock,
    /// The point lock, held by the process in [`Waiting::pid`]: mostly another client, which starts the server.
    PointLock,
    /// A server whose life file was removed, and which makes it again.
    LifeFile,
    /// The end of a server that cannot be reached from here.
    OutOfReach,
    /// The end of a process that this call has killed.
    Exit,
}

impl WaitingFor {
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Start => WaitingFor::Start,
            Kind::Answer => WaitingFor::Answer,
            Kind::Full => WaitingFor::Full,
            Kind::Drain => WaitingFor::Drain,
            Kind::LifetimeLock => WaitingFor::LifetimeLock,
            Kind::PointLock => WaitingFor::PointLock,
            Kind::LifeFile => WaitingFor::LifeFile,
            Kind::OutOfReach => WaitingFor::OutOfReach,
            Kind::Exit => WaitingFor::Exit,
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |what: &str| self.pid.map_or_else(|| format!("a {what}"), |pid| format!("{what} {pid}"));
        let (server, process) = (named("server"), named("process"));
        match self.what {
            WaitingFor::Start => write!(f, "waiting for {server} to start"),
            WaitingFor::Answer => write!(f, "waiting for an answer of {server}"),
            WaitingFor::Full => write!(f, "waiting for a place at {server}, which is full"),
            WaitingFor::Drain => write!(f, "waiting for {server} to finish its work"),
            WaitingFor::LifetimeLock => write!(f, "waiting for {process}, which holds the lifetime lock"),
            WaitingFor::PointLock => write!(f, "waiting for {process}, which holds the point lock"),
            WaitingFor::LifeFile => write!(f, "waiting for {server} to make its life file again"),
            WaitingFor::OutOfReach => write!(f, "waiting for the end of {server}, which cannot be reached from here"),
            WaitingFor::Exit => write!(f, "waiting for the end of {process}, which was killed"),
        }?;
        // A part of a second counts as a whole one: 0 s would be no wait.
        let seconds = self.left.as_secs() + u64::from(self.left.subsec_nanos() > 0);
        write!(f, ": at most {seconds} s more")
    }
}

/// The function that is called while a call waits.
#[derive(Clone)]
pub(crate) struct OnWait(Arc<dyn Fn(&Waiting) + Send + Sync>);

impl OnWait {
    pub(crate) fn new(tell: impl Fn(&Waiting) + Send + Sync + 'static) -> Self {
        OnWait(Arc::new(tell))
    }

    pub(crate) fn tell(&self, waiting: &Waiting) {
        (self.0)(waiting);
    }
}

impl fmt::Debug for OnWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnWait")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_is_a_whole_line_with_its_process_and_time() {
        use WaitingFor::*;
        for (what, some, none) in [
            (Start, "server 4711 to start", "a server to start"),
            (Answer, "an answer of server 4711", "an answer of a server"),
            (Full, "a place at server 4711, which is full", "a place at a server, which is full"),
            (Drain, "server 4711 to finish its work", "a server to finish its work"),
            (LifetimeLock, "process 4711, which holds the lifetime lock", "a process, which holds the lifetime lock"),
            (PointLock, "process 4711, which holds the point lock", "a process, which holds the point lock"),
            (LifeFile, "server 4711 to make its life file again", "a server to make its life file again"),
            (
                OutOfReach,
                "the end of server 4711, which cannot be reached from here",
                "the end of a server, which cannot be reached from here",
            ),
            (Exit, "the end of process 4711, which was killed", "the end of a process, which was killed"),
        ] {
            for (pid, text) in [(Pid::new(4711), some), (None, none)] {
                for (left, seconds) in [(0, 0), (1, 1), (8000, 8), (8001, 9)] {
                    let left = Duration::from_millis(left);
                    let waiting = Waiting { what, pid, waited: Duration::ZERO, left };
                    assert_eq!(waiting.to_string(), format!("waiting for {text}: at most {seconds} s more"));
                }
            }
        }
    }
}
