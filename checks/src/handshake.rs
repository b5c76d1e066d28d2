//! Clients and servers, and an attacker between them that keeps every message and delivers any of them.
//!
//! The oracle is the agreement of both ends. A client accepts a proof only if a server of its very record made it for
//! its very hello. A server admits a client only if the client accepted its very proof, with what the client stated,
//! and had not given up before the server answered; no other server admits it. A client accepts a last message only if a
//! server made it for its very proof, and a *no* of version 1 only if a server of its record refused its very hello.
//! These are the properties of `spec/handshake.tla`.

use std::net::IpAddr;

use arbitrary::Arbitrary;
use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::handshake::{
    Admission, Agreed, CLIENT_PROOF, HELLO, Hello, Intent, Party, Prove, Rejected, SERVER_PROOF, WELCOME, Welcome,
};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::Record;
use rendezvous_ipc::proto::scope::Scope;
use rendezvous_ipc::proto::tag::Tag;
use sha2::{Digest, Sha256};

use crate::script;

/// Runs the bytes as a script.
pub fn check(bytes: &[u8]) {
    run(&script::<Vec<Operation>>(bytes));
}

/// An operation. Clients, servers and messages are counted back from the last, which is 0.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Operation {
    /// A client that read this record sends a hello.
    Hello { record: Known, intent: Wanted, service: u8 },
    /// A server of this record receives a hello, and answers.
    Answer { record: Known, delivery: Delivery },
    /// A client that has not accepted a proof receives one, and sends its own if it accepts it.
    Judge { client: u8, delivery: Delivery },
    /// A server receives a client's proof, and welcomes the client or not.
    Admit { server: u8, delivery: Delivery, admission: u8 },
    /// A client that sent its proof receives a server's last message.
    Welcome { client: u8, delivery: Delivery },
    /// A stranger sends new bytes.
    Noise([u8; 8]),
    /// A server of version 1 and of this record receives a hello, and refuses it unless it is of that version.
    Old { record: Known, delivery: Delivery },
    /// A client gives up. What it sent may still be delivered.
    GiveUp { client: u8 },
}

/// A record: the service's, or one that differs from it in one field.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Known {
    Service,
    /// Differs in one byte, like boot and machine.
    OtherCookie(u8),
    OtherPort,
    OtherFamily,
    OtherBoot(u8),
    OtherNamespace,
    OtherMachine(u8),
    NoMachine,
    /// The record of a copied home: it is the service's, and the point is another.
    OtherPoint,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Wanted {
    Connect,
    Status,
    Retire,
}

/// Which message is delivered, and how it is altered.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Delivery {
    pub message: u8,
    pub tampering: Option<Tampering>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Tampering {
    /// Some bits of one byte are flipped.
    Flip { at: u8, bits: u8 },
    /// Its proof is replaced by that of another message.
    Proof { of: u8 },
    /// From `cut` on it is replaced by another message, from that one's `from` on.
    Splice { cut: u8, other: u8, from: u8 },
}

/// Applies the operations in order.
pub fn run(operations: &[Operation]) {
    let mut world = World::default();
    for operation in operations {
        world.apply(*operation, &|| format!("{operations:#?}"));
    }
}

impl Known {
    fn party(self) -> Party {
        Party::at(Identity::of(9, if matches!(self, Known::OtherPoint) { 2 } else { 1 }, b"point"))
    }

    fn is(self, other: Known) -> bool {
        (self.record(), self.party()) == (other.record(), other.party())
    }

    fn record(self) -> Record {
        let scope = Scope { boot: [1; 16], namespace: 7, machine: Some([2; 16]) };
        let address = |text: &str| text.parse().expect("an address");
        let service = Record {
            scope,
            address: address("127.0.0.1:81"),
            cookie: Cookie::new([3; 32]),
            pid: 4,
            started: 5,
            version: 6,
        };
        match self {
            Known::Service | Known::OtherPoint => service,
            Known::OtherCookie(at) => Record { cookie: Cookie::new(other([3; 32], at)), ..service },
            Known::OtherPort => Record { address: address("127.0.0.1:82"), ..service },
            Known::OtherFamily => Record { address: address("[::1]:81"), ..service },
            Known::OtherBoot(at) => Record { scope: Scope { boot: other([1; 16], at), ..scope }, ..service },
            Known::OtherNamespace => Record { scope: Scope { namespace: 9, ..scope }, ..service },
            Known::OtherMachine(at) => {
                Record { scope: Scope { machine: Some(other([2; 16], at)), ..scope }, ..service }
            }
            Known::NoMachine => Record { scope: Scope { machine: None, ..scope }, ..service },
        }
    }
}

/// The length of a MAC.
const MAC: usize = 32;

fn other<const N: usize>(mut bytes: [u8; N], at: u8) -> [u8; N] {
    bytes[usize::from(at) % N] ^= 1;
    bytes
}

