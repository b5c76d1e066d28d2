//! Servers that somebody starts by hand.

use std::process::Stdio;

use rendezvous_ipc::How;

use crate::home::{Home, eventually, output, runtime};

crate::trials![
    a_server_started_by_hand_registers_itself_and_is_joined,
    a_second_server_by_hand_ends_with_the_pid_of_the_first,
    a_server_by_hand_beside_a_started_one_ends_with_its_pid,
    spawned_typed_by_hand_is_told_what_is_wrong,
];

fn a_server_started_by_hand_registers_itself_and_is_joined() {
    let home = Home::new();
    let mut server = home.command(&["serve"]).spawn().unwrap();
    eventually("it is registered", || home.point().exists() && !std::fs::read(home.point()).unwrap().is_empty());
    let (outcome, count) = home.count();
    assert_eq!((outcome.how, outcome.pid, count), (How::Joined, server.id(), 1));
    runtime().block_on(home.service().retire()).unwrap();
    assert!(server.wait().unwrap().success());
}

fn a_second_server_by_hand_ends_with_the_pid_of_the_first() {
    let home = Home::new();
    let mut server = home.command(&["serve"]).spawn().unwrap();
    eventually("it is registered", || home.point().exists() && !std::fs::read(home.point()).unwrap().is_empty());
    let second = second(&home);
    assert_eq!(second, format!("a server is already running: pid {}", server.id()));
    runtime().block_on(home.service().retire()).unwrap();
    assert!(server.wait().unwrap().success());
}

fn a_server_by_hand_beside_a_started_one_ends_with_its_pid() {
    let home = Home::new();
    let (server, _) = home.count();
    assert_eq!(second(&home), format!("a server is already running: pid {}", server.pid));
    assert_eq!(home.count().0.pid, server.pid);
    home.retire();
}

/// What a server says that is started beside another.
fn second(home: &Home) -> String {
    let mut command = home.command(&["serve"]);
    command.stderr(Stdio::piped());
    let output = output(command);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn spawned_typed_by_hand_is_told_what_is_wrong() {
    let home = Home::new();
    let mut command = home.command(&["serve"]);
    command.arg("--spawned").stderr(Stdio::piped());
    let output = output(command);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("--spawned is for servers that a client starts"), "{text}");
}
