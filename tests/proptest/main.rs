//! Codecs round-trip, refuse every other spelling and never panic, and tampered messages are refused. The checks that
//! need an oracle are in `checks`, which the fuzzer runs too.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use checks::{Arbitrary, address, client_ops, cookie, handshake, herd_ops, message, record};
use proptest::array::{uniform16, uniform32};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rendezvous_ipc::proto::address::{Address, SocketName};
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::handshake::{Admission, Hello, Intent, Party, Prove, Rejected, SERVER_PROOF, Welcome};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::pipes::{Order, Reply, Tag, Text};
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::proto::scope::Scope;
use rendezvous_ipc::proto::tag;

fn addresses() -> impl Strategy<Value = Address> {
    let v4 =
        (any::<[u8; 3]>(), 1u16..).prop_map(|([a, b, c], port)| (std::net::Ipv4Addr::new(127, a, b, c), port).into());
    let v6 = (1u16..).prop_map(|port| (std::net::Ipv6Addr::LOCALHOST, port).into());
    let tcp = prop_oneof![v4, v6].prop_map(|address| Address::new(address).unwrap());
    prop_oneof![tcp, any::<[u8; 8]>().prop_map(|name| Address::Unix(SocketName(name)))]
}

/// Returns one side of a handshake: both see the same point.
fn party() -> Party {
    Party::at(Identity::of(9, 1, b"point"))
}

fn records() -> impl Strategy<Value = Record> {
    let scope = (uniform16(any::<u8>()), any::<u64>(), option::of(uniform16(any::<u8>())));
    let scope = scope.prop_map(|(boot, namespace, machine)| Scope { boot, namespace, machine });
    let cookie = uniform32(any::<u8>()).prop_map(Cookie::new);
    (scope, addresses(), cookie, any::<u32>(), any::<u64>(), any::<u32>()).prop_map(
        |(scope, address, cookie, pid, started, version)| Record { scope, address, cookie, pid, started, version },
    )
}

fn intents() -> impl Strategy<Value = Intent> {
    prop_oneof![Just(Intent::Connect), Just(Intent::Status), Just(Intent::Retire)]
}

fn nonces() -> impl Strategy<Value = [u8; 32]> {
    uniform32(any::<u8>())
}

/// Values that the fuzzer would make of this many bytes. Smaller bytes make simpler values.
fn made<T: for<'a> Arbitrary<'a> + Debug>(bytes: usize) -> impl Strategy<Value = T> {
    vec(any::<u8>(), bytes).prop_map(|bytes| checks::script(&bytes))
}

fn damages() -> impl Strategy<Value = record::Script> {
    (made(150), made(150), vec(made(8), 1..8)).prop_map(|(one, two, operations)| record::Script {
        one,
        two,
        operations,
    })
}

/// Handshakes that would succeed, except for what is delivered in them and between their steps.
fn handshakes() -> impl Strategy<Value = Vec<handshake::Operation>> {
    use handshake::{Delivery, Known, Operation::*};
    let last = || {
        let tampering = option::weighted(0.1, made(10));
        tampering.prop_map(|tampering| Delivery { message: 0, tampering })
    };
    let known = || prop_oneof![9 => Just(Known::Service), 1 => made(5)];
    let steps = (
        (known(), made(1), any::<u8>()).prop_map(|(record, intent, service)| Hello { record, intent, service }),
        (known(), last(), 0u8..10).prop_map(|(record, delivery, other)| match other {
            0 => Old { record, delivery },
            _ => Answer { record, delivery },
        }),
        last().prop_map(|delivery| Judge { client: 0, delivery }),
        (last(), any::<u8>()).prop_map(|(delivery, admission)| Admit { server: 0, delivery, admission }),
        last().prop_map(|delivery| Welcome { client: 0, delivery }),
    );
    let between = || vec(made(20), 0..2);
    let between = (between(), between(), between(), between());
    let handshake = (steps, between).prop_map(|((hello, answer, judge, admit, welcome), (a, b, c, d))| {
        [vec![hello], a, vec![answer], b, vec![judge], c, vec![admit], d, vec![welcome]].concat()
    });
    vec(handshake, 1..4).prop_map(|handshakes| handshakes.concat())
}

fn connects() -> impl Strategy<Value = client_ops::Script> {
    use client_ops::{Answer, Script};
    let answers = vec(prop_oneof![2 => Just(Answer::Good), 1 => made(10)], 0..60);
    // The lowest bits are the version, the highest two the choice.
    let ours = (0u8..4, 0u8..4).prop_map(|(version, choice)| choice << 6 | version);
    (made(4), ours, 0u8..4, answers).prop_map(|(goal, ours, newest, answers)| Script { goal, ours, newest, answers })
}

