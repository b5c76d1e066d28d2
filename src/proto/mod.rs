//! The protocol, as machines that ask and are answered: no I/O, no clock, no threads, no allocation.
//!
//! [`connect`] is the client's machine, [`serve`] the server's, [`handshake`] what they say to each
//! other, [`start`] what a spawner and its child say, [`record`] what stands in the point. [`inspect`] looks at a point, [`retire`]
//! asks a server to go, [`end`] ends a server that does not answer, and [`unresponsive`] says when that is allowed.
//! [`message`] says how long a client's message is. [`sequoia`] has all of that for the other dialect. The driver runs them
//! over files, locks, sockets and processes; tests run them over nothing at all.
//!
//! This module is public so that it can be tested, explored and fuzzed from outside, and is outside of
//! the crate's SemVer promise until 1.0.

pub mod address;
pub mod child;
pub mod connect;
pub mod cookie;
pub mod end;
pub mod handshake;
pub(crate) mod hex;
pub mod inspect;
pub mod lock;
pub mod message;
pub mod random;
pub mod record;
pub mod retire;
pub mod scope;
pub mod sequoia;
pub mod serve;
pub mod serving;
pub mod start;
pub mod timing;
pub mod unresponsive;
