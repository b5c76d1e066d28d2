//! Compares what the MACs cover with `spec/transcripts.txt`, the table to which the spec is compared, too.

use std::fs;
use std::string::String;
use std::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::*;
use crate::proto::handshake::client::CLAIM;

/// The messages that end in a MAC, as the table names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Message {
    ServerProof,
    /// The server's proof to a client of version 1.
    Refusal,
    ClientProof,
    Welcome,
}

use Message::{ClientProof, Refusal, ServerProof};

/// What a handshake depends on.
#[derive(Clone)]
struct Inputs {
    record: Record,
    point: Identity,
    intent: Intent,
    nonces: [[u8; 32]; 2],
    /// The tag and the version that the client states.
    stated: (Tag, u32),
    offered: u32,
    last: (Admission, Welcome),
}

/// The messages of one handshake, and the refusal of the same hello of version 1.
struct Sent {
    inputs: Inputs,
    hello: [u8; HELLO],
    old_hello: [u8; HELLO],
    server: [u8; SERVER_PROOF],
    refusal: [u8; SERVER_PROOF],
    client: [u8; CLIENT_PROOF],
    welcome: [u8; WELCOME],
}

impl Inputs {
    fn sample() -> Self {
        let (record, point) = (sample(), party().point);
        let stated = (Tag::new("one").unwrap(), 8);
        let last = (Admission::Welcome, welcome());
        Inputs { record, point, intent: Intent::Connect, nonces: [[5; 32], [6; 32]], stated, offered: 7, last }
    }

    fn send(self) -> Sent {
        let Inputs { ref record, point, intent, nonces: [ours, theirs], stated, offered, last } = self;
        let client = Party { point, tag: stated.0, service: stated.1 };
        let server = Party { service: offered, ..Party::at(point) };
        let hello = Hello::new(intent, client, Random::drawn(ours));
        let mut old = hello.clone();
        old.wire.version = 1;
        let answer = |hello: &Hello| Prove::hello(&hello.to_bytes(), server, Random::drawn(theirs)).unwrap();
        let prove = answer(&hello);
        let agreed = hello.judge(record, &prove.to_bytes(record)).unwrap();
        let proof = agreed.proof(record);
        Sent {
            hello: hello.to_bytes(),
            old_hello: old.to_bytes(),
            server: prove.to_bytes(record),
            refusal: answer(&old).to_bytes(record),
            client: proof,
            welcome: prove.judge(record, &proof).unwrap().reply(record, last.0, last.1),
            inputs: self,
        }
    }
}

impl Sent {
    fn mac(&self, message: Message) -> Vec<u8> {
        let bytes = match message {
            ServerProof => &self.server[..],
            Refusal => &self.refusal,
            ClientProof => &self.client,
            Message::Welcome => &self.welcome,
        };
        bytes[bytes.len() - MAC..].to_vec()
    }

    /// Returns a field that the table names.
    fn field(&self, message: Message, name: &str) -> Vec<u8> {
        let record = &self.inputs.record;
        let (hello, server) = match message {
            Refusal => (&self.old_hello, &self.refusal),
            _ => (&self.hello, &self.server),
        };
        match (name, message) {
            ("label", Refusal) => b"rendezvous-ipc handshake".to_vec(),
            ("label", _) => b"rendezvous-ipc handshake 2".to_vec(),
            ("dialect", _) => b"native".to_vec(),
            ("role", ClientProof) => [1].to_vec(),
            ("role", ServerProof | Refusal) => [2].to_vec(),
            ("role", Message::Welcome) => [3].to_vec(),
            ("version", _) => hello[4..6].to_vec(),
            ("intent", _) => hello[6..7].to_vec(),
            ("boot", _) => record.scope.boot.to_vec(),
            ("namespace", _) => record.scope.namespace.to_be_bytes().to_vec(),
            ("machine", _) => record.scope.machine.map_or(Vec::new(), Vec::from),
            ("address", _) => record.address.to_bytes().to_vec(),
            ("identity", _) => self.inputs.point.bytes().to_vec(),
            ("client", _) => hello[7..].to_vec(),
            ("server", _) => server[..32].to_vec(),
            ("answer", _) => server[32..SERVER_PROOF - MAC].to_vec(),
            ("claim", _) => self.client[..CLAIM].to_vec(),
            ("last", _) => self.welcome[..WELCOME - MAC].to_vec(),
            _ => panic!("no field is named {name}"),
        }
    }
}

