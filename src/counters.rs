//! What a server counts.

use std::time::Duration;

/// What a server counts, for its handler: see [`ServerHandle::counters`](crate::ServerHandle::counters). A client gets the
/// same numbers in [`Status::Live`](crate::Status::Live).
///
/// With the feature `serde` it can be serialized: `uptime` is written in whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Counters {
    /// How long the server has served; zero before it serves.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::json::whole_seconds"))]
    pub uptime: Duration,
    /// How many clients it counts now.
    pub clients: u32,
    /// How many clients it has welcomed, those that have left included.
    pub welcomed: u64,
    /// How many connections ended without a welcome: of strangers, of clients that were told why they get none, and of
    /// clients that gave up while they waited for one.
    pub refused: u64,
    /// How often it has made one of its files again: its record, its life file or its socket.
    pub restored: u64,
}
