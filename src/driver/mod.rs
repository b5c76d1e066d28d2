//! The driver: the machines of [`crate::proto`] over files, locks, sockets, processes and timers.
//!
//! Nothing is decided here. Each file answers the questions of one kind; `connect` and `serve` are the
//! two loops that put a step's question to them and give the answer back.

mod child;
mod connect;
mod dial;
mod end;
mod ephemeral;
mod hall;
mod handlers;
mod heard;
mod inspect;
mod internal;
mod life;
mod lobby;
mod log;
mod os;
mod point;
mod reaper;
mod registry;
mod reserve;
mod sequoia;
mod serve;
mod socket;
mod story;
mod stream;
mod supervise;
mod sync;
mod watchdog;

pub use self::connect::Connection;
pub(crate) use self::connect::{connect, no_handler};
pub use self::end::Ending;
pub(crate) use self::end::end_unresponsive;
pub(crate) use self::ephemeral::Ephemeral;
pub(crate) use self::handlers::Factory;
pub(crate) use self::handlers::local_runtime;
pub use self::handlers::{KeepAlive, Peer, Start};
pub use self::inspect::{Retired, Status};
pub(crate) use self::inspect::{inspect, retire};
pub(crate) use self::os::process::{describe, this_program};
pub(crate) use self::os::remedy;
pub(crate) use self::serve::serve;
pub use self::socket::Transport;
pub use self::story::{Failed, Holder, How, Outcome, Reason, Suspicion};
pub use self::stream::Stream;
pub(crate) use self::{
    dial::random, os::file::create_temporary, os::process::StoppedProcess, os::scope::here, point::leave_record,
};
#[cfg(feature = "capnp")]
pub(crate) use self::{socket::Socket, stream::Keeps};
