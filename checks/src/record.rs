//! A file is a record exactly if it is the spelling of one, of one dialect only. Damage to a native record never makes
//! another valid record.

use std::net::SocketAddr;

use arbitrary::Arbitrary;
use rendezvous_ipc::proto::address::{Address, SocketName};
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::pipes::{BUSY, Reply};
use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::proto::scope::Scope;
use rendezvous_ipc::proto::sequoia::record as sequoia;
use sha2::{Digest, Sha256};

use crate::{address, hex, script, unhex};

/// Reads the bytes as a file, as the file of a forger that can compute checksums or spell the other dialect's
/// addresses, and as a script.
pub fn check(bytes: &[u8]) {
    read(bytes);
    read(&sealed(bytes));
    read(&[bytes, b"127.0.0.1:4711"].concat());
    if let Some((cookie, port)) = bytes.split_first_chunk() {
        dialect(*cookie, port.first_chunk().map_or(1, |port| u16::from_be_bytes(*port)));
    }
    script::<Script>(bytes).run();
}

/// A record of the other dialect is spelled as its programs write it, and is read back.
pub fn dialect(cookie: [u8; 32], port: u16) {
    let record = sequoia::Record { cookie: Cookie::new(cookie), port: port.max(1).try_into().expect("not 0") };
    let written = [&cookie[..], format!("127.0.0.1:{}", port.max(1)).as_bytes()].concat();
    assert_eq!(*record.bytes(), *written);
    assert_eq!(sequoia::Found::read(&written), sequoia::Found::Record(record));
    assert_eq!(read(&written), Found::OtherDialect);
}

/// What happens to a point's file, which at first holds the first record.
#[derive(Arbitrary, Clone, Debug)]
pub struct Script {
    pub one: Fields,
    pub two: Fields,
    pub operations: Vec<Operation>,
}

/// One change of the file. Positions are taken modulo its length.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Operation {
    Set {
        at: u8,
        byte: u8,
    },
    Insert {
        at: u8,
        byte: u8,
    },
    Remove {
        at: u8,
    },
    Cut {
        at: u8,
    },
    /// Keeps the file up to `at`, and appends the second record from `from` on.
    Splice {
        at: u8,
        from: u8,
    },
    /// Restores the first record, as a backup does.
    PutBack,
    /// Makes the checksum fit, which no accident does.
    Seal,
}

/// The fields of a record.
#[derive(Arbitrary, Clone, Debug)]
pub struct Fields {
    boot: [u8; 16],
    namespace: u64,
    machine: Option<[u8; 16]>,
    listens: Listens,
    cookie: [u8; 32],
    pid: u32,
    started: u64,
    version: u32,
}

/// Where a server listens: at `127.x.y.z` with these three numbers, at `::1`, or at a Unix socket.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Listens {
    V4([u8; 3], u16),
    V6(u16),
    Unix([u8; 8]),
}

impl Listens {
    fn address(self) -> Address {
        let address: SocketAddr = match self {
            Listens::V4([a, b, c], port) => ([127, a, b, c], port.max(1)).into(),
            Listens::V6(port) => (std::net::Ipv6Addr::LOCALHOST, port.max(1)).into(),
            Listens::Unix(name) => return Address::Unix(SocketName(name)),
        };
        Address::new(address).expect("an address of the loopback")
    }
}

impl Fields {
    pub fn record(&self) -> Record {
        let Fields { boot, namespace, machine, listens, cookie, pid, started, version } = *self;
        let address = listens.address();
        let scope = Scope { boot, namespace, machine };
        Record { scope, address, cookie: Cookie::new(cookie), pid, started, version }
    }
}

impl Script {
    /// Applies the operations in order, and reads the file after each.
    pub fn run(&self) {
        let records = [self.one.record(), self.two.record()];
        let [one, two] = records.each_ref().map(|record| record.line().to_vec());
        assert_eq!([&one[..], &two], records.each_ref().map(|record| spelled(record).into_bytes()));
        let (mut file, mut forged) = (one.clone(), false);
        for (before, operation) in self.operations.iter().enumerate() {
            operation.apply(&mut file, &one, &two);
            forged |= matches!(operation, Operation::Seal);
            match read(&file) {
                Found::Empty | Found::Malformed(_) => assert!(file != one && file != two, "{self:#?}"),
                Found::Record(record) if records.contains(&record) => assert!(file == one || file == two, "{self:#?}"),
                // It takes two accidents: a splice at the 32nd byte, and a cut.
                Found::OtherDialect => assert!(before > 0, "{self:#?}"),
                found => assert!(forged, "{found:?} after {self:#?}"),
            }
        }
    }
}

impl Operation {
    fn apply(self, file: &mut Vec<u8>, one: &[u8], two: &[u8]) {
        let place = |at: u8, len: usize| usize::from(at) % len.max(1);
        let len = file.len();
        match self {
            Operation::Set { .. } | Operation::Remove { .. } if file.is_empty() => {}
            Operation::Set { at, byte } => file[place(at, len)] = byte,
            Operation::Insert { at, byte } => file.insert(place(at, len + 1), byte),
            Operation::Remove { at } => drop(file.remove(place(at, len))),
            Operation::Cut { at } => file.truncate(place(at, len)),
            Operation::Splice { at, from } => {
                file.truncate(place(at, len + 1));
                file.extend_from_slice(&two[place(from, two.len())..]);
            }
            Operation::PutBack => *file = one.to_vec(),
            Operation::Seal => {
                let fields = file.iter().rposition(|byte| *byte == b' ').map_or(0, |at| at + 1);
                *file = sealed(&file[..fields]);
            }
        }
    }
}

