//! The policy by which a server is started.

use crate::proto::connect;

/// How a client starts a server if there is none. A client joins a live server under every policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Policy {
    /// Starts the server as a process. If it cannot be started, the connect fails.
    #[default]
    External,
    /// Starts the server as a thread of this process. All connects of the process share it, and it ends with the last
    /// of their connections. It takes no lock and uses no file. Needs the feature `tokio`.
    #[cfg(feature = "tokio")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    Internal,
    /// Starts the server as a process, or else as a thread of this process: if the program cannot be executed, ends,
    /// fails, sends an invalid reply or takes too long. It never starts a thread beside a server that may be alive,
    /// so an error of a file fails the connect: in a home that cannot be written, as in a read-only container, use
    /// `Internal`, or mount a volume there. Needs the feature `tokio`.
    #[cfg(feature = "tokio")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    Robust,
}

impl Policy {
    /// Returns the policy as the machine takes it.
    pub(crate) fn machine(self) -> connect::Policy {
        match self {
            Policy::External => connect::Policy::External,
            #[cfg(feature = "tokio")]
            Policy::Internal => connect::Policy::Internal,
            #[cfg(feature = "tokio")]
            Policy::Robust => connect::Policy::Robust,
        }
    }
}
