//! The handshake: client and server prove to each other that they know the cookie, without sending it.
//!
//! ```text
//! client                                   server
//!   Hello    version, intent, nonce    ─▶
//!            nonce, answer, MAC       ◀─    Prove
//!   Proof    tag, service, MAC         ─▶   Admit: verify, count, and
//!            verdict, facts, tag, MAC ◀─    Welcome, in one step
//! ```
//!
//! A MAC is an HMAC-SHA256 keyed by the cookie. It covers the messages before it, the server's address, its scope and
//! the identity of the point. So these attacks fail: a process that does not know the cookie, a relay from another
//! address, the server of a copied home, a replay, a reflection, a downgrade, and a connection to oneself. A server that
//! refuses a client does so inside a proof, so a process that does not know the cookie cannot send a refusal.
//!
//! All messages have fixed sizes, so neither side reads a byte that belongs to the stream after the handshake.
//!
//! **Frozen for all versions** are the size of Hello and its first seven bytes, the size of the server's proof and its
//! answer, and the MAC of an answer of another version than the hello's. So each version can refuse each
//! other.

mod answer;
mod client;
mod server;
mod transcript;
mod welcome;

pub use self::answer::{Answer, Verdict};
pub use self::client::{Agreed, Hello, Rejected};
pub use self::server::{Asked, Prove};
use self::transcript::MAC;
pub use self::welcome::{Admission, Welcome};
use super::identity::Identity;
use super::random::Random;
use super::tag::Tag;

/// The version of this handshake.
pub const PROTOCOL: u16 = 2;

/// The length of a hello in bytes.
pub const HELLO: usize = 4 + 2 + 1 + 32;
/// The length of the server's proof in bytes.
pub const SERVER_PROOF: usize = 32 + answer::LEN + MAC;
/// The length of the client's proof in bytes.
pub const CLIENT_PROOF: usize = client::CLAIM + MAC;
/// The length of a welcome in bytes, and of what a server sends in its place.
pub const WELCOME: usize = welcome::LEN + MAC;

/// Random bytes that make a handshake unique.
///
/// A nonce is not secret: each side sends its own. Only [`Hello::new`] and [`Prove::hello`] make new ones, from random
/// bytes that they consume.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Nonce([u8; 32]);

impl Nonce {
    fn drawn(random: Random) -> Self {
        Nonce(random.used())
    }

    /// Returns the bytes that are sent.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a client asks of a server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Intent {
    /// Service. The server counts only these clients.
    Connect = 1,
    /// The server's status.
    Status = 2,
    /// That the server retires. The connection stays open until the server is about to exit.
    Retire = 3,
}

impl Intent {
    fn from_byte(byte: u8) -> Option<Self> {
        [Intent::Connect, Intent::Status, Intent::Retire].into_iter().find(|intent| *intent as u8 == byte)
    }
}

/// What one side of a handshake knows and states of itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Party {
    /// The point, as this side sees it. It is not sent: both proofs cover it.
    pub point: Identity,
    /// The tag of the protocol that this side speaks.
    pub tag: Tag,
    /// The version of the service: of a server the one that it offers; of a client its own, or 0 if it has none.
    pub service: u32,
}

impl Party {
    /// Returns a side at this point that states neither a protocol nor a version.
    pub const fn at(point: Identity) -> Self {
        Party { point, tag: Tag::NONE, service: 0 }
    }
}

#[cfg(test)]
mod tests;
