//! Who a session is for.

use crate::pid::Pid;

/// Who a session is for: some process of this machine that may read the point, which is all that is known of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Which client of this server it is, counted from 1. No two have the same.
    pub number: u64,
    /// The process that connected, where the transport tells: a Unix socket does, a port does not. It may be gone by
    /// now, and have handed its connection to another. A process outside of the server's PID namespace has no number in it.
    pub process: Option<Pid>,
}
