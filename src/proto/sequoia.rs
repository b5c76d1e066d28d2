//! The dialect of the published crate `sequoia-ipc`, for points that are shared with its programs.
//!
//! Who holds the point lock reads the point: 32 raw bytes of a cookie, then `127.0.0.1:PORT`. It dials, says the 32
//! bytes, and is a client; nobody answers. Where nothing is there, or the dial is refused, it listens, starts a server
//! that is given the listener as its standard input, and is itself the first to connect: what it says there is
//! that server's cookie from then on.
//!
//! [`record`] is what stands in the point, [`connect`] the client's machine, [`serve`] the server's. There is no
//! lifetime lock, no proof and no welcome, so much of what [`super::connect`] and [`super::serve`] promise is not
//! promised here: `docs/sequoia.md` has the list. What is: whoever changes the point holds its lock; only
//! *refused* and *reset* mean that a server is dead; and a client that says its cookie under the point lock is served,
//! or its server died.

pub mod connect;
pub mod inspect;
pub mod record;
pub mod serve;

#[cfg(test)]
mod tests;
