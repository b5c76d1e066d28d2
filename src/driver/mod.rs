//! The driver: the machines of [`crate::proto`] over files, locks, sockets, processes and timers.
//!
//! The driver decides nothing. Each file performs the effects of one kind. The two loops, `connect` and `serve`,
//! perform the effect that a step asks for and give its result back to the machine.

#[cfg(feature = "tokio")]
mod acceptor;
#[cfg(feature = "tokio")]
mod admission;
pub(crate) mod blocking;
#[cfg(feature = "tokio")]
mod calls;
mod child;
#[cfg(feature = "tokio")]
mod clock;
#[cfg(feature = "tokio")]
mod connect;
mod connecting;
#[cfg(feature = "tokio")]
mod counters;
mod effects;
mod end;
mod ending;
mod files;
#[cfg(feature = "tokio")]
mod handlers;
#[cfg(feature = "tokio")]
mod here;
mod inspect;
#[cfg(feature = "tokio")]
mod internal;
#[cfg(feature = "tokio")]
mod launch;
#[cfg(feature = "tokio")]
mod listener;
mod net;
mod random;
mod reaper;
#[cfg(feature = "tokio")]
mod registry;
mod report;
#[cfg(feature = "tokio")]
mod reserve;
#[cfg(feature = "tokio")]
mod runtime;
#[cfg(all(feature = "tokio", feature = "sequoia"))]
mod sequoia;
#[cfg(feature = "tokio")]
mod serve;
#[cfg(feature = "tokio")]
mod serving;
#[cfg(feature = "tokio")]
mod shutdown;
#[cfg(rendezvous_sim)]
pub(crate) mod simulated;
#[cfg(feature = "log")]
mod subscriber;
#[cfg(feature = "tokio")]
mod supervise;
mod sync;
#[cfg(feature = "tokio")]
mod system;
mod waiting;
#[cfg(feature = "tokio")]
mod watchdog;
#[cfg(feature = "tokio")]
mod watching;
#[cfg(feature = "tokio")]
mod welcomed;
#[cfg(feature = "tokio")]
mod wheel;

#[cfg(feature = "log")]
pub use self::subscriber::log_to_stderr;
#[cfg(feature = "tokio")]
pub(crate) use self::{
    calls::{bind, connect, end_unresponsive, inspect, join, retire, serve},
    launch::told,
    listener::{Ending, Incoming},
    runtime::local as local_runtime,
};
#[cfg(feature = "test-util")]
pub(crate) use self::{files::point::leave_record, random::draw};
use crate::os;