fn herds() -> impl Strategy<Value = herd_ops::Script> {
    use herd_ops::{Operation, Script};
    let step = (any::<u8>(), any::<u8>()).prop_map(|(who, how)| Operation::Step { who, how });
    let operation = prop_oneof![20 => step, 1 => any::<u8>().prop_map(Operation::Fault)];
    (0u8..4, vec(operation, 0..200)).prop_map(|(clients, operations)| Script { clients, operations })
}

/// The record with each field changed in turn that is proved. The PID, the start time and the version are not proved:
/// they belong to the cookie.
fn others(record: &Record) -> Vec<Record> {
    let scope = record.scope;
    let with_scope = |scope| Record { scope, ..record.clone() };
    let with_ip = |ip: &str| {
        let address = SocketAddr::new(ip.parse().unwrap(), record.address.tcp().map_or(1, |address| address.port()));
        Record { address: Address::new(address).unwrap(), ..record.clone() }
    };
    let addresses: Vec<Address> = match record.address {
        Address::Tcp(address) => {
            let port = |bit: u32| address.socket_addr().port() ^ (1 << bit);
            let ports = (0..16).map(|bit| SocketAddr::new(address.socket_addr().ip(), port(bit)));
            ports.filter_map(|address| Address::new(address).ok()).collect()
        }
        Address::Unix(SocketName(name)) => changed(name).map(|name| Address::Unix(SocketName(name))).collect(),
    };
    let addresses = addresses.into_iter().map(|address| Record { address, ..record.clone() });
    let machine = scope.machine.unwrap_or_default();
    [with_ip("127.9.9.9"), with_ip("::1"), with_scope(Scope { machine: None, ..scope })]
        .into_iter()
        .chain(changed(*record.cookie.expose()).map(|bytes| Record { cookie: Cookie::new(bytes), ..record.clone() }))
        .chain(changed(scope.boot).map(|boot| with_scope(Scope { boot, ..scope })))
        .chain(changed(machine).map(|bytes| with_scope(Scope { machine: Some(bytes), ..scope })))
        .chain((0..64).map(|bit| with_scope(Scope { namespace: scope.namespace ^ 1 << bit, ..scope })))
        .chain(addresses)
        .filter(|other| other != record)
        .collect()
}

