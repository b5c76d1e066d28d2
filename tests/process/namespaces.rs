//! Processes of one user that are in different PID namespaces, as those of a container are: who is inside has no number
//! for who is outside.

use std::process::{Command, Stdio};

use rendezvous_ipc::How;

use crate::home::{Home, connected, eventually, output, printed, runtime};
use crate::program::{WHO, ask};

crate::trials![a_client_in_a_pid_namespace_joins_the_server_outside, a_client_joins_a_server_in_a_pid_namespace,];

/// What runs a program in a PID namespace of its own, and in nothing else of its own but what that takes; `None`
/// where the system does not let us.
fn unshare() -> Option<Command> {
    let others = if rustix::process::geteuid().is_root() { "-pf" } else { "-Urpf" };
    let unshare = |program: &[&str]| {
        let mut command = Command::new("unshare");
        command.args([others, "--mount-proc", "--kill-child"]).args(program);
        command
    };
    let works = unshare(&["true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !works {
        println!("not tried: there can be no PID namespace here");
    }
    works.then(|| unshare(&[]))
}

/// A part of this program, in a PID namespace of its own.
fn inside(home: &Home, args: &[&str]) -> Option<Command> {
    let mut unshare = unshare()?;
    let command = home.command(args);
    unshare.arg(command.get_program()).args(command.get_args());
    unshare.stdin(Stdio::null()).stdout(Stdio::piped());
    Some(unshare)
}

/// A home whose servers listen at sockets, where the system says who connects.
fn home() -> Home {
    let mut home = Home::new();
    home.server = &["@serve", "unix"];
    home
}

fn a_client_in_a_pid_namespace_joins_the_server_outside() {
    let home = home();
    let Some(client) = inside(&home, &["@client"]) else { return };
    let (server, _) = home.count();
    let said = printed(&output(client));
    assert_eq!(said, format!("joined an external server: pid {}, count 2", server.pid));
    home.retire();
}

fn a_client_joins_a_server_in_a_pid_namespace() {
    let home = home();
    let Some(mut server) = inside(&home, &["@serve", "unix"]) else { return };
    let mut server = server.spawn().unwrap();
    eventually("it serves", || home.point().metadata().is_ok_and(|point| point.len() > 0));
    runtime().block_on(async {
        let connection = connected(&home.service()).await;
        let outcome = connection.outcome().clone();
        assert_eq!((outcome.how, outcome.pid), (How::Joined, 1), "{outcome}");
        assert_eq!(ask(&mut connection.into_stream(), WHO).await.unwrap(), 0, "who connects is not known there");
    });
    home.retire();
    server.wait().unwrap();
}
