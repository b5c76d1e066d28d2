//! Each cookie and each nonce is drawn afresh, and a cookie is in memory in hexadecimal only for a moment.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;

use rendezvous_ipc::proto::handshake::{HELLO, SERVER_PROOF};
use rendezvous_ipc::proto::random::Random;
use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{Home, Stranger, dial, eventually, kill, runtime, signal, stop, wait_until_stopped};
use crate::program::hello;

crate::trials![
    no_two_servers_have_the_same_cookie,
    no_two_dials_of_a_client_have_the_same_nonce,
    no_two_dials_of_one_connect_have_the_same_nonce,
    no_two_proofs_of_a_server_have_the_same_nonce,
    no_server_has_its_cookie_in_its_arguments_or_environment,
    no_server_keeps_a_cookie_in_hexadecimal,
    no_client_keeps_a_cookie_in_hexadecimal,
];

/// Checks that all differ from each other, and from bytes that were never drawn.
fn assert_distinct(drawn: &[[u8; Random::LEN]]) {
    for at in 0..drawn.len() {
        assert!(!drawn[..at].contains(&drawn[at]), "{at}: {drawn:02x?}");
        assert!(drawn[at].iter().any(|byte| *byte != drawn[at][0]), "{at}: {drawn:02x?}");
    }
}

fn no_two_servers_have_the_same_cookie() {
    let started = Home::new();
    let mut cookies = Vec::new();
    for _ in 0..2 {
        let (server, _) = started.count();
        cookies.push(*started.record().cookie.expose());
        kill(&started, server.pid());
    }
    let hand = Home::new();
    for _ in 0..2 {
        let mut by_hand = hand.command(&["@serve"]).spawn().unwrap();
        eventually("the server is registered", || fs::read(hand.point()).is_ok_and(|record| !record.is_empty()));
        cookies.push(*hand.record().cookie.expose());
        runtime().block_on(hand.service().retire()).unwrap();
        assert!(by_hand.wait().unwrap().success());
    }
    assert_distinct(&cookies);
}

fn no_two_dials_of_a_client_have_the_same_nonce() {
    let home = Home::new();
    let (mut server, _) = home.count();
    let stranger = Stranger::new(|stream| stream.shutdown(Shutdown::Write).unwrap());
    let stale = home.stale_record(&stranger);
    let mut nonces = Vec::new();
    for _ in 0..2 {
        kill(&home, server.pid());
        fs::write(home.point(), &stale).unwrap();
        (server, _) = home.count();
        nonces.extend(nonces_of(&stranger));
    }
    assert!(nonces.len() >= 2, "the stranger was dialled");
    assert_distinct(&nonces);
    home.retire();
}

/// The nonces of the hellos that a stranger has received. It waits for one.
fn nonces_of(stranger: &Stranger) -> Vec<[u8; Random::LEN]> {
    let hellos = stranger.received().into_iter().filter(|hello| hello.len() == HELLO);
    hellos.map(|hello| hello[HELLO - Random::LEN..].try_into().unwrap()).collect()
}

fn no_two_dials_of_one_connect_have_the_same_nonce() {
    let home = Home::new();
    let (server, _) = home.count();
    let stranger = Stranger::new(|stream| stream.shutdown(Shutdown::Write).unwrap());
    // The server keeps the lifetime lock, and does not restore its record.
    stop(server.pid());
    fs::write(home.point(), home.stale_record(&stranger)).unwrap();
    std::thread::scope(|threads| {
        let connecting = threads.spawn(|| home.count());
        let mut nonces = Vec::new();
        while nonces.len() < 2 {
            nonces.extend(nonces_of(&stranger));
        }
        assert_distinct(&nonces);
        signal(server.pid(), Signal::CONT);
        assert_eq!(connecting.join().unwrap().0.pid(), server.pid());
    });
    home.retire();
}

fn no_two_proofs_of_a_server_have_the_same_nonce() {
    let home = Home::new();
    home.count();
    let nonces = [(); 2].map(|()| {
        let mut stream = dial(&home.address()).unwrap();
        stream.write_all(&hello()).unwrap();
        let mut proof = [0; SERVER_PROOF];
        stream.read_exact(&mut proof).unwrap();
        *proof.first_chunk().unwrap()
    });
    assert_distinct(&nonces);
    home.retire();
}

fn no_server_has_its_cookie_in_its_arguments_or_environment() {
    let home = Home::new();
    let (server, _) = home.count();
    let cookie = *home.record().cookie.expose();
    let hex: String = cookie.iter().map(|byte| format!("{byte:02x}")).collect();
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{file}", server.pid())).unwrap();
        assert!(!bytes.is_empty(), "{file} can be read");
        let has = |what: &[u8]| bytes.windows(what.len()).any(|window| window.eq_ignore_ascii_case(what));
        assert!(!has(&cookie) && !has(hex.as_bytes()), "{file}");
    }
    home.retire();
}

/// How often the memory of a process contains the registered server's cookie as the record spells it. Returns `None` if
/// the system does not permit reading it.
fn spelled(home: &Home, pid: u32) -> Option<usize> {
    let cookie: String = home.record().cookie.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    let memory = match fs::File::open(format!("/proc/{pid}/mem")) {
        Ok(memory) => memory,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        Err(error) => panic!("{error}"),
    };
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let written = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")));
    let mut found = 0;
    for line in written {
        let (begin, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [begin, end] = [begin, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut bytes = vec![0; (end - begin) as usize];
        // Guard pages cannot be read, nor pages that were unmapped meanwhile.
        if memory.read_exact_at(&mut bytes, begin).is_ok() {
            found += bytes.windows(cookie.len()).filter(|window| *window == cookie.as_bytes()).count();
        }
    }
    Some(found)
}

fn no_server_keeps_a_cookie_in_hexadecimal() {
    let started = Home::new();
    let (server, _) = started.count();
    let hand = Home::new();
    let mut by_hand = hand.command(&["@serve"]).spawn().unwrap();
    eventually("the server is registered", || fs::read(hand.point()).is_ok_and(|record| !record.is_empty()));
    for (home, pid) in [(&started, server.pid()), (&hand, by_hand.id())] {
        let Some(found) = spelled(home, pid) else {
            println!("not tried: the server's memory cannot be read");
            break;
        };
        assert_eq!(found, 0, "after the start");
        fs::write(home.point(), b"").unwrap();
        eventually("the server is registered again", || fs::read(home.point()).is_ok_and(|record| !record.is_empty()));
        eventually("the server has written the whole record", || home.count().0.suspicions.is_empty());
        assert_eq!(spelled(home, pid), Some(0), "after the record was restored");
    }
    started.retire();
    runtime().block_on(hand.service().retire()).unwrap();
    assert!(by_hand.wait().unwrap().success());
}

fn no_client_keeps_a_cookie_in_hexadecimal() {
    let home = Home::new();
    for _ in ["starts", "joins"] {
        let mut client = home.command(&["@client", "stop-at=Leave"]).spawn().unwrap();
        wait_until_stopped(client.id());
        let found = spelled(&home, client.id());
        client.kill().unwrap();
        client.wait().unwrap();
        match found {
            Some(found) => assert_eq!(found, 0),
            None => return println!("not tried: the client's memory cannot be read"),
        }
    }
    home.retire();
}
