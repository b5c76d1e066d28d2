//! Which protocol a point is spoken to in.

/// Which protocol the servers and clients of a point speak: what [`Descriptor::dialect`](crate::Descriptor::dialect)
/// sets. It needs the feature `sequoia`.
///
/// Two dialects never share a point: a whole record of the other one is left alone, with
/// [`Error::OtherDialect`](crate::Error::OtherDialect).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// The protocol of this crate, which keeps all that [the manual](crate::manual::guarantees) promises.
    #[default]
    Native,
    /// That of `sequoia-ipc` (as of 0.36.1), for points that are shared with its programs: its clients find and start
    /// our servers, and ours theirs.
    ///
    /// It promises less, whoever speaks it ([all of it](crate::manual::sequoia)):
    /// - **The cookie is said to whoever listens** where the record points. A stranger that has a dead server's port learns
    ///   it, and is taken for the server. Nothing is proved in either direction.
    /// - **The first connection to a new server decides its cookie.** Our client connects before the server runs; another
    ///   process would have to find the port in the microseconds before.
    /// - **A damaged record is a reason to start a server,** alive or not, for there is no lifetime lock. One of ours that
    ///   lives writes its record again, and retires where another's stands; one of theirs does neither.
    /// - **Nobody is welcomed.** A client is connected when it has said its cookie. If the server dies before it hears
    ///   it, the first call says so. Servers of ours that are idle let in who said it before they go.
    /// - **Every connect takes the point lock,** joins as well, and whoever is stopped with it holds up all others.
    ///
    /// Only *refused* and *reset* mean that a server is dead; silence does not. Servers of ours serve many clients at
    /// once, and a silent or a wrong one harms nobody; servers of theirs serve one after the other.
    ///
    /// What the dialect does not have: versions ([`version`](crate::Descriptor::version) and
    /// [`newest`](crate::Descriptor::newest) are [`Error::Usage`](crate::Error::Usage) at a connect), retirement by
    /// request ([`retire`](crate::Descriptor::retire) and [`end_unresponsive`](crate::Descriptor::end_unresponsive)
    /// are, too; send the server a SIGTERM), PIDs (`None` in an [`Outcome`](crate::Outcome) or an error, but of servers
    /// that this process started), Unix sockets. An ephemeral server is told so, and ends when its home is gone, or
    /// when it is idle. A server started by `sequoia-ipc` gets no arguments of yours: its program has to call
    /// [`serve`](crate::Descriptor::serve) whenever it is started.
    Sequoia,
}
