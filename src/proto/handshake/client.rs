//! The client's side of a handshake.

use super::transcript::{MAC, Role, Transcript};
use super::welcome::{self, Welcome};
use super::{Answer, CLIENT_PROOF, HELLO, Intent, Nonce, PROTOCOL, Party, SERVER_PROOF, Verdict, WELCOME};
use crate::proto::random::Random;
use crate::proto::record::Record;
use crate::proto::tag::Tag;

const MAGIC: [u8; 4] = *b"RDVZ";

/// The length of the client's proof without its MAC in bytes: its tag and its version of the service.
pub(super) const CLAIM: usize = Tag::LEN + 4;

/// The hello that a client sends, and what the client states afterwards.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hello {
    pub(super) wire: Wire,
    party: Party,
}

/// The bytes of a hello after the magic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Wire {
    pub(super) version: u16,
    pub(super) intent: u8,
    pub(super) nonce: Nonce,
}

impl Hello {
    /// Makes a hello with a new nonce.
    pub fn new(intent: Intent, party: Party, random: Random) -> Self {
        let wire = Wire { version: PROTOCOL, intent: intent as u8, nonce: Nonce::drawn(random) };
        Hello { wire, party }
    }

    /// Returns the client's nonce.
    pub fn nonce(&self) -> Nonce {
        self.wire.nonce
    }

    /// Encodes the bytes to send.
    pub fn to_bytes(&self) -> [u8; HELLO] {
        self.wire.to_bytes()
    }

    /// Verifies the server's proof.
    pub fn judge(&self, record: &Record, bytes: &[u8; SERVER_PROOF]) -> Result<Agreed, Rejected> {
        let (nonce, rest) = bytes.split_first_chunk().ok_or(Rejected::WrongProof)?;
        let (answer, rest) = rest.split_first_chunk().ok_or(Rejected::WrongProof)?;
        let mac = rest.first_chunk().ok_or(Rejected::WrongProof)?;
        let transcript = self.wire.answered(Nonce(*nonce), *answer, self.party);
        if !transcript.verify(record, Role::Server, &[], mac) {
            return Err(Rejected::WrongProof);
        }
        match Answer::from_bytes(*answer) {
            Some(Answer { verdict: Verdict::Yes, .. }) => Ok(Agreed { transcript, party: self.party }),
            Some(refusal) => Err(Rejected::Unsupported(refusal)),
            None => Err(Rejected::InvalidReply),
        }
    }
}

impl Wire {
    pub(super) fn to_bytes(self) -> [u8; HELLO] {
        let mut bytes = [0; HELLO];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.version.to_be_bytes());
        bytes[6] = self.intent;
        bytes[7..].copy_from_slice(&self.nonce.0);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; HELLO]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (intent, rest) = rest.split_first()?;
        let (nonce, _) = rest.split_first_chunk()?;
        (*magic == MAGIC).then_some(Wire {
            version: u16::from_be_bytes(*version),
            intent: *intent,
            nonce: Nonce(*nonce),
        })
    }

    /// Returns the transcript with the server's nonce and answer, as this party sees it.
    pub(super) fn answered(self, server: Nonce, answer: [u8; super::answer::LEN], party: Party) -> Transcript {
        let Wire { version, intent, nonce } = self;
        Transcript { version, intent, client: nonce, server, answer, point: party.point }
    }
}

/// A handshake with a server that has proved that it knows the cookie. Only such a server gets the client's proof.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Agreed {
    transcript: Transcript,
    party: Party,
}

impl Agreed {
    /// Encodes the client's proof.
    pub fn proof(&self, record: &Record) -> [u8; CLIENT_PROOF] {
        let claim = claim(&self.party);
        let mut bytes = [0; CLIENT_PROOF];
        bytes[..CLAIM].copy_from_slice(&claim);
        bytes[CLAIM..].copy_from_slice(&self.transcript.mac(record, Role::Client, &[&claim]));
        bytes
    }

    /// Verifies the server's last message and returns its welcome, or why there is none.
    pub fn judge(&self, record: &Record, bytes: &[u8; WELCOME]) -> Result<Welcome, Rejected> {
        let (said, rest) = bytes.split_first_chunk::<{ welcome::LEN }>().ok_or(Rejected::InvalidReply)?;
        let mac: &[u8; MAC] = rest.first_chunk().ok_or(Rejected::InvalidReply)?;
        match self.transcript.verify(record, Role::Admission, &[&claim(&self.party), said], mac) {
            true => Welcome::from_bytes(said),
            false => Err(Rejected::InvalidReply),
        }
    }
}

fn claim(party: &Party) -> [u8; CLAIM] {
    let mut claim = [0; CLAIM];
    claim[..Tag::LEN].copy_from_slice(party.tag.bytes());
    claim[Tag::LEN..].copy_from_slice(&party.service.to_be_bytes());
    claim
}

/// The reason why a client rejects the peer that answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rejected {
    /// The peer does not know the cookie, or belongs to another point: another program listens there.
    WrongProof,
    /// The peer knows the cookie, and sent a message that this version does not define.
    InvalidReply,
    /// The peer knows the cookie, and refuses.
    Unsupported(Answer),
    /// The server speaks the protocol of this tag, and the client another one.
    OtherProtocol(Tag),
    /// The server has no room at the moment, beside so many clients.
    Full(u32),
    /// The server has no room, beside so many clients, and wants no client to wait for one.
    TurnedAway(u32),
}
