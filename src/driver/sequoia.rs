//! The other dialect over files, locks, sockets and processes: the machines of [`crate::proto::sequoia`].

mod acceptor;
mod child;
mod connect;
mod inspect;
mod serve;

pub(super) use self::connect::{connect, join};
pub(super) use self::inspect::inspect;
pub(super) use self::serve::run as serve;
use crate::error::{Error, Usage};

/// Returns the error of a request that the dialect does not have.
pub(super) fn no_retirement() -> Error {
    Error::Usage(Usage::DialectWithoutRetirement)
}
