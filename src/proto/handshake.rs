//! How a client and a server prove to each other that both know the cookie, which never crosses the wire.
//!
//! ```text
//! client                                   server
//!   Hello    version, intent, nonce    ─▶
//!            nonce, answer, proof     ◀─    Prove
//!   Proof    proof                     ─▶   Admit: verify, count, and
//!            pid, version, clients    ◀─    Welcome, in one step
//! ```
//!
//! A proof is an HMAC-SHA256 keyed by the cookie over everything that was said and everything that both
//! know about where they are, so a stranger, a relay from another address, a replay, a reflection, a
//! downgrade and a connection to oneself all fail. A *no* of the server stands inside its proof: a
//! stranger cannot say it.
//!
//! The sizes of all messages are fixed, so neither side ever reads a byte that belongs to what comes
//! after the handshake. Hello's size, its first seven bytes and those of the server's proof are frozen
//! for all versions.

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

/// Random bytes that make one handshake unlike every other.
///
/// It is no secret: it crosses the wire. A fresh one is made only by [`Hello::new`] and [`Prove::hello`], of random bytes
/// that nothing else can use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Nonce([u8; 32]);

impl Nonce {
    fn drawn(random: Random) -> Self {
        Nonce(random.used())
    }

    /// The bytes that cross the wire.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a client wants of a server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Intent {
    /// To be served. Only this is counted.
    Connect = 1,
    /// To know that the server lives, and how it is.
    Status = 2,
    /// To have it retire; the connection stays open until the server is about to exit.
    Retire = 3,
}

impl Intent {
    fn from_byte(byte: u8) -> Option<Self> {
        [Intent::Connect, Intent::Status, Intent::Retire].into_iter().find(|intent| *intent as u8 == byte)
    }
}

/// What the server answers to a hello, inside its proof.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Answer {
    /// Whether it will go on.
    pub verdict: Verdict,
    /// The version of the handshake that it speaks.
    pub protocol: u16,
    /// The version of the service that it offers.
    pub service: u32,
}

/// Yes, or why not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// It goes on.
    Yes = 0,
    /// It does not speak the client's version.
    VersionUnsupported = 1,
    /// It does not know the client's intent.
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
            Verdict::IntentUnsupported => f.write_str("the server does not know what this program asks for"),
        }
    }
}

/// What a welcome says of the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Welcome {
    /// Its process.
    pub pid: u32,
    /// The version of the service that it offers.
    pub service: u32,
    /// For how long it has served, in whole seconds.
    pub uptime: u64,
    /// How many clients it counts, a new one included.
    pub clients: u32,
}

impl Welcome {
    /// The bytes to send.
    pub fn to_bytes(self) -> [u8; WELCOME] {
        let mut bytes = [WELCOMED; WELCOME];
        bytes[1..5].copy_from_slice(&self.pid.to_be_bytes());
        bytes[5..9].copy_from_slice(&self.service.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.uptime.to_be_bytes());
        bytes[17..].copy_from_slice(&self.clients.to_be_bytes());
        bytes
    }

    /// Reads what a server sent; nothing else than a welcome is sent there.
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

/// The client's side: what it said.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hello {
    intent: u8,
    version: u16,
    nonce: Nonce,
}

impl Hello {
    /// Says hello, with a nonce of its own.
    pub fn new(intent: Intent, random: Random) -> Self {
        Hello { intent: intent as u8, version: PROTOCOL, nonce: Nonce::drawn(random) }
    }

    /// The nonce of this handshake.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// The bytes to send.
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

    /// Judges the server's proof and answers with the client's own.
    pub fn judge(&self, record: &Record, bytes: &[u8; SERVER_PROOF]) -> Result<[u8; CLIENT_PROOF], Rejected> {
        let (nonce, rest) = bytes.split_first_chunk().ok_or(Rejected::WrongProof)?;
        let (answer, proof) = rest.split_first_chunk().ok_or(Rejected::WrongProof)?;
        let said = Said { hello: self, nonce: Nonce(*nonce), answer };
        said.verify(record, Role::Server, proof)?;
        match Answer::from_bytes(*answer) {
            Some(Answer { verdict: Verdict::Yes, .. }) => Ok(said.proof(record, Role::Client)),
            Some(no) => Err(Rejected::Unsupported(no)),
            None => Err(Rejected::Garbage),
        }
    }
}

/// Why a client goes no further with what answered it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rejected {
    /// It does not know the cookie: somebody else listens there.
    WrongProof,
    /// It knows the cookie, and says what nobody says.
    Garbage,
    /// It knows the cookie, and says no.
    Unsupported(Answer),
}

/// The server's side: a hello that came, and the nonce and the answer given to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prove {
    hello: Hello,
    nonce: Nonce,
    answer: Answer,
}

impl Prove {
    /// Takes a hello, or `None` where the bytes are none.
    pub fn hello(bytes: &[u8; HELLO], random: Random, service: u32) -> Option<Self> {
        let hello = Hello::from_bytes(bytes)?;
        let verdict = match (hello.version, Intent::from_byte(hello.intent)) {
            (PROTOCOL, Some(_)) => Verdict::Yes,
            (PROTOCOL, None) => Verdict::IntentUnsupported,
            _ => Verdict::VersionUnsupported,
        };
        Some(Prove { hello, nonce: Nonce::drawn(random), answer: Answer { verdict, protocol: PROTOCOL, service } })
    }

    /// The client's nonce.
    pub fn nonce(&self) -> Nonce {
        self.hello.nonce
    }

