//! Connect to the one background server for a name, and start it if there is none.
#![cfg_attr(feature = "tokio", doc = include_str!("../docs/manual/front.md"))]
#![cfg_attr(not(any(feature = "tokio", test)), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

pub mod proto;

#[cfg(feature = "tokio")]
mod blocking;
#[cfg(feature = "tokio")]
mod context;
#[cfg(feature = "tokio")]
mod descriptor;
#[cfg(feature = "tokio")]
mod dialect;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(feature = "tokio")]
mod error;
#[cfg(feature = "tokio")]
mod limits;
#[cfg(feature = "tokio")]
pub mod manual;
#[cfg(feature = "capnp")]
mod rpc;
#[cfg(feature = "tokio")]
mod service;
#[cfg(feature = "tokio")]
pub mod testing;

#[cfg(feature = "capnp")]
pub use self::rpc::{Closed, Rpc};
#[cfg(feature = "tokio")]
pub use self::{
    blocking::BlockingConnection,
    context::Context,
    descriptor::Descriptor,
    dialect::Dialect,
    driver::{
        Connection, Ending, Failed, Holder, How, KeepAlive, Outcome, Peer, Reason, Retired, Start, Status, Stream,
        Suspicion, Transport,
    },
    error::{BoxError, Error, StartError, StartFailure},
    limits::Limits,
    proto::connect::Policy,
    proto::unresponsive::Sign,
};

/// The README's example compiles.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
