//! What happens to the sessions of a server whose life file is lost.

use crate::proto::serving;

/// What a server does when another process has its life file, or its home is gone.
///
/// The system removes the home of a service that keeps its files in the user's runtime directory when that user logs
/// out. The server cannot be found any more then, and the next client starts another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum WhenLost {
    /// It retires: its sessions have the time of [`Limits::drain`](crate::Limits::drain).
    #[default]
    Retire,
    /// It takes no new client and stops listening at once, and its sessions live for as long as they want. The process
    /// ends with the last of them. After a signal or [`ServerHandle::retire`](crate::ServerHandle::retire) they have the
    /// time of [`Limits::drain`](crate::Limits::drain); a second signal ends them.
    /// [`retiring`](crate::ServerHandle::retiring) returns [`Retiring::Lost`](crate::Retiring::Lost) when the files are
    /// lost, and reports nothing after that: a session that is to live on must not end then.
    /// With [`bind`](crate::Descriptor::bind), wait for [`Listener::drained`](crate::Listener::drained) then.
    ///
    /// Meanwhile another server of the service may run. So the service gives up *OneHandler*
    /// ([guarantees](crate::manual::guarantees)): let sessions share nothing that one process must have alone. It is for a
    /// terminal multiplexer, whose shells outlive a logout.
    KeepSessions,
}

impl WhenLost {
    /// Returns the choice as the machine takes it.
    pub(crate) fn machine(self) -> serving::WhenLost {
        match self {
            WhenLost::Retire => serving::WhenLost::Retire,
            WhenLost::KeepSessions => serving::WhenLost::KeepSessions,
        }
    }
}
