//! What processes keep of a cookie beside the one that they need: it is written in hexadecimal for a moment only.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use crate::home::{Home, eventually, runtime, wait_until_stopped};

crate::trials![
    a_server_keeps_no_cookie_in_hexadecimal_whoever_started_it_and_whatever_it_restored,
    a_client_keeps_no_cookie_in_hexadecimal_whether_it_started_the_server_or_joined_it,
];

/// How often the cookie of the registered server stands in the memory of a process as its record spells it. `None` where
/// the system lets nobody look.
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
        // A guard page cannot be read, nor what was unmapped meanwhile.
        if memory.read_exact_at(&mut bytes, begin).is_ok() {
            found += bytes.windows(cookie.len()).filter(|window| *window == cookie.as_bytes()).count();
        }
    }
    Some(found)
}

fn a_server_keeps_no_cookie_in_hexadecimal_whoever_started_it_and_whatever_it_restored() {
    let started = Home::new();
    let (server, _) = started.count();
    let hand = Home::new();
    let mut by_hand = hand.command(&["@serve"]).spawn().unwrap();
    eventually("it is registered", || fs::read(hand.point()).is_ok_and(|record| !record.is_empty()));
    for (home, pid) in [(&started, server.pid), (&hand, by_hand.id())] {
        let Some(found) = spelled(home, pid) else {
            println!("its memory cannot be looked at");
            break;
        };
        assert_eq!(found, 0, "after the start");
        fs::write(home.point(), b"").unwrap();
        eventually("it is registered again", || fs::read(home.point()).is_ok_and(|record| !record.is_empty()));
        eventually("it has written all of it", || home.count().0.suspicions.is_empty());
        assert_eq!(spelled(home, pid), Some(0), "after the record was restored");
    }
    started.retire();
    runtime().block_on(hand.service().retire()).unwrap();
    assert!(by_hand.wait().unwrap().success());
}

fn a_client_keeps_no_cookie_in_hexadecimal_whether_it_started_the_server_or_joined_it() {
    let home = Home::new();
    for _ in ["starts", "joins"] {
        let mut client = home.command(&["@client", "stop-at=Leave"]).spawn().unwrap();
        wait_until_stopped(client.id());
        let found = spelled(&home, client.id());
        client.kill().unwrap();
        client.wait().unwrap();
        match found {
            Some(found) => assert_eq!(found, 0),
            None => return println!("its memory cannot be looked at"),
        }
    }
    home.retire();
}
