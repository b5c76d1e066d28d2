//! What a proof covers: all that both sides know and have said so far.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

use super::answer;
use super::{Nonce, PROTOCOL};
use crate::proto::cookie::Cookie;
use crate::proto::identity::Identity;
use crate::proto::record::Record;

/// The length of a MAC in bytes.
pub(super) const MAC: usize = 32;

/// Which message a MAC ends.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// The client's proof.
    Client = 1,
    /// The server's proof.
    Server = 2,
    /// The server's welcome, or what it sends in its place.
    Admission = 3,
}

/// The content of a handshake up to the server's answer, which all proofs cover.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Transcript {
    pub(super) version: u16,
    pub(super) intent: u8,
    /// The nonce of the client.
    pub(super) client: Nonce,
    /// The nonce of the server.
    pub(super) server: Nonce,
    pub(super) answer: [u8; answer::LEN],
    pub(super) point: Identity,
}

impl Transcript {
    /// Returns the MAC that ends the message of this role. `said` is what the messages after the answer contain.
    pub(super) fn mac(&self, record: &Record, role: Role, said: &[&[u8]]) -> [u8; MAC] {
        self.hmac(record, role, said).finalize().into_bytes().into()
    }

    /// Verifies a MAC in constant time.
    pub(super) fn verify(&self, record: &Record, role: Role, said: &[&[u8]], mac: &[u8; MAC]) -> bool {
        self.hmac(record, role, said).verify_slice(mac).is_ok()
    }

    fn hmac(&self, record: &Record, role: Role, said: &[&[u8]]) -> Hmac<Sha256> {
        // HMAC pads a short key with zeros to the block size of the hash. A key of that size cannot be refused.
        let mut key = [0; 64];
        key[..Cookie::LEN].copy_from_slice(record.cookie.expose());
        let mut mac = Hmac::<Sha256>::new(&key.into());
        key.zeroize();
        let mut part = |part: &[u8]| {
            mac.update(&[part.len() as u8]);
            mac.update(part);
        };
        // An answer of another version than the hello's ends the handshake. All versions prove it as version 1 did.
        let is_frozen = self.version != PROTOCOL || answer::protocol(&self.answer) != PROTOCOL;
        part(if is_frozen { b"rendezvous-ipc handshake" } else { b"rendezvous-ipc handshake 2" });
        part(b"native");
        part(&[role as u8]);
        part(&self.version.to_be_bytes());
        part(&[self.intent]);
        part(&record.scope.boot);
        part(&record.scope.namespace.to_be_bytes());
        part(record.scope.machine.as_ref().map_or(&[], |machine| &machine[..]));
        part(&record.address.to_bytes());
        if !is_frozen {
            part(self.point.bytes());
        }
        part(self.client.bytes());
        part(self.server.bytes());
        part(&self.answer);
        said.iter().copied().for_each(part);
        mac
    }
}
