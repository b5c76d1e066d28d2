//! Processes of one user in surroundings of their own, as a container's: in other PID namespaces, where who is inside has
//! no number for who is outside, and without `/proc`.

use std::process::{Command, Stdio};

use rendezvous_ipc::How;

use crate::home::{Home, connected, eventually, output, printed, runtime};
use crate::program::{WHO, ask};

crate::trials![
    a_client_in_a_pid_namespace_joins_the_server_outside,
    a_client_joins_a_server_in_a_pid_namespace,
    whoever_joins_looks_or_retires_needs_neither_proc_nor_a_program,
];

/// What runs a program in namespaces of its own; `None` where the system does not let us.
fn unshare(namespaces: &[&str]) -> Option<Command> {
    let unshare = |program: &[&str]| {
        let mut command = Command::new("unshare");
        // Whoever is not root needs a user namespace for it.
        let user = (!rustix::process::geteuid().is_root()).then_some("-Ur");
        command.args(user).args(namespaces).args(program);
        command
    };
    let works = unshare(&["true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !works {
        println!("not tried: there can be no namespaces {namespaces:?} here");
    }
    works.then(|| unshare(&[]))
}

/// A part of this program, in a PID namespace of its own.
fn inside(home: &Home, args: &[&str]) -> Option<Command> {
    let mut unshare = unshare(&["-pf", "--mount-proc", "--kill-child"])?;
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

fn whoever_joins_looks_or_retires_needs_neither_proc_nor_a_program() {
    let home = home();
    let Some(mut unshare) = unshare(&["-m"]) else { return };
    let script = r#"
        mount -t tmpfs none /proc || exit
        "$0" @look --home "$1"
        "$0" @serve unix --home "$1" &
        for _ in $(seq 1000); do [ -s "$1/count" ] && break; sleep 0.01; done
        "$0" @client --home "$1"
        "$0" @look --home "$1"
        "$0" @retire --home "$1"
        wait
        "$0" @client --home "$1"
    "#;
    unshare.args(["/bin/sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(home.path());
    unshare.stdout(Stdio::piped());
    let said = printed(&output(unshare));
    let said: Vec<_> = said.lines().collect();
    let [nobody, joined, live, retired, no_program] = said[..] else { panic!("{said:#?}") };
    assert_eq!(nobody, "nothing there");
    assert!(joined.starts_with("joined an external server: pid ") && joined.ends_with(", count 1"), "{said:#?}");
    assert!(live.starts_with("live: pid "), "{live}");
    assert!(retired.starts_with("retired: pid "), "{retired}");
    let why = "error: this service has no program: the system does not say which program this is";
    assert!(no_program.starts_with(why), "{no_program}");
}
