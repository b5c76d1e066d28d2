//! Whatever bytes come: codecs round-trip, refuse every other spelling, and never panic; what was tampered
//! with is refused.

use std::time::Duration;

use proptest::array::{uniform16, uniform32};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::handshake::{Hello, Intent, Nonce, Prove, SERVER_PROOF, WELCOME, Welcome};
use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::proto::scope::Scope;
use rendezvous_ipc::proto::start::{Order, Reply};

fn addresses() -> impl Strategy<Value = Address> {
    let v4 =
        (any::<[u8; 3]>(), 1u16..).prop_map(|([a, b, c], port)| (std::net::Ipv4Addr::new(127, a, b, c), port).into());
    let v6 = (1u16..).prop_map(|port| (std::net::Ipv6Addr::LOCALHOST, port).into());
    prop_oneof![v4, v6].prop_map(|address| Address::new(address).unwrap())
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

fn nonces() -> impl Strategy<Value = Nonce> {
    uniform32(any::<u8>()).prop_map(Nonce)
}

proptest! {
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
    fn a_splice_of_two_records_is_malformed(
        one in records(), two in records(), head in any::<prop::sample::Index>(), tail in any::<prop::sample::Index>()
    ) {
        let (one, two) = (one.line(), two.line());
        let bytes = [&one[..head.index(one.len())], &two[tail.index(two.len())..]].concat();
        prop_assume!(!bytes.is_empty() && *bytes != *one && *bytes != *two);
        prop_assert!(matches!(Found::read(&bytes), Found::Malformed(_)));
    }

    #[test]
    fn an_address_has_one_spelling(address in addresses(), text in "[0-9.:\\[\\]%a-f]{0,24}") {
        prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        if let Ok(parsed) = text.parse::<Address>() {
            prop_assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..1200), mut line in "(rendezvous (start|ready|failed|1) )?[ -~]{0,200}") {
        for bytes in [&bytes[..], line.as_bytes()] {
            let _ = (Found::read(bytes), Order::read(bytes), Reply::read(bytes));
        }
        line.push('\n');
        let _ = (Found::read(line.as_bytes()), Order::read(line.as_bytes()), Reply::read(line.as_bytes()));
    }

    #[test]
    fn an_order_and_a_ready_read_back(record in records(), millis in any::<u64>()) {
        let order = Order { cookie: record.cookie.clone(), budget: Duration::from_millis(millis) };
        prop_assert_eq!(Order::read(&order.line()), Some(order));
        let ready = [Reply::READY.as_bytes(), &record.line()].concat();
        prop_assert_eq!(Reply::read(&ready), Some(Reply::Ready(record)));
    }

    #[test]
    fn a_handshake_that_is_tampered_with_anywhere_fails(
        record in records(), intent in intents(), nonce in nonces(), theirs in nonces(), service in any::<u32>(),
        message in 0..3, at in any::<prop::sample::Index>(), flip in 1u8..
    ) {
        let hello = Hello::new(intent, nonce);
        let mut said = hello.to_bytes();
        if message == 0 {
            said[at.index(said.len())] ^= flip;
        }
        let Some(prove) = Prove::hello(&said, theirs, service) else { return Ok(()) };
        let mut answer = prove.to_bytes(&record);
        if message == 1 {
            answer[at.index(answer.len())] ^= flip;
        }
        // A hello that was changed on its way is another hello: its client refuses the proof of it.
        let Ok(mut proof) = hello.judge(&record, &answer) else { return Ok(()) };
        prop_assert_eq!(message, 2);
        prop_assert_eq!(prove.judge(&record, &proof), Some(intent));
        proof[at.index(proof.len())] ^= flip;
        prop_assert_eq!(prove.judge(&record, &proof), None);
    }

    #[test]
    fn who_does_not_know_the_very_record_is_refused(
        mine in records(), theirs in records(), intent in intents(), nonce in nonces(), other in nonces()
    ) {
        // The PID, the start time and the version are no part of what is proved: the cookie stands for them.
        let differs = mine.cookie != theirs.cookie || mine.scope != theirs.scope || mine.address != theirs.address;
        prop_assume!(differs);
        let hello = Hello::new(intent, nonce);
        let prove = Prove::hello(&hello.to_bytes(), other, 1).unwrap();
        prop_assert!(hello.judge(&mine, &prove.to_bytes(&theirs)).is_err());
    }

    #[test]
    fn whatever_a_stranger_answers_is_no_proof(
        record in records(), intent in intents(), nonce in nonces(), bytes in vec(any::<u8>(), SERVER_PROOF)
    ) {
        let bytes: [u8; SERVER_PROOF] = bytes.try_into().unwrap();
        prop_assert!(Hello::new(intent, nonce).judge(&record, &bytes).is_err());
    }

    #[test]
    fn a_welcome_reads_back(pid in any::<u32>(), service in any::<u32>(), uptime in any::<u64>(), clients in any::<u32>(), bytes in uniform32(any::<u8>())) {
        let welcome = Welcome { pid, service, uptime, clients };
        prop_assert_eq!(Welcome::from_bytes(&welcome.to_bytes()), Some(welcome));
        let bytes: [u8; WELCOME] = bytes[..WELCOME].try_into().unwrap();
        if let Some(welcome) = Welcome::from_bytes(&bytes) {
            prop_assert_eq!(welcome.to_bytes(), bytes);
        }
    }
}
