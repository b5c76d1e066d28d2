//! Connections that have no welcome: how many there may be, and for how long.

use std::io::{ErrorKind, Read};

use crate::home::{Home, LONG, open_pending, runtime, uninterrupted};
use crate::program::hello;

crate::trials![
    a_connection_without_a_welcome_is_closed_at_its_deadline,
    the_connection_above_the_cap_replaces_the_oldest_and_no_other,
];

fn a_connection_without_a_welcome_is_closed_at_its_deadline() {
    let home = Home::new();
    home.count();
    // One that says nothing, and one that does not prove that it knows the cookie.
    for sent in [&b""[..], &hello()] {
        let mut stream = open_pending(&home.address(), sent);
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut received = Vec::new();
        let closed = uninterrupted(|| stream.read_to_end(&mut received));
        assert!(closed.is_ok_and(|_| received.is_empty() == sent.is_empty()), "{received:?}");
    }
    home.retire();
}

fn the_connection_above_the_cap_replaces_the_oldest_and_no_other() {
    let mut home = Home::new();
    // Without a deadline that matters.
    home.server = &["@serve", "whole", "max_pending=2"];
    home.count();
    let address = home.address();
    let [mut first, mut second] = [(); 2].map(|()| open_pending(&address, b""));
    first.set_read_timeout(Some(LONG)).unwrap();
    let _third = open_pending(&address, b"");
    let begun = std::time::Instant::now();
    assert_eq!(uninterrupted(|| first.read(&mut [0])).unwrap(), 0, "the server closes the oldest connection");
    let handshake = rendezvous_ipc::Limits::default().handshake;
    assert!(begun.elapsed() < handshake, "it is closed before its deadline");
    second.set_nonblocking(true).unwrap();
    let still = second.read(&mut [0]).map_err(|error| error.kind());
    assert!(still == Err(ErrorKind::WouldBlock) || begun.elapsed() >= handshake, "the other stays: {still:?}");
    runtime().block_on(home.service().retire()).unwrap();
    home.wait_for_all_exits();
}
