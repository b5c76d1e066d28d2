//! Connect to the one background server for a name, and start it if there is none.
#![cfg_attr(feature = "tokio", doc = include_str!("../docs/manual/front.md"))]
#![cfg_attr(not(any(feature = "tokio", test)), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

pub mod proto;

#[cfg(feature = "tokio")]
mod blocking;
#[cfg(feature = "tokio")]
mod connection;
#[cfg(feature = "tokio")]
mod context;
#[cfg(feature = "tokio")]
mod descriptor;
#[cfg(feature = "tokio")]
mod dialect;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(feature = "tokio")]
mod ephemeral;
#[cfg(feature = "tokio")]
mod error;
#[cfg(feature = "tokio")]
mod handler;
#[cfg(feature = "tokio")]
mod limits;
#[cfg(feature = "tokio")]
pub mod manual;
#[cfg(feature = "tokio")]
mod os;
#[cfg(feature = "tokio")]
mod outcome;
#[cfg(feature = "tokio")]
mod peer;
#[cfg(feature = "capnp")]
mod rpc;
#[cfg(feature = "tokio")]
mod service;
#[cfg(feature = "tokio")]
mod status;
#[cfg(feature = "tokio")]
mod stream;
#[cfg(feature = "tokio")]
pub mod testing;
#[cfg(feature = "tokio")]
mod transport;

#[cfg(feature = "capnp")]
pub use self::rpc::{Closed, Rpc};
#[cfg(feature = "tokio")]
pub use self::{
    blocking::BlockingConnection,
    connection::Connection,
    context::Context,
    descriptor::Descriptor,
    dialect::Dialect,
    error::{BoxError, Error, Holder, StartError, StartFailure},
    handler::{KeepAlive, Start},
    limits::Limits,
    outcome::{Failed, How, Outcome, Reason, Suspicion},
    peer::Peer,
    proto::connect::Policy,
    proto::unresponsive::Sign,
    status::{Ending, Retired, Status},
    stream::Stream,
    transport::Transport,
};

/// The README's example compiles.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
