//! How a server is started where there is none.

use crate::proto::connect;

/// How a server is started where there is none. A server that lives is joined whatever the policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Policy {
    /// As a process. What keeps it from starting is an error.
    #[default]
    External,
    /// As a thread of this process, which all its connects share and which ends with the last of them. It takes no
    /// lock and touches no file.
    Internal,
    /// As a process, or as a thread where the program cannot be executed, ends, fails, talks nonsense or takes too
    /// long; never beside a server that may be alive.
    Robust,
}

impl From<Policy> for connect::Policy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::External => connect::Policy::External,
            Policy::Internal => connect::Policy::Internal,
            Policy::Robust => connect::Policy::Robust,
        }
    }
}