/// A client: what it states, the proof that it accepted, and the one that it sent.
struct Client {
    known: Known,
    intent: Intent,
    party: Party,
    hello: Hello,
    gone: bool,
    judged: Option<([u8; SERVER_PROOF], Agreed, [u8; CLIENT_PROOF])>,
}

/// A server's side of one connection: what it received and sent.
struct Server {
    known: Known,
    received: [u8; HELLO],
    prove: Prove,
    sent: [u8; SERVER_PROOF],
    /// The hellos of the clients that had given up by then.
    late: Vec<[u8; HELLO]>,
    /// The client's proofs that it accepted, each with its own last message.
    admitted: Vec<([u8; CLIENT_PROOF], [u8; WELCOME])>,
}

#[derive(Default)]
struct World {
    clients: Vec<Client>,
    servers: Vec<Server>,
    /// The hellos that servers of version 1 refused, with the record and the proof of each.
    refused: Vec<(Known, [u8; HELLO], [u8; SERVER_PROOF])>,
    /// All messages sent so far.
    messages: Vec<Vec<u8>>,
    nonces: u32,
}

impl World {
    fn apply(&mut self, operation: Operation, script: &dyn Fn() -> String) {
        match operation {
            Operation::Hello { record: known, intent, service } => {
                let intent = match intent {
                    Wanted::Connect => Intent::Connect,
                    Wanted::Status => Intent::Status,
                    Wanted::Retire => Intent::Retire,
                };
                let tag = Tag::new("one").filter(|_| service & 1 == 1).unwrap_or(Tag::NONE);
                let party = Party { tag, service: service.into(), ..known.party() };
                let hello = Hello::new(intent, party, self.nonce());
                self.messages.push(hello.to_bytes().to_vec());
                self.clients.push(Client { known, intent, party, hello, gone: false, judged: None });
            }
            Operation::Answer { record: known, delivery } => {
                let received = self.deliver(delivery);
                let record = known.record();
                let Some(prove) = Prove::hello(&received, known.party(), self.nonce()) else {
                    return assert!(!received.starts_with(b"RDVZ"), "a hello was refused: {}", script());
                };
                assert!(received.starts_with(b"RDVZ"), "taken for a hello: {received:?}: {}", script());
                let sent = prove.to_bytes(&record);
                self.messages.push(sent.to_vec());
                let late =
                    self.clients.iter().filter(|client| client.gone).map(|client| client.hello.to_bytes()).collect();
                self.servers.push(Server { known, received, prove, sent, late, admitted: Vec::new() });
            }
            Operation::Judge { client, delivery } => {
                let received = self.deliver(delivery);
                let (servers, old) = (&self.servers, &self.refused);
                let waits = |client: &&mut Client| client.judged.is_none() && !client.gone;
                let Some(client) = nth_back(&mut self.clients, client).filter(waits) else { return };
                let honest = servers.iter().any(|server| {
                    server.known.is(client.known)
                        && (server.received, server.sent) == (client.hello.to_bytes(), received)
                });
                // A refusal of version 1 does not cover the point.
                let turned_away = old.iter().any(|(known, hello, sent)| {
                    known.record() == client.known.record() && (*hello, *sent) == (client.hello.to_bytes(), received)
                });
                let judged = client.hello.judge(&client.known.record(), &received);
                let is_expected = match judged {
                    Ok(_) => honest,
                    Err(Rejected::Unsupported(answer)) => turned_away && answer.protocol == 1,
                    Err(Rejected::WrongProof) => !honest && !turned_away,
                    Err(_) => false,
                };
                assert!(is_expected, "{judged:?} by a client: {}", script());
                if let Ok(agreed) = judged {
                    let proof = agreed.proof(&client.known.record());
                    client.judged = Some((received, agreed, proof));
                    self.messages.push(proof.to_vec());
                }
            }
            Operation::Admit { server, delivery, admission } => {
                let received = self.deliver(delivery);
                let has = |server: &&Server| server.admitted.iter().any(|(proof, _)| *proof == received);
                let before: Vec<_> = self.servers.iter().filter(has).map(|server| server.sent).collect();
                let Some(server) = nth_back(&mut self.servers, server) else { return };
                let client = self.clients.iter().find(|client| {
                    let proved = client
                        .judged
                        .as_ref()
                        .is_some_and(|(accepted, _, sent)| (accepted, sent) == (&server.sent, &received));
                    client.known.is(server.known) && client.hello.to_bytes() == server.received && proved
                });
                let record = server.known.record();
                let asked = server.prove.judge(&record, &received);
                let stated = asked.as_ref().map(|asked| (asked.intent, asked.tag, asked.service));
                let meant = client.map(|client| (client.intent, client.party.tag, client.party.service));
                assert_eq!(stated, meant, "what a server admitted: {}", script());
                if let Some(client) = client {
                    let is_late = server.late.contains(&client.hello.to_bytes());
                    assert!(!is_late, "admitted, but gone before the server answered: {}", script());
                    let once = before.iter().all(|sent| *sent == server.sent);
                    assert!(once, "admitted by two servers: {}", script());
                }
                if let Some(asked) = asked {
                    let admission =
                        [Admission::Welcome, Admission::OtherProtocol, Admission::Full, Admission::TurnedAway]
                            [usize::from(admission % 4)];
                    let reply = asked.reply(&record, admission, Welcome { clients: 1, ..Welcome::unknown(4) });
                    server.admitted.push((received, reply));
                    self.messages.push(reply.to_vec());
                }
            }
            Operation::Welcome { client, delivery } => {
                let received = self.deliver(delivery);
                let Some(client) = nth_back(&mut self.clients, client) else { return };
                let Some((_, agreed, sent)) = client.judged.as_ref().filter(|_| !client.gone) else { return };
                let honest = self.servers.iter().any(|server| {
                    server.known.is(client.known)
                        && server.received == client.hello.to_bytes()
                        && server.admitted.contains(&(*sent, received))
                });
                let judged = agreed.judge(&client.known.record(), &received);
                assert_eq!(judged != Err(Rejected::InvalidReply), honest, "{judged:?} by a client: {}", script());
                assert_eq!(judged.is_ok(), honest && received[0] == b'W', "{judged:?}: {}", script());
            }
            Operation::Noise(bytes) => self.messages.push(bytes.repeat(WELCOME.div_ceil(bytes.len()))),
            Operation::Old { record: known, delivery } => {
                let received: [u8; HELLO] = self.deliver(delivery);
                if received.starts_with(b"RDVZ") && received[4..6] != [0, 1] {
                    let sent = refusal_of_version_1(&received, &known.record(), &self.fresh());
                    self.messages.push(sent.to_vec());
                    self.refused.push((known, received, sent));
                }
            }
            Operation::GiveUp { client } => {
                if let Some(client) = nth_back(&mut self.clients, client) {
                    client.gone = true;
                }
            }
        }
    }

