//! The driver: the machines of [`crate::proto`] over files, locks, sockets, processes and timers.
//!
//! Nothing is decided here. Each file answers the questions of one kind; `connect` and `serve` are the
//! two loops that put a step's question to them and give the answer back.

mod child;
mod clock;
mod connect;
mod connecting;
mod dial;
mod effects;
mod end;
mod hall;
mod handlers;
mod inspect;
mod internal;
mod life;
mod lobby;
mod log;
mod net;
mod point;
mod random;
mod reaper;
mod registry;
mod reserve;
mod sequoia;
mod serve;
mod serving;
mod story;
mod supervise;
mod sync;
mod system;
mod watchdog;

pub(crate) use self::connect::connect;
pub(crate) use self::end::end_unresponsive;
pub(crate) use self::handlers::local_runtime;
pub(crate) use self::inspect::{inspect, retire};
#[cfg(feature = "log")]
pub use self::log::log_to_stderr;
pub(crate) use self::serve::serve;
#[cfg(feature = "test-util")]
pub(crate) use self::{point::leave_record, random::draw};
use crate::os;
