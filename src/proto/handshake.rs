//! The handshake: client and server prove to each other that they know the cookie, without sending it.
//!
//! ```text
//! client                                   server
//!   Hello    version, intent, nonce    ─▶
//!            nonce, answer, proof     ◀─    Prove
//!   Proof    proof                     ─▶   Admit: verify, count, and
//!            pid, version, clients    ◀─    Welcome, in one step
//! ```
//!
//! A proof is an HMAC-SHA256 keyed by the cookie. It covers the messages before it, the server's address and its scope.
//! So these attacks fail: a process that does not know the cookie, a relay from another address, a replay, a
//! reflection, a downgrade, and a connection to oneself. A server that refuses a client does so inside its proof, so a
//! process that does not know the cookie cannot send a refusal.
//!
//! All messages have fixed sizes, so neither side reads a byte that belongs to the stream after the handshake. The size
//! of Hello, its first seven bytes, and the size of the server's proof are frozen for all versions.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

use super::cookie::Cookie;
use super::random::Random;
use super::record::Record;

/// The version of this handshake.
pub const PROTOCOL: u16 = 1;

/// The length of a hello in bytes.
pub const HELLO: usize = 4 + 2 + 1 + 32;
/// The length of the server's proof in bytes.
pub const SERVER_PROOF: usize = 32 + ANSWER + MAC;
/// The length of the client's proof in bytes.
pub const CLIENT_PROOF: usize = MAC;
/// The length of a welcome in bytes.
pub const WELCOME: usize = 1 + 4 + 4 + 8 + 4;

const MAGIC: [u8; 4] = *b"RDVZ";
const ANSWER: usize = 1 + 2 + 4;
const MAC: usize = 32;
const WELCOMED: u8 = b'W';

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

/// The server's answer to a hello, sent inside its proof.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Answer {
    /// Whether the server continues the handshake.
    pub verdict: Verdict,
    /// The version of the handshake that the server speaks.
    pub protocol: u16,
    /// The version of the service that the server offers.
    pub service: u32,
}

/// Whether the server continues the handshake, or why it refuses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// The server continues.
    Yes = 0,
    /// The server does not speak the client's version.
    VersionUnsupported = 1,
    /// The server does not know the client's intent.
    IntentUnsupported = 2,
}

impl Answer {
    fn to_bytes(self) -> [u8; ANSWER] {
        let mut bytes = [self.verdict as u8; ANSWER];
        bytes[1..3].copy_from_slice(&self.protocol.to_be_bytes());
        bytes[3..].copy_from_slice(&self.service.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; ANSWER]) -> Option<Self> {
        let [verdict, p0, p1, s0, s1, s2, s3] = bytes;
        let verdict = [Verdict::Yes, Verdict::VersionUnsupported, Verdict::IntentUnsupported]
            .into_iter()
            .find(|known| *known as u8 == verdict)?;
        Some(Answer { verdict, protocol: u16::from_be_bytes([p0, p1]), service: u32::from_be_bytes([s0, s1, s2, s3]) })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            Verdict::Yes => f.write_str("yes"),
            Verdict::VersionUnsupported => {
                write!(f, "the server speaks version {} of the handshake, this program {PROTOCOL}", self.protocol)
            }
            Verdict::IntentUnsupported => f.write_str("the server does not know the request of this program"),
        }
    }
}

/// The server's last message, which describes the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Welcome {
    /// The PID of the server.
    pub pid: u32,
    /// The version of the service that the server offers.
    pub service: u32,
    /// The time since the server began to serve, in whole seconds.
    pub uptime: u64,
    /// The number of connected clients, the new one included.
    pub clients: u32,
}

impl Welcome {
    /// Encodes the bytes to send.
    pub fn to_bytes(self) -> [u8; WELCOME] {
        let mut bytes = [WELCOMED; WELCOME];
        bytes[1..5].copy_from_slice(&self.pid.to_be_bytes());
        bytes[5..9].copy_from_slice(&self.service.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.uptime.to_be_bytes());
        bytes[17..].copy_from_slice(&self.clients.to_be_bytes());
        bytes
    }