/// Reads the file, and a reply that contains it, and checks both against the format as documented.
fn read(bytes: &[u8]) -> Found {
    let text = String::from_utf8_lossy(bytes);
    let found = Found::read(bytes);
    match &found {
        Found::Record(record) => assert_eq!(spelled(record), text),
        Found::Newer { format } => {
            assert!(*format > 1 && is_whole(bytes, &format!("rendezvous {format} ")), "{text:?}")
        }
        Found::OtherDialect => assert!(is_sequoia(bytes), "{text:?}"),
        Found::Empty => assert!(bytes.is_empty()),
        Found::Malformed(malformed) => {
            let newer = text.split(' ').nth(1).and_then(|word| word.parse::<u32>().ok()).filter(|format| *format > 1);
            let newer = newer.is_some_and(|format| is_whole(bytes, &format!("rendezvous {format} ")));
            let whole = expected(bytes).is_some() || newer || is_sequoia(bytes) || bytes.is_empty();
            assert!(!whole, "{malformed}: {text:?}");
        }
        Found::Absent => panic!("there is a file: {text:?}"),
    }
    match sequoia::Found::read(bytes) {
        sequoia::Found::Record(record) => assert!(is_sequoia(bytes) && *record.bytes() == *bytes, "{text:?}"),
        sequoia::Found::OtherDialect => assert!(matches!(found, Found::Record(_) | Found::Newer { .. }), "{text:?}"),
        sequoia::Found::Empty => assert!(bytes.is_empty()),
        sequoia::Found::Malformed(_) => assert!(matches!(found, Found::Malformed(_)), "{text:?}"),
        sequoia::Found::Absent => panic!("there is a file: {text:?}"),
    }
    let ready = [b"rendezvous ready ", bytes].concat();
    assert_eq!(Reply::read(&ready), expected(bytes).map(Reply::Ready));
    match Reply::read(bytes) {
        Some(Reply::Ready(record)) => assert_eq!(format!("rendezvous ready {}", spelled(&record)), text),
        Some(Reply::Failed(reason)) => {
            assert_eq!(format!("rendezvous failed {reason}\n"), text);
            assert!(
                !reason.contains("rendezvous ready "),
                "a reason, which is shown to users, contains a record: {text:?}"
            );
        }
        Some(Reply::Busy) => assert_eq!(BUSY, text),
        None => {
            let failed = text.starts_with("rendezvous failed ") && text.ends_with('\n');
            let failed = failed && !text.contains("rendezvous ready ");
            assert!(str::from_utf8(bytes).is_err() || !failed && text != BUSY, "{text:?}");
        }
    }
    found
}

/// Returns the record that the bytes spell.
fn expected(bytes: &[u8]) -> Option<Record> {
    let text = str::from_utf8(bytes).ok()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, _, _, scope, address, cookie, pid, started, version, _] = words[..] else { return None };
    let [boot, namespace, machine] = scope.split('/').collect::<Vec<_>>()[..] else { return None };
    let record = Record {
        scope: Scope { boot: unhex(boot)?, namespace: namespace.parse().ok()?, machine: unhex(machine) },
        address: address::expected(address)?,
        cookie: Cookie::new(unhex(cookie)?),
        pid: pid.parse().ok()?,
        started: started.parse().ok()?,
        version: version.parse().ok()?,
    };
    (spelled(&record) == text).then_some(record)
}

fn spelled_address(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.socket_addr().to_string(),
        Address::Unix(SocketName(name)) => format!("unix:{:016x}", u64::from_be_bytes(*name)),
    }
}

fn spelled(record: &Record) -> String {
    let Record { scope, address, cookie, pid, started, version } = record;
    let machine = scope.machine.map_or("-".into(), |machine| hex(&machine));
    let (boot, namespace, cookie) = (hex(&scope.boot), scope.namespace, hex(cookie.expose()));
    let fields = format!(
        "rendezvous 1 native {boot}/{namespace}/{machine} {} {cookie} {pid} {started} {version} ",
        spelled_address(address)
    );
    String::from_utf8(sealed(fields.as_bytes())).expect("nothing but ASCII")
}

/// The fields, then half of their SHA-256, then the end of the line.
fn sealed(fields: &[u8]) -> Vec<u8> {
    let checksum = hex(&Sha256::digest(fields)[..16]);
    [fields, checksum.as_bytes(), b"\n"].concat()
}

/// Whether the bytes are an intact line of this format or a later one.
fn is_whole(bytes: &[u8], token: &str) -> bool {
    let fields = bytes.len().saturating_sub(33);
    let fits = bytes.len() <= Record::MAX && str::from_utf8(bytes).is_ok() && bytes.starts_with(token.as_bytes());
    fits && bytes[..fields].ends_with(b" ") && sealed(&bytes[..fields]) == bytes
}

/// 32 bytes of a cookie, then `127.0.0.1:PORT`.
fn is_sequoia(bytes: &[u8]) -> bool {
    let Some(Ok(text)) = bytes.get(32..).map(str::from_utf8) else { return false };
    let address = address::expected(text).and_then(|address| address.tcp());
    address.is_some_and(|address| address.ip().to_string() == "127.0.0.1")
}
