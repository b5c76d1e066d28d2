//! Clients and servers that speak different protocols under one name.

use std::fs;

use rendezvous_ipc::{Descriptor, Error, Join, Origin, Policy, Status, Usage};

use crate::home::Named as _;
use crate::home::{Home, connected, runtime};
use crate::program::{COUNT, ask};

crate::trials![
    a_client_of_another_protocol_is_told_both_and_leaves_the_server_alone,
    a_side_without_a_protocol_meets_any,
    a_newer_service_may_speak_another_protocol,
    an_internal_server_of_another_protocol_is_an_error_at_once,
    a_tag_that_is_none_is_wrong_use_at_the_first_call,
];

/// Asserts that a call ended because the server speaks `theirs`.
fn is_told(error: &Error, protocols: (&str, &str), server: u32) {
    let Error::OtherProtocol { ours, theirs, pid } = error else { panic!("{error}") };
    assert_eq!((&**ours, &**theirs, pid.unwrap().get()), (protocols.0, protocols.1, server));
    let text = format!("the server (pid {server}) speaks {theirs}, and this program {ours}");
    assert!(error.to_string().starts_with(&text), "{error}");
}

fn a_client_of_another_protocol_is_told_both_and_leaves_the_server_alone() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let one = home.service_by(&["@serve", transport, "protocol=one"]);
        let two = home.service_by(&["@serve", transport, "protocol=two"]);
        let (server, _) = home.try_count(&one).unwrap();
        let record = fs::read(home.point()).unwrap();
        runtime().block_on(async {
            for policy in [Policy::External, Policy::Robust, Policy::Internal] {
                is_told(&two.connect_with_policy(policy).await.unwrap_err(), ("two", "one"), server.pid());
            }
            is_told(&two.join().await.unwrap_err(), ("two", "one"), server.pid());
            assert!(matches!(two.inspect().await.unwrap(), Status::Live { clients: 0, .. }));
        });
        assert_eq!(fs::read(home.point()).unwrap(), record);
        assert_eq!((home.try_count(&one).unwrap().1, home.processes()), (2, vec![server.pid()]));
        runtime().block_on(two.retire()).unwrap();
        home.wait_for_all_exits();
    }
}

fn a_side_without_a_protocol_meets_any() {
    for (server, client) in [("protocol=one", ""), ("", "protocol=one"), ("protocol=one", "protocol=one")] {
        let home = Home::new();
        home.try_count(&home.service_by(&["@serve", server])).unwrap();
        assert_eq!(home.try_count(&home.service_by(&["@serve", client])).unwrap().1, 2, "{server} and {client}");
        home.retire();
    }
}

fn a_newer_service_may_speak_another_protocol() {
    let home = Home::new();
    let (old, _) = home.try_count(&home.service_by(&["@serve", "version=7", "protocol=one"])).unwrap();
    let (new, count) = home.try_count(&home.service_by(&["@serve", "version=8", "protocol=two"])).unwrap();
    assert_eq!((count, new.version), (1, 8), "{new}");
    assert_ne!(old.pid(), new.pid());
    home.retire();
}

fn an_internal_server_of_another_protocol_is_an_error_at_once() {
    let home = Home::new();
    let (one, two) = (home.service().protocol("one"), home.service().protocol("two"));
    runtime().block_on(async {
        let client = one.connect_with_policy(Policy::Internal).await.unwrap();
        assert_eq!(client.outcome().origin, Origin::StartedInternal);
        let error = two.connect_with_policy(Policy::Internal).await.unwrap_err();
        is_told(&error, ("two", "one"), std::process::id());
        assert_eq!(ask(&mut client.into_stream(), COUNT).await.unwrap(), 1, "its client goes on");
    });
}

fn a_tag_that_is_none_is_wrong_use_at_the_first_call() {
    let home = Home::new();
    for tag in ["", "two words", "a tag of more than thirty-two characters", "tag\n"] {
        let service: Descriptor = home.service().protocol(tag);
        let wrong =
            |error: Error| assert!(matches!(&error, Error::Usage(Usage::Protocol(text)) if text == tag), "{error}");
        runtime().block_on(async {
            wrong(service.connect().await.unwrap_err());
            wrong(service.join().await.map(|join| matches!(join, Join::Absent)).unwrap_err());
            wrong(service.serve().await.unwrap_err());
        });
        assert!(!home.point().exists());
        drop(service);
    }
    runtime().block_on(async { drop(connected(&home.service().protocol("a/1")).await) });
    home.retire();
}
