//! Compares `docs/wire.md` with the code: its test vectors, both ways, and its tables of offsets.
//!
//! `UPDATE=1 cargo test --test wire` writes the vectors that the code computes into the page.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::handshake::{
    Admission, Agreed, CLIENT_PROOF, HELLO, Hello, Intent, Party, Prove, Rejected, SERVER_PROOF, Verdict, WELCOME,
    Welcome,
};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::life::Drains;
use rendezvous_ipc::proto::pipes::{BUSY, Order, REGISTERED, Reply, Tag as OrderTag, Text};
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::proto::scope::Scope;
use rendezvous_ipc::proto::tag::Tag;
use sha2::{Digest, Sha256};

const PAGE: &str = "docs/wire.md";
const COOKIE: [u8; 32] = [3; 32];
const NAME: &[u8] = b"build";
const FILE_SYSTEM: u64 = 6;
const HOME_INODE: u64 = 7;
const ID_FILE: &str = "0f8fad5b-d9cd-469f-a165-70867728950e";
const CLIENT_NONCE: [u8; 32] = [5; 32];
const SERVER_NONCE: [u8; 32] = [6; 32];
const VERSION: u32 = 9;
const HOME: &[u8] = b"/home/ada/my %\xff\n";
const LIB: &[u8] = b"/usr/lib";
const DRAINS: Drains = Drains { pid: 4711, until: 1_764_415_242 };

fn record() -> Record {
    Record {
        scope: Scope { boot: [1; 16], namespace: 4_026_531_840, machine: Some([2; 16]) },
        address: address("unix:00112233aabbccdd"),
        cookie: Cookie::new(COOKIE),
        pid: 4711,
        started: 123_456,
        version: VERSION,
    }
}

fn at(text: &str) -> Record {
    Record { address: address(text), ..record() }
}

fn record_at_a_port() -> Record {
    Record { scope: Scope { machine: None, ..record().scope }, address: address("127.0.0.1:4711"), ..record() }
}

/// A record of a later format, whose fields nobody knows yet.
fn newer() -> Vec<u8> {
    let fields = "rendezvous 2 what nobody knows yet ";
    format!("{fields}{}\n", hex(&Sha256::digest(fields)[..16])).into_bytes()
}