/// The bytes, with each of them changed in turn.
fn changed<const N: usize>(bytes: [u8; N]) -> impl Iterator<Item = [u8; N]> {
    (0..N).map(move |at| {
        let mut bytes = bytes;
        bytes[at] ^= 3;
        bytes
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_the_oracle_reads_them(
        bytes in vec(any::<u8>(), 0..1200), text in "(rendezvous ([0-9]{1,3}|start|ready|failed) )?[ -~]{0,1200}[ \n]?"
    ) {
        for bytes in [&bytes[..], text.as_bytes()] {
            cookie::check(bytes);
            address::check(bytes);
            record::check(bytes);
            message::check(bytes);
        }
    }

    #[test]
    fn a_message_is_as_long_as_capnp_reads(
        segments in vec(prop_oneof![9 => 0..9_u32, 1 => any::<u32>()], 1..20), behind in vec(any::<u8>(), 0..20),
        count in prop_oneof![9 => Just(None), 1 => any::<u32>().prop_map(Some)], cut in any::<prop::sample::Index>(),
    ) {
        let count = count.unwrap_or(segments.len() as u32 - 1);
        let mut bytes: Vec<u8> = [count].iter().chain(&segments).flat_map(|number| number.to_le_bytes()).collect();
        let words: u64 = segments.iter().map(|words| u64::from(*words)).sum();
        bytes.resize(bytes.len().next_multiple_of(8) + 8 * words.min(200) as usize, 0);
        bytes.extend(behind);
        message::check(&bytes);
        message::check(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn an_address_has_one_spelling(
        ip in "127\\.0\\.0\\.[0-9]{1,3}|\\[(0*:){1,7}:?0*[0-9]\\]|[0-9.:\\[\\]%a-f]{0,20}", port in "0{0,2}[1-9]{0,5}",
        address in addresses()
    ) {
        address::check(format!("{ip}:{port}").as_bytes());
        address::check(address.to_string().as_bytes());
    }

    #[test]
    fn a_cookie_has_one_spelling_and_so_has_its_order(
        bytes in uniform32(any::<u8>()), at in 0..64usize, other in "[0-9a-f]|[A-F]|[ -~]{0,2}",
        space in " |  |\t|", version in "3|03|2|4", [depth, millis] in ["0|[0+]?[1-9]{1,3}", "0|[0+]?[1-9]{1,20}"],
        ephemeral in "true|false|no", kernel in "[0-9a-f]{32}/(-|[0-9a-f]{32})|[0-9A-Fa-f]{0,3}/?(-|)", [name, home, lib] in ["(.|%[0-9a-f]{2}|[!-~]){0,9}"; 3], end in "\n|\r\n|"
    ) {
        cookie::check(&bytes);
        let mut digits: String = bytes.map(|byte| format!("{byte:02x}")).concat();
        let tag = digits[..32].to_owned();
        let order = |tag: &str, name: &str, digits: &str, end: &str| {
            let head = format!("rendezvous start {version} {tag} {depth} {millis}{space}{ephemeral} {kernel}");
            cookie::check(format!("{head} {name} {home} {lib} {digits}{end}").as_bytes());
            cookie::check(format!("rendezvous start 3 {tag} 1 80 true {tag}/- {name} /h%20 /l {digits}{end}").as_bytes());
        };
        order(&tag, &name, &digits, &end);
        digits.replace_range(at..=at, &other);
        cookie::check(digits.as_bytes());
        order(&tag, &name, &digits, "\n");
        order(&digits[..digits.len().min(32)], "name", &digits, "\n");
    }

    #[test]
    fn no_misspelled_field_is_accepted_even_under_a_valid_checksum(
        record in records(), field in 0..9usize, before in "|[+0]|1 |[ -~]{0,8}", after in "|/| 1|[ -~]{0,8}"
    ) {
        let line = record.line().to_vec();
        let mut fields: Vec<_> = str::from_utf8(&line).unwrap().split(' ').collect();
        fields.pop();
        let other = [&before, fields[field], &after].concat();
        fields[field] = &other;
        record::check((fields.join(" ") + " ").as_bytes());
    }

    #[test]
    fn a_record_of_the_other_dialect_is_what_its_programs_write(cookie in uniform32(any::<u8>()), port in any::<u16>()) {
        record::dialect(cookie, port);
    }

    #[test]
    fn no_change_of_a_record_makes_another_record(script in damages()) {
        script.run();
    }

    #[test]
    fn a_client_and_a_server_agree_or_refuse_whatever_is_delivered(script in handshakes()) {
        handshake::run(&script);
    }

    #[test]
    fn a_record_reads_back_and_is_no_longer_than_it_may_be(record in records()) {
        let line = record.line();
        prop_assert!(line.len() <= Record::MAX);
        prop_assert_eq!(Found::read(&line), Found::Record(record));
    }

    #[test]
    fn a_record_with_a_byte_changed_added_or_lost_is_malformed(
        record in records(), at in any::<prop::sample::Index>(), byte in any::<u8>(), what in 0..3
    ) {
        let line = record.line();
        let mut bytes = line.to_vec();
        let at = at.index(bytes.len());
        match what {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => drop(bytes.remove(at)),
        }
        prop_assume!(*bytes != *line);
        prop_assert!(matches!(Found::read(&bytes), Found::Malformed(_)));
    }

    #[test]
    fn a_record_spliced_from_two_is_malformed(
        one in records(), two in records(), head in any::<prop::sample::Index>(), tail in any::<prop::sample::Index>()
    ) {
        let (one, two) = (one.line(), two.line());
        let bytes = [&one[..head.index(one.len())], &two[tail.index(two.len())..]].concat();
        prop_assume!(!bytes.is_empty() && *bytes != *one && *bytes != *two);
        prop_assert!(matches!(Found::read(&bytes), Found::Malformed(_)));
    }

    #[test]
    fn an_order_and_a_ready_read_back(
        record in records(), (tag, depth, millis, ephemeral) in (any::<[u8; 16]>(), any::<u8>(), any::<u64>(), any::<bool>()),
        [name, home, lib] in [vec(any::<u8>(), 0..300), vec(any::<u8>(), 0..300), vec(any::<u8>(), 1..300)],
        has_lib in any::<bool>()
    ) {
        let [name, home, lib] = [&name, &home, &lib].map(|bytes| Text::of(bytes));
        let (budget, lib, cookie) = (Duration::from_millis(millis), has_lib.then_some(lib), record.cookie.clone());
        let kernel = record.scope.into();
        let order = Order { tag: Tag::new(tag), depth, budget, ephemeral, kernel, name, home, lib, cookie };
        let mut line = String::new();
        order.write(&mut line).unwrap();
        prop_assert_eq!(Order::read(line.as_bytes()), Some(order));
        let ready = [Reply::READY.as_bytes(), &record.line()].concat();
        prop_assert_eq!(Reply::read(&ready), Some(Reply::Ready(record)));
    }

    #[test]
    fn no_answer_of_a_stranger_is_a_proof(
        record in records(), intent in intents(), nonce in nonces(), bytes in vec(any::<u8>(), SERVER_PROOF)
    ) {
        let bytes: [u8; SERVER_PROOF] = bytes.try_into().unwrap();
        prop_assert!(Hello::new(intent, party(), Random::drawn(nonce)).judge(&record, &bytes).is_err());
    }

    #[test]
    fn a_tag_of_any_bytes_reads_back_or_is_none(bytes in uniform32(any::<u8>()), text in "[!-~]{0,32}") {
        if let Some(tag) = tag::Tag::from_bytes(bytes) {
            prop_assert_eq!(tag::Tag::new(tag.as_str()).unwrap_or(tag::Tag::NONE), tag);
        }
        let tag = tag::Tag::new(&text).unwrap_or(tag::Tag::NONE);
        prop_assert_eq!((tag.as_str(), tag::Tag::from_bytes(*tag.bytes())), (&*text, Some(tag)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_handshake_that_is_tampered_with_anywhere_fails(
        record in records(), intent in intents(), nonce in nonces(), theirs in nonces(), service in any::<u32>(),
        text in "[!-~]{1,32}", counts in uniform32(any::<u64>())
    ) {
        let tag = tag::Tag::new(&text).unwrap();
        let (client, server) = (Party { tag, service, ..party() }, Party { service, ..party() });
        let hello = Hello::new(intent, client, Random::drawn(nonce));
        let prove = Prove::hello(&hello.to_bytes(), server, Random::drawn(theirs)).unwrap();
        let answer = prove.to_bytes(&record);
        let agreed = hello.judge(&record, &answer).unwrap();
        let proof = agreed.proof(&record);
        let asked = prove.judge(&record, &proof).unwrap();
        prop_assert_eq!((asked.intent, asked.tag, asked.service), (intent, tag, service));
        let [uptime, welcomed, refused, restored, clients, ..] = counts;
        let (pid, clients) = (record.pid, clients as u32);
        let welcome = Welcome { pid, service, uptime, clients, welcomed, refused, restored, tag };
        let reply = asked.reply(&record, Admission::Welcome, welcome);
        prop_assert_eq!(agreed.judge(&record, &reply), Ok(welcome));
        for reply in changed(reply) {
            prop_assert_eq!(agreed.judge(&record, &reply), Err(Rejected::InvalidReply));
        }
        for sent in changed(hello.to_bytes()) {
            if let Some(prove) = Prove::hello(&sent, server, Random::drawn(theirs)) {
                prop_assert_eq!(hello.judge(&record, &prove.to_bytes(&record)), Err(Rejected::WrongProof));
            }
        }
        for answer in changed(answer) {
            prop_assert_eq!(hello.judge(&record, &answer), Err(Rejected::WrongProof));
        }
        for proof in changed(proof) {
            prop_assert_eq!(prove.judge(&record, &proof), None);
        }
    }

    #[test]
    fn a_client_with_another_record_is_refused(
        record in records(), intent in intents(), nonce in nonces(), theirs in nonces()
    ) {
        let hello = Hello::new(intent, party(), Random::drawn(nonce));
        let prove = Prove::hello(&hello.to_bytes(), party(), Random::drawn(theirs)).unwrap();
        let proof = hello.judge(&record, &prove.to_bytes(&record)).unwrap().proof(&record);
        let elsewhere = Party::at(Identity::of(9, 2, b"point"));
        let copied = Prove::hello(&hello.to_bytes(), elsewhere, Random::drawn(theirs)).unwrap();
        prop_assert_eq!(hello.judge(&record, &copied.to_bytes(&record)), Err(Rejected::WrongProof));
        for other in others(&record) {
            prop_assert_eq!(hello.judge(&record, &prove.to_bytes(&other)), Err(Rejected::WrongProof), "{:?}", other);
            prop_assert_eq!(prove.judge(&other, &proof), None, "{:?}", other);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_client_keeps_its_promises_for_any_answers(script in connects()) {
        script.run();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_herd_keeps_all_properties_in_any_order_and_with_any_faults(script in herds()) {
        script.run();
    }
}
