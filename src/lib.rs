//! Connect to the one background server for a name, and start it if there is none.
#![cfg_attr(feature = "tokio", doc = include_str!("../docs/manual/front.md"))]
#![cfg_attr(
    all(feature = "blocking", not(feature = "tokio")),
    doc = "\nOnly clients that block their thread are here: servers, handlers and futures need the feature `tokio`."
)]
#![cfg_attr(
    not(feature = "blocking"),
    doc = "\nOnly [`proto`] is here, the protocol without I/O: clients need the feature `blocking`, and servers `tokio`."
)]
// The unit tests run over the real system only.
#![cfg(not(all(rendezvous_sim, test)))]
#![cfg_attr(not(any(feature = "blocking", test)), no_std)]
#![cfg_attr(
    not(feature = "tokio"),
    allow(dead_code, reason = "what only a server uses is in the files that clients share")
)]
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Outside of SemVer until 1.0.
#[cfg_attr(semver, doc(hidden))]
pub mod proto;

#[cfg(feature = "blocking")]
mod blocking;
#[cfg(feature = "tokio")]
mod connection;
#[cfg(feature = "blocking")]
mod context;
#[cfg(feature = "tokio")]
mod counters;
#[cfg(feature = "blocking")]
mod descriptor;
#[cfg(all(feature = "tokio", feature = "sequoia"))]
mod dialect;
#[cfg(feature = "blocking")]
mod driver;
#[cfg(feature = "blocking")]
mod ephemeral;
#[cfg(feature = "blocking")]
mod error;
#[cfg(feature = "blocking")]
mod found;
#[cfg(feature = "tokio")]
mod handler;
#[cfg(feature = "blocking")]
mod join;
#[cfg(feature = "serde")]
mod json;
#[cfg(feature = "blocking")]
mod keeps;
#[cfg(feature = "blocking")]
mod limits;
#[cfg(feature = "tokio")]
mod listener;
#[cfg(feature = "blocking")]
#[cfg_attr(docsrs, doc(cfg(feature = "blocking")))]
pub mod manual;
#[cfg(feature = "blocking")]
mod older;
#[cfg(feature = "blocking")]
mod os;
#[cfg(feature = "blocking")]
mod outcome;
#[cfg(feature = "tokio")]
mod park;
#[cfg(feature = "tokio")]
mod peer;
#[cfg(feature = "blocking")]
mod pid;
#[cfg(feature = "blocking")]
mod policy;
#[cfg(feature = "tokio")]
mod retiring;
#[cfg(feature = "capnp")]
mod rpc;
#[cfg(feature = "blocking")]
mod service;
#[cfg(rendezvous_sim)]
pub mod sim;
#[cfg(feature = "blocking")]
mod stage;
#[cfg(feature = "blocking")]
mod start;
#[cfg(feature = "blocking")]
mod status;
#[cfg(feature = "blocking")]
mod std_socket;
#[cfg(feature = "tokio")]
mod stream;
#[cfg(feature = "blocking")]
mod surroundings;
#[cfg(feature = "blocking")]
mod suspicion;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod testing;
#[cfg(feature = "blocking")]
mod transport;
#[cfg(feature = "blocking")]
mod waiting;
#[cfg(feature = "tokio")]
mod when_lost;

#[cfg(all(feature = "tokio", feature = "sequoia"))]
#[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
pub use self::dialect::Dialect;
#[cfg(feature = "log")]
#[cfg_attr(docsrs, doc(cfg(feature = "log")))]
pub use self::driver::log_to_stderr;
#[cfg(feature = "capnp")]
#[cfg_attr(docsrs, doc(cfg(feature = "capnp")))]
pub use self::rpc::{Closed, Rpc};
#[cfg(feature = "blocking")]
#[cfg_attr(docsrs, doc(cfg(feature = "blocking")))]
pub use self::{
    blocking::{BlockingConnection, BlockingStream},
    context::Context,
    descriptor::Descriptor,
    error::{BoxError, Error, Holder, NotHung, StartError, StartFailure, Unidentified, Untrusted, Usage},
    found::{Incompatibility, Malformed, ScopeDifference},
    join::Join,
    limits::Limits,
    older::Older,
    outcome::{Failed, Origin, Outcome, Reason},
    pid::Pid,
    policy::Policy,
    stage::Stage,
    status::{Retirement, Sign, Status, Termination},
    std_socket::{StdSocket, StreamGuard},
    surroundings::Surroundings,
    suspicion::{DialFailure, Suspicion},
    transport::{Endpoint, Transport},
    waiting::{Waiting, WaitingFor},
};
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use self::{
    connection::Connection,
    counters::Counters,
    handler::{Closing, KeepAlive, ServerHandle, SessionResult},
    listener::{Ending, Incoming, Listener},
    peer::Peer,
    retiring::Retiring,
    stream::Stream,
    when_lost::WhenLost,
};

/// The README's example compiles.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