fn other_dialect() -> Vec<u8> {
    [&COOKIE[..], b"127.0.0.1:4711"].concat()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn tag() -> Tag {
    Tag::new("capnp-0x8e5322c1e9282534").unwrap()
}

fn identity() -> Identity {
    Identity::of(FILE_SYSTEM, HOME_INODE, NAME)
}

fn client() -> Party {
    Party { point: identity(), tag: tag(), service: 8 }
}

fn server() -> Party {
    Party { point: identity(), tag: tag(), service: VERSION }
}

fn welcome() -> Welcome {
    let (uptime, clients, welcomed, refused, restored) = (3600, 2, 5, 1, 0);
    Welcome { pid: 4711, service: VERSION, uptime, clients, welcomed, refused, restored, tag: tag() }
}

fn hello() -> Hello {
    Hello::new(Intent::Connect, client(), Random::drawn(CLIENT_NONCE))
}

/// The server's answer to these bytes of a hello.
fn prove(hello: &[u8; HELLO]) -> Prove {
    Prove::hello(hello, server(), Random::drawn(SERVER_NONCE)).unwrap()
}

fn agreed() -> Agreed {
    let hello = hello();
    hello.judge(&record(), &prove(&hello.to_bytes()).to_bytes(&record())).unwrap()
}

/// The last message to the client of these vectors.
fn reply(admission: Admission) -> [u8; WELCOME] {
    let asked = prove(&hello().to_bytes()).judge(&record(), &agreed().proof(&record())).unwrap();
    asked.reply(&record(), admission, welcome())
}

fn with_version(mut hello: [u8; HELLO], version: u8, intent: u8) -> [u8; HELLO] {
    (hello[5], hello[6]) = (version, intent);
    hello
}

fn order(lib: Option<&'static [u8]>) -> Order<'static> {
    Order {
        tag: OrderTag::new([4; 16]),
        depth: 0,
        budget: Duration::from_secs(8),
        ephemeral: false,
        kernel: record().scope.into(),
        name: Text::of(NAME),
        home: Text::of(HOME),
        lib: lib.map(Text::of),
        cookie: Cookie::new(COOKIE),
    }
}

/// The bytes under a MAC, as the page has them: each part after its length in one byte.
fn parts(record: &Record, hello: &[u8; HELLO], answer: &[u8], role: u8, said: &[&[u8]]) -> Vec<u8> {
    let Scope { boot, namespace, machine } = &record.scope;
    let is_frozen = hello[4..6] != [0, 2] || answer[1..3] != [0, 2];
    let mut text = Vec::new();
    let mut part = |part: &[u8]| {
        text.push(u8::try_from(part.len()).unwrap());
        text.extend(part);
    };
    part(if is_frozen { b"rendezvous-ipc handshake" } else { b"rendezvous-ipc handshake 2" });
    [&b"native"[..], &[role], &hello[4..6], &hello[6..7], boot, &namespace.to_be_bytes()]
        .into_iter()
        .for_each(&mut part);
    part(machine.as_ref().map_or(&[], |machine| &machine[..]));
    part(&address_bytes(&record.address));
    if !is_frozen {
        part(&identity_bytes());
    }
    [&hello[7..], &SERVER_NONCE, answer].into_iter().chain(said.iter().copied()).for_each(part);
    text
}

/// `os/unix/scope.rs` compares it with what the code makes of the file.
fn id() -> [u8; 16] {
    let digest = Sha256::digest(["rendezvous-ipc scope ", ID_FILE].concat());
    *digest.first_chunk().unwrap()
}

fn identity_bytes() -> [u8; 32] {
    let text = [b"rendezvous-ipc point ", &FILE_SYSTEM.to_be_bytes()[..], &HOME_INODE.to_be_bytes(), NAME].concat();
    Sha256::digest(text).into()
}

fn address_bytes(address: &Address) -> [u8; 18] {
    let bytes = match address {
        Address::Unix(name) => [&b"unix"[..], &[0; 6], &name.0].concat(),
        Address::Tcp(address) => {
            let (ip, port) = (address.socket_addr().ip(), address.socket_addr().port());
            let ip = match ip {
                std::net::IpAddr::V4(ip) => [&[0; 10][..], &[255; 2], &ip.octets()].concat(),
                std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            [ip, port.to_be_bytes().to_vec()].concat()
        }
    };
    bytes.try_into().unwrap()
}

fn hmac(text: &[u8]) -> [u8; 32] {
    Hmac::<Sha256>::new_from_slice(&COOKIE).unwrap().chain_update(text).finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(16 * digit(high)? + digit(low)?)).collect()
}

/// A vector: its name on the page, its value there, and whether the value reads as what it was made of.
struct Vector {
    name: &'static str,
    value: String,
    reads: Box<dyn Fn(&str) -> bool>,
}

/// Bytes that are only written: each reader compares them.
fn written(name: &'static str, bytes: &[u8]) -> Vector {
    let expected = bytes.to_vec();
    read(name, bytes, move |bytes| bytes == expected)
}

fn read(name: &'static str, bytes: &[u8], reads: impl Fn(&[u8]) -> bool + 'static) -> Vector {
    Vector { name, value: hex(bytes), reads: Box::new(move |value| unhex(value).is_some_and(|bytes| reads(&bytes))) }
}

/// A message of a fixed size.
fn message<const N: usize>(name: &'static str, bytes: [u8; N], reads: impl Fn(&[u8; N]) -> bool + 'static) -> Vector {
    read(name, &bytes, move |bytes| bytes.try_into().is_ok_and(&reads))
}

/// A line, without its newline on the page.
fn line(name: &'static str, line: &[u8], reads: impl Fn(&[u8]) -> bool + 'static) -> Vector {
    let value = String::from_utf8(line.to_vec()).unwrap();
    let value = value.strip_suffix('\n').unwrap().to_owned();
    Vector { name, value, reads: Box::new(move |value| reads(format!("{value}\n").as_bytes())) }
}

fn vectors() -> Vec<Vector> {
    let text =
        |name, value: &'static str| Vector { name, value: value.into(), reads: Box::new(move |read| read == value) };
    let number = |name, value: u64| {
        let value = value.to_string();
        Vector { name, value: value.clone(), reads: Box::new(move |read| read == value) }
    };
    let address_of = |name, text| written(name, &address_bytes(&address(text)));
    let refusal = |name, bytes, verdict, protocol| {
        let sent = hello();
        message(name, bytes, move |bytes| {
            let refused = sent.judge(&record(), bytes);
            matches!(refused, Err(Rejected::Unsupported(a)) if (a.verdict, a.protocol, a.service) == (verdict, protocol, VERSION))
        })
    };
    let last = |name, admission, judged: Result<Welcome, Rejected>| {
        message(name, reply(admission), move |bytes| agreed().judge(&record(), bytes) == judged)
    };
    let mut vectors = vec![
        number("file-system =", FILE_SYSTEM),
        number("home-inode =", HOME_INODE),
        text("name =", std::str::from_utf8(NAME).unwrap()),
        written("identity", &identity_bytes()),
        text("id-file =", ID_FILE),
        written("id", &id()),
        address_of("address unix:00112233aabbccdd", "unix:00112233aabbccdd"),
        address_of("address 127.0.0.1:4711", "127.0.0.1:4711"),
        address_of("address [::1]:4711", "[::1]:4711"),
        written("cookie", &COOKIE),
        line("record =", &record().line(), |line| Found::read(line) == Found::Record(record())),
        line("record-at-a-port =", &record_at_a_port().line(), |line| {
            Found::read(line) == Found::Record(record_at_a_port())
        }),
    ];
    vectors.extend([
        line("newer-record =", &newer(), |line| Found::read(line) == Found::Newer { format: 2 }),
        read("other-dialect", &other_dialect(), |bytes| {
            bytes == other_dialect() && Found::read(bytes) == Found::OtherDialect
        }),
    ]);
    // The four messages, and what each MAC covers.
    let (sent, proof) = (hello().to_bytes(), agreed().proof(&record()));
    let proved = prove(&sent).to_bytes(&record());
    let answer = &proved[32..39];
    vectors.push(message("hello", sent, |bytes| {
        // A server proves what it has read, so the client finds any change.
        Prove::hello(bytes, server(), Random::drawn(SERVER_NONCE))
            .is_some_and(|prove| hello().judge(&record(), &prove.to_bytes(&record())).is_ok())
    }));
    vectors.push(written("server-proof-covers", &parts(&record(), &sent, answer, 2, &[])));
    vectors.push(message("server-proof", proved, |bytes| hello().judge(&record(), bytes) == Ok(agreed())));
    vectors.push(written("client-proof-covers", &parts(&record(), &sent, answer, 1, &[&proof[..36]])));
    vectors.push(message("client-proof", proof, |bytes| {
        let asked = prove(&hello().to_bytes()).judge(&record(), bytes);
        asked.is_some_and(|asked| (asked.intent, asked.tag, asked.service) == (Intent::Connect, tag(), 8))
    }));
    let welcomed = reply(Admission::Welcome);
    vectors.push(written("welcome-covers", &parts(&record(), &sent, answer, 3, &[&proof[..36], &welcomed[..77]])));
    let (clients, tag) = (welcome().clients, welcome().tag);
    vectors.extend([
        last("welcome", Admission::Welcome, Ok(welcome())),
        last("other-protocol", Admission::OtherProtocol, Err(Rejected::OtherProtocol(tag))),
        last("full", Admission::Full, Err(Rejected::Full(clients))),
        last("turned-away", Admission::TurnedAway, Err(Rejected::TurnedAway(clients))),
    ]);
    // Refusals: of a later intent, of a later version, and between versions 1 and 2.
    let refused = |hello: [u8; HELLO]| prove(&hello).to_bytes(&record());
    let (later_intent, later, first) = (with_version(sent, 2, 77), with_version(sent, 3, 1), with_version(sent, 1, 1));
    let by_1 = [&[1, 0, 1][..], &VERSION.to_be_bytes()].concat();
    let by_1 = [&SERVER_NONCE[..], &by_1, &hmac(&parts(&record(), &sent, &by_1, 2, &[]))].concat();
    vectors.extend([
        written("hello-of-intent-77", &later_intent),
        written("refusal-of-intent-77", &refused(later_intent)),
        written("hello-of-version-3", &later),
        written("refusal-of-version-3", &refused(later)),
        written("hello-of-version-1", &first),
        written("refusal-of-version-1", &refused(first)),
        refusal("refusal-by-version-1", by_1.try_into().unwrap(), Verdict::VersionUnsupported, 1),
    ]);
    let spelled = |order: Order<'_>| {
        let mut line = String::new();
        order.write(&mut line).unwrap();
        line.into_bytes()
    };
    let mut ready = rendezvous_ipc::proto::record::Line::new();
    Reply::ready(&record(), &mut ready);
    vectors.extend([
        written("order-home", HOME),
        line("order =", &spelled(order(Some(LIB))), |line| Order::read(line) == Some(order(Some(LIB)))),
        line("order-without-lib =", &spelled(order(None)), |line| Order::read(line) == Some(order(None))),
        line("ready =", &ready, |line| Reply::read(line) == Some(Reply::Ready(record()))),
        line("busy =", BUSY.as_bytes(), |line| Reply::read(line) == Some(Reply::Busy)),
        line("failed =", b"rendezvous failed no room\n", |line| Reply::read(line) == Some(Reply::Failed("no room"))),
        line("registered =", REGISTERED.as_bytes(), rendezvous_ipc::proto::pipes::is_registered),
        line("drains =", &DRAINS.line(), |line| Drains::read(line) == Some(DRAINS)),
    ]);
    vectors
}

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap()
}