    /// Decodes a welcome, or returns `None` if the bytes are not one.
    pub fn from_bytes(bytes: &[u8; WELCOME]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (pid, rest) = rest.split_first_chunk()?;
        let (service, rest) = rest.split_first_chunk()?;
        let (uptime, rest) = rest.split_first_chunk()?;
        let (clients, _) = rest.split_first_chunk()?;
        (*kind == WELCOMED).then_some(Welcome {
            pid: u32::from_be_bytes(*pid),
            service: u32::from_be_bytes(*service),
            uptime: u64::from_be_bytes(*uptime),
            clients: u32::from_be_bytes(*clients),
        })
    }
}

/// The client's side of a handshake: the hello that it sends.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hello {
    intent: u8,
    version: u16,
    nonce: Nonce,
}

impl Hello {
    /// Makes a hello with a new nonce.
    pub fn new(intent: Intent, random: Random) -> Self {
        Hello { intent: intent as u8, version: PROTOCOL, nonce: Nonce::drawn(random) }
    }

    /// Returns the client's nonce.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// Encodes the bytes to send.
    pub fn to_bytes(&self) -> [u8; HELLO] {
        let mut bytes = [0; HELLO];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.version.to_be_bytes());
        bytes[6] = self.intent;
        bytes[7..].copy_from_slice(&self.nonce.0);
        bytes
    }

    fn from_bytes(bytes: &[u8; HELLO]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (intent, rest) = rest.split_first()?;
        let (nonce, _) = rest.split_first_chunk()?;
        (*magic == MAGIC).then_some(Hello {
            intent: *intent,
            version: u16::from_be_bytes(*version),
            nonce: Nonce(*nonce),
        })
    }

    /// Verifies the server's proof and returns the client's own.
    pub fn judge(&self, record: &Record, bytes: &[u8; SERVER_PROOF]) -> Result<[u8; CLIENT_PROOF], Rejected> {
        let (nonce, rest) = bytes.split_first_chunk().ok_or(Rejected::WrongProof)?;
        let (answer, proof) = rest.split_first_chunk().ok_or(Rejected::WrongProof)?;
        let transcript = Transcript { hello: self, nonce: Nonce(*nonce), answer };
        transcript.verify(record, Role::Server, proof)?;
        match Answer::from_bytes(*answer) {
            Some(Answer { verdict: Verdict::Yes, .. }) => Ok(transcript.proof(record, Role::Client)),
            Some(refusal) => Err(Rejected::Unsupported(refusal)),
            None => Err(Rejected::InvalidReply),
        }
    }
}

/// The reason why a client rejects the peer that answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rejected {
    /// The peer does not know the cookie: another program listens there.
    WrongProof,
    /// The peer knows the cookie, and sent an answer that this version does not define.
    InvalidReply,
    /// The peer knows the cookie, and refuses.
    Unsupported(Answer),
}

/// The server's side of a handshake: the hello that it received, its own nonce and its answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prove {
    hello: Hello,
    nonce: Nonce,
    answer: Answer,
}

impl Prove {
    /// Decodes a hello and chooses the answer, or returns `None` if the bytes are not a hello.
    pub fn hello(bytes: &[u8; HELLO], random: Random, service: u32) -> Option<Self> {
        let hello = Hello::from_bytes(bytes)?;
        let verdict = match (hello.version, Intent::from_byte(hello.intent)) {
            (PROTOCOL, Some(_)) => Verdict::Yes,
            (PROTOCOL, None) => Verdict::IntentUnsupported,
            _ => Verdict::VersionUnsupported,
        };
        Some(Prove { hello, nonce: Nonce::drawn(random), answer: Answer { verdict, protocol: PROTOCOL, service } })
    }

    /// Returns the client's nonce.
    pub fn nonce(&self) -> Nonce {
        self.hello.nonce
    }

    /// Encodes the bytes to send.
    pub fn to_bytes(&self, record: &Record) -> [u8; SERVER_PROOF] {
        let answer = self.answer.to_bytes();
        let mut bytes = [0; SERVER_PROOF];
        bytes[..32].copy_from_slice(&self.nonce.0);
        bytes[32..32 + ANSWER].copy_from_slice(&answer);
        bytes[32 + ANSWER..].copy_from_slice(&self.transcript(&answer).proof(record, Role::Server));
        bytes
    }