/// Reads the table: messages, and the fields that their MACs cover in this order.
fn table() -> Vec<(Message, Vec<String>)> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/spec/transcripts.txt")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (message, fields) = line.split_once('|').unwrap();
        let message = match message.trim() {
            "ServerProof" => ServerProof,
            "Refusal" => Refusal,
            "ClientProof" => ClientProof,
            "Welcome" => Message::Welcome,
            other => panic!("no message is named {other}"),
        };
        (message, fields.split_whitespace().map(String::from).collect())
    });
    rows.collect()
}

/// A field, and how to change it.
type Change = (&'static str, fn(&mut Inputs));

/// All fields that a handshake can change by itself. The others are the constants `label`, `dialect` and `role`, and
/// `version`, which decides between two rows.
const CHANGES: [Change; 16] = [
    ("intent", |inputs| inputs.intent = Intent::Retire),
    ("boot", |inputs| inputs.record.scope.boot[15] ^= 1),
    ("namespace", |inputs| inputs.record.scope.namespace += 1),
    ("machine", |inputs| inputs.record.scope.machine = Some([4; 16])),
    ("machine", |inputs| inputs.record.scope.machine = None),
    ("address", |inputs| inputs.record.address = "127.0.0.1:4712".parse().unwrap()),
    ("address", |inputs| inputs.record.address = "unix:00112233aabbccdd".parse().unwrap()),
    ("identity", |inputs| inputs.point = elsewhere().point),
    ("client", |inputs| inputs.nonces[0][31] ^= 1),
    ("server", |inputs| inputs.nonces[1][31] ^= 1),
    ("answer", |inputs| inputs.offered += 1),
    ("claim", |inputs| inputs.stated.0 = Tag::NONE),
    ("claim", |inputs| inputs.stated.1 += 1),
    ("last", |inputs| inputs.last.0 = Admission::Full),
    ("last", |inputs| inputs.last.1.clients += 1),
    ("last", |inputs| inputs.last.1.tag = Tag::NONE),
];

#[test]
fn the_macs_cover_the_fields_of_the_specs_table_in_their_order() {
    let sent = Inputs::sample().send();
    let rows = table();
    assert_eq!(rows.len(), 4);
    for (message, fields) in rows {
        let mut mac = Hmac::<Sha256>::new_from_slice(sent.inputs.record.cookie.expose()).unwrap();
        for field in fields {
            let bytes = sent.field(message, &field);
            mac.update(&[bytes.len() as u8]);
            mac.update(&bytes);
        }
        assert_eq!(sent.mac(message), mac.finalize().into_bytes().to_vec(), "{message:?}");
    }
}

#[test]
fn a_changed_field_changes_the_macs_that_the_table_lists() {
    let before = Inputs::sample().send();
    for (field, change) in CHANGES {
        let mut inputs = Inputs::sample();
        change(&mut inputs);
        let after = inputs.send();
        for (message, fields) in table() {
            let covered = fields.iter().any(|covered| covered == field);
            assert_eq!(before.mac(message) != after.mac(message), covered, "{field} in {message:?}");
        }
    }
    for (message, fields) in table() {
        let constant = ["label", "dialect", "role", "version"];
        let changes = |field: &&String| CHANGES.iter().any(|(changed, _)| changed == field);
        let left: Vec<&String> = fields.iter().filter(|field| !changes(field)).collect();
        assert_eq!(left, constant, "{message:?} has a field that this test does not change");
    }
}
