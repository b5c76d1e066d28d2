//! The protocol, as state machines without I/O, clock, threads or allocation.
//!
//! Each step of a machine is a question to the driver; the driver's answer leads to the next step. The driver runs the
//! machines over files, locks, sockets and processes. Tests run them over simulated answers.
//!
//! - [`connect`] is the client's machine, [`serve`] the server's.
//! - [`handshake`] has the messages between client and server, [`pipes`] those between a client and the server that it
//!   starts, and [`record`] the content of a point.
//! - [`inspect`] looks at a point, and [`retire`] has what a client decides that asks a server to retire.
//! - [`end`] ends a server that does not answer, and [`unresponsive`] decides when that is allowed.
//! - [`life`] has the line in which a server says until when it drains.
//! - [`waiting`] decides what the caller of a call that takes long is told.
//! - [`lock`] says what an attempt to take a lock means, and [`message`] how long a message of Cap'n Proto is.
//! - `sequoia` has the machines and formats of the other dialect. It needs the feature `sequoia`.
//!
//! This module is public so that other crates can test, explore and fuzz it. It is outside of the crate's SemVer
//! promise until 1.0.

pub mod address;
pub mod child;
pub mod connect;
pub mod cookie;
pub mod end;
mod foreign;
pub mod handshake;
pub(crate) mod hex;
pub mod identity;
pub mod inspect;
pub mod life;
pub mod lock;
pub mod message;
pub mod pipes;
pub mod random;
pub mod record;
pub mod retire;
pub mod scope;
#[cfg(feature = "sequoia")]
#[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
pub mod sequoia;
pub mod serve;
pub mod serving;
pub mod tag;
pub mod timing;
pub mod unresponsive;
pub mod waiting;