    /// The bytes to send.
    pub fn to_bytes(&self, record: &Record) -> [u8; SERVER_PROOF] {
        let answer = self.answer.to_bytes();
        let mut bytes = [0; SERVER_PROOF];
        bytes[..32].copy_from_slice(&self.nonce.0);
        bytes[32..32 + ANSWER].copy_from_slice(&answer);
        bytes[32 + ANSWER..].copy_from_slice(&self.said(&answer).proof(record, Role::Server));
        bytes
    }

    /// Judges the client's proof: what it may now ask for, or `None` where it is refused.
    pub fn judge(&self, record: &Record, proof: &[u8; CLIENT_PROOF]) -> Option<Intent> {
        let answer = self.answer.to_bytes();
        self.said(&answer).verify(record, Role::Client, proof).ok()?;
        match self.answer.verdict {
            Verdict::Yes => Intent::from_byte(self.hello.intent),
            Verdict::VersionUnsupported | Verdict::IntentUnsupported => None,
        }
    }

    fn said<'a>(&'a self, answer: &'a [u8; ANSWER]) -> Said<'a> {
        Said { hello: &self.hello, nonce: self.nonce, answer }
    }
}

#[derive(Clone, Copy)]
enum Role {
    Client = 1,
    Server = 2,
}

/// All that was said before the proofs, each side's own words and the other's.
struct Said<'a> {
    hello: &'a Hello,
    nonce: Nonce,
    answer: &'a [u8; ANSWER],
}

impl Said<'_> {
    fn proof(&self, record: &Record, role: Role) -> [u8; MAC] {
        self.mac(record, role).finalize().into_bytes().into()
    }

    /// In constant time.
    fn verify(&self, record: &Record, role: Role, proof: &[u8]) -> Result<(), Rejected> {
        self.mac(record, role).verify_slice(proof).map_err(|_| Rejected::WrongProof)
    }

    fn mac(&self, record: &Record, role: Role) -> Hmac<Sha256> {
        // A key shorter than the hash's block is the same key padded with zeros: so there is nothing to fail.
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

    /// A whole handshake up to the two proofs, with what each side believes the record to be.
    fn run(client: &Record, server: &Record, intent: Intent) -> (Result<[u8; CLIENT_PROOF], Rejected>, Option<Intent>) {
        let hello = Hello::new(intent, OURS);
        let prove = Prove::hello(&hello.to_bytes(), THEIRS, server.version).unwrap();
        let proof = hello.judge(client, &prove.to_bytes(server));
        let admitted = proof.ok().and_then(|proof| prove.judge(server, &proof));
        (proof, admitted)
    }

    #[test]
    fn both_sides_that_know_the_cookie_agree_on_the_intent() {
        for intent in [Intent::Connect, Intent::Status, Intent::Retire] {
            assert_eq!(run(&sample(), &sample(), intent).1, Some(intent));
        }
    }

    #[test]
    fn a_server_of_another_cookie_address_or_scope_is_an_impostor() {
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
    fn a_proof_changed_anywhere_is_wrong() {
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
    fn neither_side_takes_its_own_proof_back() {
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
    fn a_no_is_proved_and_a_client_that_got_one_is_refused() {
        let newer = Hello { version: 9, ..Hello::new(Intent::Connect, OURS) };
        let unknown = Hello { intent: 77, ..Hello::new(Intent::Connect, OURS) };
        for (hello, verdict) in [(newer, Verdict::VersionUnsupported), (unknown, Verdict::IntentUnsupported)] {
            let prove = Prove::hello(&hello.to_bytes(), THEIRS, 3).unwrap();
            let answer = Answer { verdict, protocol: PROTOCOL, service: 3 };
            let mut bytes = prove.to_bytes(&sample());
            assert_eq!(hello.judge(&sample(), &bytes), Err(Rejected::Unsupported(answer)));
            bytes[32] = Verdict::Yes as u8;
            assert_eq!(hello.judge(&sample(), &bytes), Err(Rejected::WrongProof));
            let said = answer.to_bytes();
            let proof = prove.said(&said).proof(&sample(), Role::Client);
            assert_eq!(prove.judge(&sample(), &proof), None);
        }
    }

    #[test]
    fn a_no_says_both_versions() {
        let answer = Answer { verdict: Verdict::VersionUnsupported, protocol: 9, service: 3 };
        assert_eq!(answer.to_string(), "the server speaks version 9 of the handshake, this program 1");
    }

    #[test]
    fn what_does_not_begin_as_a_hello_is_none() {
        let mut bytes = Hello::new(Intent::Connect, OURS).to_bytes();
        bytes[0] ^= 1;
        assert_eq!(Prove::hello(&bytes, THEIRS, 1), None);
    }

    #[test]
    fn a_welcome_reads_back_and_garbage_is_none() {
        let welcome = Welcome { pid: 1, service: 2, uptime: 3, clients: 4 };
        assert_eq!(Welcome::from_bytes(&welcome.to_bytes()), Some(welcome));
        assert_eq!(Welcome::from_bytes(&[0; WELCOME]), None);
    }

    #[test]
    fn nothing_that_is_sent_carries_the_cookie() {
        let hello = Hello::new(Intent::Connect, OURS);
        let prove = Prove::hello(&hello.to_bytes(), THEIRS, 1).unwrap();
        let proof = hello.judge(&sample(), &prove.to_bytes(&sample())).unwrap();
        let wire = [&hello.to_bytes()[..], &prove.to_bytes(&sample()), &proof].concat();
        assert!(!wire.windows(4).any(|window| window == [3; 4]));
    }
}
