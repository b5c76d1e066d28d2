//! The protocols that a point can use.

/// The protocol that the servers and clients of a point use, set by
/// [`Descriptor::dialect`](crate::Descriptor::dialect). It needs the feature `sequoia`.
///
/// Two dialects never share a point: a valid record of the other one is left alone, with
/// [`Error::OtherDialect`](crate::Error::OtherDialect).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// The protocol of this crate, which keeps all that [the manual](crate::manual::guarantees) promises.
    #[default]
    Native,
    /// The protocol of `sequoia-ipc` (as of 0.36.1), for points that are shared with its programs. Its clients find and
    /// start servers of this crate, and clients of this crate find and start its servers.
    ///
    /// It promises less, whichever crate speaks it ([the manual](crate::manual::sequoia) has all of it):
    /// - **A client sends the cookie to any process that listens** at the address of the record. A process that has a dead
    ///   server's port learns the cookie, and is taken for the server. Neither side proves anything.
    /// - **The first connection to a new server sets its cookie.** Clients of this crate connect before the server runs;
    ///   another process would have to find the port in the microseconds before.
    /// - **A client that finds a damaged record starts a server,** even beside a live one, since there is no lifetime
    ///   lock. A live server of this crate writes its record again, and retires if the point names another server; one of
    ///   `sequoia-ipc` does neither.
    /// - **Servers send no welcome.** A client is connected when it has sent the cookie. If the server dies before it
    ///   receives the cookie, the first call fails. An idle server of this crate admits the clients that have sent the
    ///   cookie before it retires.
    /// - **Every connect takes the point lock,** also to join, so a process that is stopped while it holds the lock blocks
    ///   all others.
    ///
    /// Only *refused* and *reset* mean that a server is dead; silence does not. A server of this crate serves many
    /// clients at once, and a silent or wrong one delays no other; a server of `sequoia-ipc` serves one after the
    /// other.
    ///
    /// The dialect lacks:
    /// - versions: with [`version`](crate::Descriptor::version) or [`newest`](crate::Descriptor::newest) a connect is
    ///   [`Error::Usage`](crate::Error::Usage);
    /// - retirement by request: [`retire`](crate::Descriptor::retire) and
    ///   [`end_unresponsive`](crate::Descriptor::end_unresponsive) are [`Error::Usage`](crate::Error::Usage), so send the
    ///   server a SIGTERM;
    /// - process numbers: an [`Outcome`](crate::Outcome) or an error has them only for servers that this process started;
    /// - Unix sockets.
    ///
    /// An ephemeral server ends when its home is gone, or when it is idle. A server that `sequoia-ipc` starts gets none
    /// of your arguments: its program has to call [`serve`](crate::Descriptor::serve) whenever it is started.
    Sequoia,
}