    /// Returns as many bytes as are asked for; zeros where there is no message.
    fn deliver<const N: usize>(&mut self, delivery: Delivery) -> [u8; N] {
        let mut message =
            |number| nth_back(&mut self.messages, number).map_or(Vec::new(), |delivered| delivered.clone());
        let mut delivered = message(delivery.message);
        if let Some(Tampering::Splice { cut, other, from }) = delivery.tampering {
            delivered.truncate(cut.into());
            delivered.extend(message(other).into_iter().skip(from.into()));
        }
        delivered.resize(N, 0);
        match delivery.tampering {
            Some(Tampering::Flip { at, bits }) => delivered[usize::from(at) % N] ^= bits,
            Some(Tampering::Proof { of }) => {
                let proof = message(of);
                let bytes = delivered.iter_mut().rev().zip(proof.iter().rev());
                bytes.take(MAC).for_each(|(byte, other)| *byte = *other);
            }
            Some(Tampering::Splice { .. }) | None => {}
        }
        delivered.try_into().expect("as many bytes as were asked for")
    }

    /// A nonce that was not used before.
    fn nonce(&mut self) -> Random {
        Random::drawn(self.fresh())
    }

    fn fresh(&mut self) -> [u8; 32] {
        self.nonces += 1;
        let mut nonce = [5; 32];
        nonce[..4].copy_from_slice(&self.nonces.to_be_bytes());
        nonce
    }
}

/// Makes the proof by which a server of version 1 refuses a hello of another version.
fn refusal_of_version_1(hello: &[u8; HELLO], record: &Record, nonce: &[u8]) -> [u8; SERVER_PROOF] {
    let answer = [1, 0, 1, 0, 0, 0, 0];
    let namespace = record.scope.namespace.to_be_bytes();
    let machine = record.scope.machine.map_or(Vec::new(), Vec::from);
    let (head, client) = (&hello[4..7], &hello[7..]);
    let mut text = Vec::new();
    for part in [
        &b"rendezvous-ipc handshake"[..],
        b"native",
        &[2],
        &head[..2],
        &head[2..],
        &record.scope.boot,
        &namespace,
        &machine,
        &address_in_a_mac(&record.address),
        client,
        nonce,
        &answer,
    ] {
        text.push(part.len() as u8);
        text.extend(part);
    }
    let mac = hmac(record.cookie.expose(), &text);
    [nonce, &answer, &mac].concat().try_into().expect("the length of a server's proof")
}

fn address_in_a_mac(address: &Address) -> Vec<u8> {
    let Address::Tcp(address) = address else { unreachable!("all records of `Known` have ports") };
    let ip = match address.socket_addr().ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    [&ip.octets()[..], &address.socket_addr().port().to_be_bytes()].concat()
}

/// HMAC-SHA256, for a key that is shorter than a block.
fn hmac(key: &[u8], text: &[u8]) -> [u8; MAC] {
    let padded = |pad: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).unwrap_or(&0) ^ pad).collect() };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

fn nth_back<T>(all: &mut [T], number: u8) -> Option<&mut T> {
    let number = usize::from(number) % all.len().max(1);
    all.iter_mut().nth_back(number)
}