/// The page before the vectors, the vectors, and the page behind them.
fn split(page: &str) -> (&str, &str, &str) {
    let begin = page.find("## Test vectors").unwrap();
    let begin = begin + page[begin..].find("```text\n").unwrap() + "```text\n".len();
    let end = begin + page[begin..].find("```").unwrap();
    (&page[..begin], &page[begin..end], &page[end..])
}

#[test]
fn the_vectors_of_the_page_are_those_of_the_code() {
    let block: String = vectors().iter().map(|Vector { name, value, .. }| format!("{name} {value}\n")).collect();
    let page = page();
    let (before, on_page, behind) = split(&page);
    if std::env::var_os("UPDATE").is_some() {
        let page = [before, &block, behind].concat();
        return fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), page).unwrap();
    }
    assert!(on_page == block, "{PAGE}: UPDATE=1 cargo test --test wire");
}

#[test]
fn the_code_reads_each_vector_of_the_page_and_none_that_is_changed() {
    let page = page();
    let (_, mut lines, _) = split(&page);
    for Vector { name, reads, .. } in vectors() {
        let (line, rest) = lines.split_once('\n').unwrap_or_else(|| panic!("{name} is missing"));
        lines = rest;
        let value = line.strip_prefix(name).and_then(|line| line.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("{name}: {line}"));
        assert!(reads(value), "{name}");
        for (at, old) in value.bytes().enumerate() {
            // Another digit, and so one byte of a value in hex.
            let new = if old == b'7' { b'8' } else { b'7' };
            let changed = [&value.as_bytes()[..at], &[new], &value.as_bytes()[at + 1..]].concat();
            let changed = String::from_utf8(changed).unwrap();
            assert!(!reads(&changed), "{name} is read with character {at} changed: {changed}");
        }
        for end in 0..value.len() {
            assert!(!reads(&value[..end]), "{name} is read without its end: {end}");
        }
    }
    assert_eq!(lines, "", "the page has no other vectors");
}

