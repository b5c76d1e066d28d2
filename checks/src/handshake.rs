//! Clients and servers, and an attacker between them that keeps every message and delivers any of them.
//!
//! The oracle is the agreement of both ends. A client accepts a proof only if a server of its very record made it for
//! its very hello. A server admits a client only if the client accepted its very proof, with what the client stated. A
//! client accepts a last message only if a server made it for its very proof.

use arbitrary::Arbitrary;
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::handshake::{
    Admission, Agreed, CLIENT_PROOF, HELLO, Hello, Intent, Party, Prove, Rejected, SERVER_PROOF, WELCOME, Welcome,
};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::Record;
use rendezvous_ipc::proto::scope::Scope;
use rendezvous_ipc::proto::tag::Tag;

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
    judged: Option<([u8; SERVER_PROOF], Agreed, [u8; CLIENT_PROOF])>,
}

/// A server's side of one connection: what it received and sent.
struct Server {
    known: Known,
    received: [u8; HELLO],
    prove: Prove,
    sent: [u8; SERVER_PROOF],
    /// The client's proofs that it accepted, each with its own last message.
    admitted: Vec<([u8; CLIENT_PROOF], [u8; WELCOME])>,
}

#[derive(Default)]
struct World {
    clients: Vec<Client>,
    servers: Vec<Server>,
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
                self.clients.push(Client { known, intent, party, hello, judged: None });
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
                self.servers.push(Server { known, received, prove, sent, admitted: Vec::new() });
            }
            Operation::Judge { client, delivery } => {
                let received = self.deliver(delivery);
                let servers = &self.servers;
                let Some(client) = nth_back(&mut self.clients, client).filter(|client| client.judged.is_none()) else {
                    return;
                };
                let honest = servers.iter().any(|server| {
                    server.known.is(client.known)
                        && (server.received, server.sent) == (client.hello.to_bytes(), received)
                });
                let judged = client.hello.judge(&client.known.record(), &received);
                let refused = judged == Err(Rejected::WrongProof);
                assert!(judged.is_ok() == honest && refused != honest, "{judged:?} by a client: {}", script());
                if let Ok(agreed) = judged {
                    let proof = agreed.proof(&client.known.record());
                    client.judged = Some((received, agreed, proof));
                    self.messages.push(proof.to_vec());
                }
            }
            Operation::Admit { server, delivery, admission } => {
                let received = self.deliver(delivery);
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
                let Some((_, agreed, sent)) = &client.judged else { return };
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
        self.nonces += 1;
        let mut nonce = [5; 32];
        nonce[..4].copy_from_slice(&self.nonces.to_be_bytes());
        Random::drawn(nonce)
    }
}

fn nth_back<T>(all: &mut [T], number: u8) -> Option<&mut T> {
    let number = usize::from(number) % all.len().max(1);
    all.iter_mut().nth_back(number)
}
