//! Connections of both transports: where a server listens, and how a client reaches it.

pub(crate) mod dial;
#[cfg(feature = "tokio")]
pub(crate) mod listener;
pub(crate) mod socket;
pub(crate) mod stream;
#[cfg(feature = "tokio")]
pub(crate) mod timed;
