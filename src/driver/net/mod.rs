//! Connections of both transports: where a server listens, and how a client reaches it.

pub(crate) mod dial;
pub(crate) mod socket;
pub(crate) mod stream;
