//! Contexts that end with their creators.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use rendezvous_ipc::Context;
use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{Home, connected, eventually, runtime, signal};
use crate::program::{COUNT, ask, service};

crate::trials![
    dropping_an_ephemeral_context_ends_its_servers_and_directory,
    the_servers_of_an_ephemeral_context_end_when_its_creator_is_killed,
    a_connection_keeps_its_ephemeral_context,
    the_servers_of_an_ephemeral_context_stay_while_it_lasts,
    an_ephemeral_home_is_for_its_owner_alone_whatever_the_umask,
];

fn alive(pid: u32) -> bool {
    // A process that has ended, but was not reaped, has an empty command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn dropping_an_ephemeral_context_ends_its_servers_and_directory() {
    let home = Home::new();
    let context = Context::ephemeral("org.example.rendezvous.tests").unwrap();
    let directory = context.home().to_owned();
    let service = service(&context, home.limits, &["@serve"]);
    let (one, two) = runtime().block_on(async {
        let connection = connected(&service).await;
        let one = connection.outcome().pid();
        ask(&mut connection.into_stream(), COUNT).await.unwrap();
        signal(one, Signal::KILL);
        eventually("the first server is gone", || !alive(one));
        (one, connected(&service).await.outcome().pid())
    });
    assert_ne!(one, two);
    drop(context);
    assert!(alive(two) && directory.is_dir(), "the descriptor still holds the context");
    let begun = Instant::now();
    drop(service);
    eventually("the server is gone", || !alive(two));
    assert!(begun.elapsed() < home.limits.drain, "{:?}", begun.elapsed());
    assert!(!directory.exists());
}

fn a_connection_keeps_its_ephemeral_context() {
    let home = Home::new();
    runtime().block_on(async {
        let context = Context::ephemeral("org.example.rendezvous.tests").unwrap();
        let directory = context.home().to_owned();
        let connection = connected(&service(&context, home.limits, &["@serve"])).await;
        drop(context);
        let (pid, mut stream) = (connection.outcome().pid(), connection.into_stream());
        assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 1);
        assert!(alive(pid) && directory.is_dir());
        drop(stream);
        eventually("the server is gone", || !alive(pid) && !directory.exists());
    });
}

fn the_servers_of_an_ephemeral_context_stay_while_it_lasts() {
    let home = Home::new();
    let context = Context::ephemeral("org.example.rendezvous.tests").unwrap();
    let service = service(&context, home.limits, &["@serve"]);
    runtime().block_on(async {
        let server = connected(&service).await.outcome().pid();
        for _ in 0..5 {
            let connection = connected(&service).await;
            assert_eq!(connection.outcome().pid(), server, "it is there without clients");
            ask(&mut connection.into_stream(), COUNT).await.unwrap();
        }
    });
}

fn an_ephemeral_home_is_for_its_owner_alone_whatever_the_umask() {
    let home = Home::new();
    let mut creator = Command::new("/bin/sh");
    creator.args(["-c", "umask 000; exec \"$0\" @creator"]).arg(std::env::current_exe().unwrap());
    let mut creator = creator.env("TMPDIR", home.directory()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(creator.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pid = stdout.next().expect("the creator prints the PID of its server").parse().unwrap();
    let directory = stdout.next().unwrap();
    assert_eq!(std::fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o700);
    creator.kill().unwrap();
    creator.wait().unwrap();
    eventually("the server is gone", || !alive(pid));
}

fn the_servers_of_an_ephemeral_context_end_when_its_creator_is_killed() {
    let home = Home::new();
    let mut creator = home.command(&["@creator"]).spawn().unwrap();
    let mut stdout = BufReader::new(creator.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (pid, directory) = (stdout.next().unwrap().parse().unwrap(), stdout.next().unwrap());
    assert!(alive(pid));
    let begun = Instant::now();
    creator.kill().unwrap();
    creator.wait().unwrap();
    eventually("the server is gone", || !alive(pid));
    assert!(begun.elapsed() < home.limits.drain, "{:?}", begun.elapsed());
    let directory = Path::new(&directory);
    assert_eq!(std::fs::read(directory.join("count")).unwrap(), b"", "the record is withdrawn");
    std::fs::remove_dir_all(directory).unwrap();
}
