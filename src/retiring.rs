//! Why a server retires.

use std::fmt;

use crate::proto::serving::Cause;

/// Why a server retires, as its handler learns by [`ServerHandle::retiring`](crate::ServerHandle::retiring).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Retiring {
    /// There was no client for [`Limits::idle`](crate::Limits::idle).
    Idle,
    /// A client or the handler requested it, its ephemeral context has ended, or the last connection of an
    /// internal server has.
    Requested,
    /// A client of a newer version of the service requested it, and starts a server of its own instead. See
    /// [`Older::Replace`](crate::Older::Replace).
    Replaced {
        /// The version of the client and of its server.
        by: u32,
    },
    /// A signal requested it: SIGTERM or SIGINT.
    Signal,
    /// The point or the life file belongs to another server now, or the home is gone.
    Lost,
}

impl Retiring {
    pub(crate) const fn of(cause: Cause) -> Self {
        match cause {
            Cause::Idle => Retiring::Idle,
            Cause::Requested => Retiring::Requested,
            Cause::Replaced(by) => Retiring::Replaced { by },
            Cause::Signal => Retiring::Signal,
            Cause::Lost => Retiring::Lost,
        }
    }
}

impl fmt::Display for Retiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Retiring::Idle => "it is idle",
            Retiring::Requested => "its retirement was requested",
            Retiring::Replaced { by } => return write!(f, "version {by} replaces it"),
            Retiring::Signal => "it received a signal",
            Retiring::Lost => "its files are gone, or belong to another server",
        };
        f.write_str(text)
    }
}
