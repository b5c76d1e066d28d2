//! The server's side of a handshake.

use super::client::{CLAIM, Wire};
use super::transcript::{Role, Transcript};
use super::welcome::{self, Admission, Welcome};
use super::{Answer, CLIENT_PROOF, HELLO, Intent, Nonce, PROTOCOL, Party, SERVER_PROOF, Verdict, WELCOME, answer};
use crate::proto::random::Random;
use crate::proto::record::Record;
use crate::proto::tag::Tag;

/// The hello that a server received, with its own nonce and its answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prove {
    transcript: Transcript,
    verdict: Verdict,
}

impl Prove {
    /// Decodes a hello and chooses the answer, or returns `None` if the bytes are not a hello.
    pub fn hello(bytes: &[u8; HELLO], party: Party, random: Random) -> Option<Self> {
        let hello = Wire::from_bytes(bytes)?;
        let verdict = match (hello.version, Intent::from_byte(hello.intent)) {
            (PROTOCOL, Some(_)) => Verdict::Yes,
            (PROTOCOL, None) => Verdict::IntentUnsupported,
            _ => Verdict::VersionUnsupported,
        };
        let answer = Answer { verdict, protocol: PROTOCOL, service: party.service }.to_bytes();
        Some(Prove { transcript: hello.answered(Nonce::drawn(random), answer, party), verdict })
    }

    /// Returns the client's nonce.
    pub fn nonce(&self) -> Nonce {
        self.transcript.client
    }

    /// Returns whether the server refuses the client. Its proof is then its last message.
    pub fn refuses(&self) -> bool {
        self.verdict != Verdict::Yes
    }

    /// Encodes the bytes to send.
    pub fn to_bytes(&self, record: &Record) -> [u8; SERVER_PROOF] {
        let mut bytes = [0; SERVER_PROOF];
        bytes[..32].copy_from_slice(self.transcript.server.bytes());
        bytes[32..32 + answer::LEN].copy_from_slice(&self.transcript.answer);
        bytes[32 + answer::LEN..].copy_from_slice(&self.transcript.mac(record, Role::Server, &[]));
        bytes
    }

    /// Verifies the client's proof and returns its request, or `None` if the client is refused without a word.
    pub fn judge(&self, record: &Record, proof: &[u8; CLIENT_PROOF]) -> Option<Asked> {
        let (claim, rest) = proof.split_first_chunk::<CLAIM>()?;
        if self.refuses() || !self.transcript.verify(record, Role::Client, &[claim], rest.first_chunk()?) {
            return None;
        }
        let (tag, service) = claim.split_first_chunk()?;
        Some(Asked {
            intent: Intent::from_byte(self.transcript.intent)?,
            tag: Tag::from_bytes(*tag)?,
            service: u32::from_be_bytes(*service.first_chunk()?),
            transcript: self.transcript,
            claim: *claim,
        })
    }
}

/// The request of a client that has proved that it knows the cookie.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Asked {
    /// What it asks for.
    pub intent: Intent,
    /// The tag of the protocol that it speaks.
    pub tag: Tag,
    /// Its version of the service. With [`Intent::Retire`]: the version that it will start instead, or 0 if it will
    /// start none.
    pub service: u32,
    transcript: Transcript,
    claim: [u8; CLAIM],
}

impl Asked {
    /// Returns whether this client is told that the server of this tag speaks another protocol. The tags matter only to
    /// a client that wants to be served: a service may change its protocol with a new version, whose clients retire the
    /// old server.
    pub fn speaks_another(&self, tag: &Tag) -> bool {
        self.intent == Intent::Connect && !self.tag.agrees(tag)
    }

    /// Encodes the server's last message.
    pub fn reply(&self, record: &Record, admission: Admission, welcome: Welcome) -> [u8; WELCOME] {
        let said = welcome.to_bytes(admission);
        let mut bytes = [0; WELCOME];
        bytes[..welcome::LEN].copy_from_slice(&said);
        bytes[welcome::LEN..].copy_from_slice(&self.transcript.mac(record, Role::Admission, &[&self.claim, &said]));
        bytes
    }
}
