//! The driver: the machines of [`crate::proto`] over files, locks, sockets, processes and timers.
//!
//! Nothing is decided here. Each file answers the questions of one kind; `connect` and `serve` are the
//! two loops that put a step's question to them and give the answer back.

mod acceptor;
mod admission;
mod child;
mod clock;
mod connect;
mod connecting;
mod effects;
mod end;
mod files;
mod handlers;
mod inspect;
mod internal;
mod net;
mod random;
mod reaper;
mod registry;
mod report;
mod reserve;
mod sequoia;
mod serve;
mod serving;
mod shutdown;
mod supervise;
mod sync;
mod system;
mod watchdog;

pub(crate) use self::connect::connect;
pub(crate) use self::end::end_unresponsive;
#[cfg(feature = "log")]
pub use self::files::log::log_to_stderr;
pub(crate) use self::handlers::local_runtime;
pub(crate) use self::inspect::{inspect, retire};
pub(crate) use self::serve::serve;
#[cfg(feature = "test-util")]
pub(crate) use self::{files::point::leave_record, random::draw};
use crate::os;