    /// Verifies the client's proof and returns its intent, or `None` if the client is refused.
    pub fn judge(&self, record: &Record, proof: &[u8; CLIENT_PROOF]) -> Option<Intent> {
        let answer = self.answer.to_bytes();
        self.transcript(&answer).verify(record, Role::Client, proof).ok()?;
        match self.answer.verdict {
            Verdict::Yes => Intent::from_byte(self.hello.intent),
            Verdict::VersionUnsupported | Verdict::IntentUnsupported => None,
        }
    }

    fn transcript<'a>(&'a self, answer: &'a [u8; ANSWER]) -> Transcript<'a> {
        Transcript { hello: &self.hello, nonce: self.nonce, answer }
    }
}

#[derive(Clone, Copy)]
enum Role {
    Client = 1,
    Server = 2,
}

/// The content of both sides' messages, which both proofs cover.
struct Transcript<'a> {
    hello: &'a Hello,
    nonce: Nonce,
    answer: &'a [u8; ANSWER],
}

impl Transcript<'_> {
    fn proof(&self, record: &Record, role: Role) -> [u8; MAC] {
        self.mac(record, role).finalize().into_bytes().into()
    }

    /// Verifies a proof in constant time.
    fn verify(&self, record: &Record, role: Role, proof: &[u8]) -> Result<(), Rejected> {
        self.mac(record, role).verify_slice(proof).map_err(|_| Rejected::WrongProof)
    }

    fn mac(&self, record: &Record, role: Role) -> Hmac<Sha256> {
        // HMAC pads a short key with zeros to the block size of the hash. A key of that size cannot be refused.
        let mut key = [0; 64];
        key[..Cookie::LEN].copy_from_slice(record.cookie.expose());
        let mut mac = Hmac::<Sha256>::new(&key.into());
        key.zeroize();
        for part in [
            &b"rendezvous-ipc handshake"[..],
            b"native",
            &[role as u8],
            &self.hello.version.to_be_bytes(),
            &[self.hello.intent],
            &record.scope.boot,
            &record.scope.namespace.to_be_bytes(),
            record.scope.machine.as_ref().map_or(&[], |machine| &machine[..]),
            &record.address.to_bytes(),
            &self.hello.nonce.0,
            &self.nonce.0,
            self.answer,
        ] {
            mac.update(&[part.len() as u8]);
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::record::tests::sample;
    use crate::proto::scope::Scope;

    const OURS: Random = Random::drawn([5; 32]);
    const THEIRS: Random = Random::drawn([6; 32]);

    /// Runs a handshake up to both proofs. Each side has its own idea of the record.
    fn run(client: &Record, server: &Record, intent: Intent) -> (Result<[u8; CLIENT_PROOF], Rejected>, Option<Intent>) {
        let hello = Hello::new(intent, OURS);
        let prove = Prove::hello(&hello.to_bytes(), THEIRS, server.version).unwrap();
        let proof = hello.judge(client, &prove.to_bytes(server));
        let admitted = proof.ok().and_then(|proof| prove.judge(server, &proof));
        (proof, admitted)
    }

    #[test]
    fn two_sides_that_know_the_cookie_agree_on_the_intent() {
        for intent in [Intent::Connect, Intent::Status, Intent::Retire] {
            assert_eq!(run(&sample(), &sample(), intent).1, Some(intent));
        }
    }

    #[test]
    fn a_client_rejects_another_cookie_address_or_scope() {
        let mine = sample();
        for other in [
            Record { cookie: Cookie::new([4; 32]), ..mine.clone() },
            Record { address: "127.0.0.1:4712".parse().unwrap(), ..mine.clone() },
            Record { address: "[::1]:4711".parse().unwrap(), ..mine.clone() },
            Record { address: "unix:00112233aabbccdd".parse().unwrap(), ..mine.clone() },
            Record { scope: Scope { namespace: 1, ..mine.scope }, ..mine.clone() },
            Record { scope: Scope { boot: [9; 16], ..mine.scope }, ..mine.clone() },
            Record { scope: Scope { machine: None, ..mine.scope }, ..mine.clone() },
        ] {
            assert_eq!(run(&mine, &other, Intent::Connect), (Err(Rejected::WrongProof), None), "{other:?}");
        }
    }

    #[test]
    fn a_proof_with_any_byte_changed_is_wrong() {
        let hello = Hello::new(Intent::Connect, OURS);
        let prove = Prove::hello(&hello.to_bytes(), THEIRS, 1).unwrap();
        let good = prove.to_bytes(&sample());
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] ^= 0x40;
            assert_eq!(hello.judge(&sample(), &bad), Err(Rejected::WrongProof), "byte {at}");
        }
        let good = hello.judge(&sample(), &good).unwrap();
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] ^= 1;
            assert_eq!(prove.judge(&sample(), &bad), None, "byte {at}");
        }
    }

    #[test]
    fn neither_side_accepts_its_own_proof() {
        let hello = Hello::new(Intent::Connect, OURS);
        let prove = Prove::hello(&hello.to_bytes(), THEIRS, 1).unwrap();
        let server = prove.to_bytes(&sample());
        let reflected = server[SERVER_PROOF - MAC..].try_into().unwrap();
        assert_eq!(prove.judge(&sample(), &reflected), None);
        let client = hello.judge(&sample(), &server).unwrap();
        let mut reflected = server;
        reflected[SERVER_PROOF - MAC..].copy_from_slice(&client);
        assert_eq!(hello.judge(&sample(), &reflected), Err(Rejected::WrongProof));
    }

    #[test]
    fn a_proof_of_another_handshake_is_wrong() {
        let hello = Hello::new(Intent::Connect, OURS);
        let prove = Prove::hello(&hello.to_bytes(), THEIRS, 1).unwrap();
        let again = Hello::new(Intent::Connect, Random::drawn([7; 32]));
        assert_eq!(again.judge(&sample(), &prove.to_bytes(&sample())), Err(Rejected::WrongProof));
        let proof = hello.judge(&sample(), &prove.to_bytes(&sample())).unwrap();
        let prove_again = Prove::hello(&hello.to_bytes(), Random::drawn([8; 32]), 1).unwrap();
        assert_eq!(prove_again.judge(&sample(), &proof), None);
    }

    #[test]
    fn a_refusal_is_proved_and_ends_the_handshake() {
        let newer = Hello { version: 9, ..Hello::new(Intent::Connect, OURS) };
        let unknown = Hello { intent: 77, ..Hello::new(Intent::Connect, OURS) };
        for (hello, verdict) in [(newer, Verdict::VersionUnsupported), (unknown, Verdict::IntentUnsupported)] {
            let prove = Prove::hello(&hello.to_bytes(), THEIRS, 3).unwrap();
            let answer = Answer { verdict, protocol: PROTOCOL, service: 3 };
            let mut bytes = prove.to_bytes(&sample());
            assert_eq!(hello.judge(&sample(), &bytes), Err(Rejected::Unsupported(answer)));
            bytes[32] = Verdict::Yes as u8;
            assert_eq!(hello.judge(&sample(), &bytes), Err(Rejected::WrongProof));
            let answer = answer.to_bytes();
            let proof = prove.transcript(&answer).proof(&sample(), Role::Client);
            assert_eq!(prove.judge(&sample(), &proof), None);
        }
    }

    #[test]
    fn a_refusal_shows_both_versions() {
        let answer = Answer { verdict: Verdict::VersionUnsupported, protocol: 9, service: 3 };
        assert_eq!(answer.to_string(), "the server speaks version 9 of the handshake, this program 1");
    }

    #[test]
    fn bytes_without_the_magic_are_not_a_hello() {
        let mut bytes = Hello::new(Intent::Connect, OURS).to_bytes();
        bytes[0] ^= 1;
        assert_eq!(Prove::hello(&bytes, THEIRS, 1), None);
    }

    #[test]
    fn a_welcome_decodes_and_garbage_does_not() {
        let welcome = Welcome { pid: 1, service: 2, uptime: 3, clients: 4 };
        assert_eq!(Welcome::from_bytes(&welcome.to_bytes()), Some(welcome));
        assert_eq!(Welcome::from_bytes(&[0; WELCOME]), None);
    }

    #[test]
    fn no_message_contains_the_cookie() {
        let hello = Hello::new(Intent::Connect, OURS);
        let prove = Prove::hello(&hello.to_bytes(), THEIRS, 1).unwrap();
        let proof = hello.judge(&sample(), &prove.to_bytes(&sample())).unwrap();
        let wire = [&hello.to_bytes()[..], &prove.to_bytes(&sample()), &proof].concat();
        assert!(!wire.windows(4).any(|window| window == [3; 4]));
    }
}