#[test]
fn each_mac_is_that_of_the_parts_that_the_page_lists() {
    let page = page();
    let (_, lines, _) = split(&page);
    let value = |name: &str| {
        let line = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        unhex(line.unwrap_or_else(|| panic!("{name}"))).unwrap()
    };
    for name in ["server-proof", "client-proof", "welcome"] {
        assert!(value(name).ends_with(&hmac(&value(&format!("{name}-covers")))), "{name}");
    }
    // What is no vector of its own: each kind of address, no machine, and each refusal.
    let sent = hello().to_bytes();
    let hellos = [sent, with_version(sent, 2, 77), with_version(sent, 3, 1), with_version(sent, 1, 1)];
    for record in [record(), at("127.0.0.1:4711"), at("[::1]:4711"), record_at_a_port()] {
        for hello in &hellos {
            let proof = prove(hello).to_bytes(&record);
            assert!(proof.ends_with(&hmac(&parts(&record, hello, &proof[32..39], 2, &[]))), "{record:?} {hello:?}");
        }
    }
    // The list of the page, with the lengths of the parts of a welcome.
    let covered = value("welcome-covers");
    let mut rest = &covered[..];
    let mut listed = Vec::new();
    for row in rows(&page, "### MACs", "| name | length | part |") {
        let length: usize = row[1].split(' ').next().unwrap().parse().unwrap();
        let (&first, more) = rest.split_first().unwrap();
        assert_eq!(usize::from(first), length, "{row:?}");
        if let Some(text) = row[2].strip_prefix('`').and_then(|text| text.strip_suffix('`')) {
            assert_eq!(&more[..length], text.as_bytes());
        }
        rest = &more[length..];
        listed.push(row[0]);
    }
    assert_eq!(rest.len(), 0);
    let transcripts = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("spec/transcripts.txt")).unwrap();
    let welcome = transcripts.lines().find_map(|line| line.strip_prefix("Welcome     | ")).unwrap();
    assert_eq!(listed.join(" "), welcome);
}

#[test]
fn each_table_of_offsets_covers_its_message_without_a_gap() {
    let page = page();
    for (title, length) in [
        ("### Hello", HELLO),
        ("### Server's proof", SERVER_PROOF),
        ("### Client's proof", CLIENT_PROOF),
        ("### Welcome", WELCOME),
        ("## Life file", Drains::LEN),
    ] {
        let mut end = 0;
        for row in rows(&page, title, "| offset | length | field |") {
            assert_eq!(row[0].parse(), Ok(end), "{title}: {row:?}");
            end += row[1].parse::<usize>().unwrap();
        }
        assert_eq!(end, length, "{title}");
        let listed = title.strip_prefix("### ").map(|name| format!("| {length} | {} |", name.to_lowercase()));
        assert!(listed.is_none_or(|listed| page.contains(&listed)), "{title}");
    }
}

/// The rows of the first table with this head below a title.
fn rows<'a>(page: &'a str, title: &str, head: &str) -> Vec<Vec<&'a str>> {
    let section = &page[page.find(&format!("\n{title}\n")).unwrap_or_else(|| panic!("{title}"))..];
    let table = section.lines().skip_while(|line| *line != head).skip(2);
    table
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}
