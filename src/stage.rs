//! The steps of the protocol, as errors and suspicions name them.

use std::fmt;

use crate::proto::connect;

/// The step at which a call failed. `Display` is its name in the protocol, in the log and in the manual.
///
/// ```
/// # use rendezvous_ipc::Stage;
/// assert_eq!(Stage::Dial.to_string(), "Dial");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Stage {
    /// A client reads the point.
    Read,
    /// A client or a server tries the point lock.
    Lock,
    /// A client reads the point again, under its lock.
    Reread,
    /// A client tries whether the lifetime lock is free.
    Probe,
    /// A client removes the record of a dead server.
    Clear,
    /// A client starts a server.
    Spawn,
    /// A client waits for the reply of the server that it started.
    Await,
    /// A client checks that the server that it started holds the lifetime lock.
    Verify,
    /// A client or a server writes the record.
    Write,
    /// A client confirms to the server that it started that the record is written.
    Confirm,
    /// A client waits for the end of the server that it started, before it serves in its own process.
    Fallback,
    /// A client connects to the address of a record.
    Dial,
    /// A client sends the hello.
    Hello,
    /// A client waits for the server's proof.
    Prove,
    /// A client waits for the server's welcome.
    Welcome,
    /// A client kills the server that it started, or one that does not answer.
    Kill,
    /// A client releases the point lock.
    Unlock,
    /// A client pauses before it tries again.
    Backoff,
    /// A client waits until a server has made its life file again.
    Wait,
    /// A connect is over.
    Done,
    /// A client serves in its own process.
    Internal,
    /// A server begins, and reads the order of the client that started it.
    Watch,
    /// A server takes the lifetime lock.
    Claim,
    /// A server builds its handler.
    Build,
    /// A server begins to listen.
    Listen,
    /// A server reports to the client that started it that it is ready.
    Ready,
    /// A server serves.
    Serve,
    /// A retiring server waits for its last clients.
    Drain,
    /// In the dialect of sequoia, a client sends the cookie. Needs the feature `sequoia`.
    #[cfg(feature = "sequoia")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
    SendCookie,
    /// In the dialect of sequoia, a client opens the port of the server that it starts. Needs the feature `sequoia`.
    #[cfg(feature = "sequoia")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
    Introduce,
    /// In the dialect of sequoia, a server receives its cookie. Needs the feature `sequoia`.
    #[cfg(feature = "sequoia")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
    ReceiveCookie,
    /// A test stops a process.
    Stop,
}

impl Stage {
    /// Returns in words what the process waits for at this step.
    pub(crate) fn waits_for(self) -> &'static str {
        match self {
            Stage::Spawn => "the program, which another process has open for writing",
            Stage::Await => "the started server's reply",
            Stage::Dial | Stage::Hello => "a connection",
            Stage::Prove => "the server's proof",
            Stage::Welcome => "the server's welcome",
            Stage::Internal => "the server in this process, which starts, ends, or has no place",
            Stage::Fallback => "the end of a server that was killed",
            Stage::Wait => "a server to make its life file again, which is not there",
            Stage::Claim => "the lifetime lock, which another server holds",
            Stage::Drain => "the server's exit",
            Stage::Kill => {
                "the lifetime lock of a server that was killed: it is not gone yet, or a process that it forked has a \
                 share in the lock"
            }
            #[cfg(feature = "sequoia")]
            Stage::SendCookie => "a connection",
            #[cfg(feature = "sequoia")]
            Stage::ReceiveCookie => "a client that tells the cookie",
            _ => "the lock, or a server that is starting or draining",
        }
    }

    /// Returns whether the process waits at this step for a lock, or for a server that may hold one.
    pub(crate) fn waits_for_a_lock(self) -> bool {
        self.waits_for() == Stage::Lock.waits_for()
    }
}

/// The name of the variant.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Stage {
    /// Returns the stage of a step of a connect.
    pub(crate) fn of(step: &connect::Step) -> Self {
        use connect::Step;
        match step {
            Step::Read(_) => Stage::Read,
            Step::Lock(_) => Stage::Lock,
            Step::Reread(_) => Stage::Reread,
            Step::Probe(_) => Stage::Probe,
            Step::Clear(_) => Stage::Clear,
            Step::Spawn(_) => Stage::Spawn,
            Step::Await(_) => Stage::Await,
            Step::Verify(_) => Stage::Verify,
            Step::Write(_) => Stage::Write,
            Step::Confirm(_) => Stage::Confirm,
            Step::Fallback(_) => Stage::Fallback,
            Step::Dial(_) => Stage::Dial,
            Step::Hello(_) => Stage::Hello,
            Step::Prove(_) => Stage::Prove,
            Step::Welcome(_) => Stage::Welcome,
            Step::Kill(_) => Stage::Kill,
            Step::Unlock(_) => Stage::Unlock,
            Step::Backoff(_) => Stage::Backoff,
            Step::Wait(_) => Stage::Wait,
            Step::Done(_) => Stage::Done,
        }
    }
}
