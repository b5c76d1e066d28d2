//! Connect to the one background server for a name, and start it if there is none.
#![cfg_attr(feature = "tokio", doc = include_str!("../docs/manual/front.md"))]
#![cfg_attr(
    not(feature = "tokio"),
    doc = "\nOnly [`proto`] is here, the protocol without I/O: all else needs the feature `tokio`, which is on by default."
)]
#![cfg_attr(not(any(feature = "tokio", test)), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod proto;

#[cfg(feature = "tokio")]
mod blocking;
#[cfg(feature = "tokio")]
mod connection;
#[cfg(feature = "tokio")]
mod context;
#[cfg(feature = "tokio")]
mod descriptor;
#[cfg(all(feature = "tokio", feature = "sequoia"))]
mod dialect;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(feature = "tokio")]
mod ephemeral;
#[cfg(feature = "tokio")]
mod error;
#[cfg(feature = "tokio")]
mod found;
#[cfg(feature = "tokio")]
mod handler;
#[cfg(feature = "tokio")]
mod join;
#[cfg(feature = "serde")]
mod json;
#[cfg(feature = "tokio")]
mod limits;
#[cfg(feature = "tokio")]
mod listener;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub mod manual;
#[cfg(feature = "tokio")]
mod older;
#[cfg(feature = "tokio")]
mod os;
#[cfg(feature = "tokio")]
mod outcome;
#[cfg(feature = "tokio")]
mod park;
#[cfg(feature = "tokio")]
mod peer;
#[cfg(feature = "tokio")]
mod pid;
#[cfg(feature = "tokio")]
mod policy;
#[cfg(feature = "tokio")]
mod retiring;
#[cfg(feature = "capnp")]
mod rpc;
#[cfg(feature = "tokio")]
mod service;
#[cfg(feature = "tokio")]
mod stage;
#[cfg(feature = "tokio")]
mod start;
#[cfg(feature = "tokio")]
mod status;
#[cfg(feature = "tokio")]
mod std_socket;
#[cfg(feature = "tokio")]
mod stream;
#[cfg(feature = "tokio")]
mod surroundings;
#[cfg(feature = "tokio")]
mod suspicion;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod testing;
#[cfg(feature = "tokio")]
mod transport;
#[cfg(feature = "tokio")]
mod waiting;

#[cfg(all(feature = "tokio", feature = "sequoia"))]
#[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
pub use self::dialect::Dialect;
#[cfg(feature = "log")]
#[cfg_attr(docsrs, doc(cfg(feature = "log")))]
pub use self::driver::log_to_stderr;
#[cfg(feature = "capnp")]
#[cfg_attr(docsrs, doc(cfg(feature = "capnp")))]
pub use self::rpc::{Closed, Rpc};
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use self::{
    blocking::BlockingConnection,
    connection::Connection,
    context::Context,
    descriptor::Descriptor,
    error::{BoxError, Error, Holder, NotHung, StartError, StartFailure, Unidentified, Untrusted, Usage},
    found::{Incompatibility, Malformed, ScopeDifference},
    handler::{Closing, KeepAlive, ServerHandle, SessionResult},
    join::Join,
    limits::Limits,
    listener::{Ending, Incoming, Listener},
    older::Older,
    outcome::{Failed, Origin, Outcome, Reason},
    peer::Peer,
    pid::Pid,
    policy::Policy,
    retiring::Retiring,
    stage::Stage,
    status::{Retirement, Sign, Status, Termination},
    std_socket::{StdSocket, StreamGuard},
    stream::{BlockingStream, Stream},
    surroundings::Surroundings,
    suspicion::{DialFailure, Suspicion},
    transport::{Endpoint, Transport},
    waiting::{Waiting, WaitingFor},
};

/// The README's example compiles.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
