//! The client of a session.

use crate::pid::Pid;

/// The client of a session: a process of this machine that may read the point. No more is known of it for certain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// The number of the client, counted from 1. No two clients of a server have the same.
    pub number: u64,
    /// The process that connected, if the transport reports it: a Unix socket does, a port does not. It may have handed
    /// the connection to another process and ended. A process outside of the server's PID namespace has no number here.
    pub process: Option<Pid>,
}
