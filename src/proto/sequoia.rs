//! The dialect of the published crate `sequoia-ipc`, for points that are shared with its programs.
//!
//! A client takes the point lock and reads the point: 32 raw bytes of a cookie, then `127.0.0.1:PORT`. It dials and
//! sends the 32 bytes, which makes it a client; the server sends no reply. If the point is empty or the dial is
//! refused, the client listens, starts a server that gets the listener as its standard input, and is itself the first
//! to connect. The bytes that it sends on this connection are the server's cookie.
//!
//! [`record`] defines the content of the point, [`connect`] the client's machine, [`serve`] the server's. The dialect
//! has no lifetime lock, no proof and no welcome, so it lacks many guarantees of [`super::connect`] and
//! [`super::serve`]: `docs/sequoia.md` lists them. It does guarantee that a process changes the point only under its
//! lock; that only *refused* and *reset* mean that a server is dead; and that a client that sends its cookie under the
//! point lock is served unless its server dies.

pub mod connect;
pub mod inspect;
pub mod record;
pub mod serve;
mod waiting;

#[cfg(test)]
mod tests;
