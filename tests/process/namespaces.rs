//! Processes of one user in different namespaces, as in containers: they have no numbers for each other, or another
//! loopback, no `/proc`, or another boot.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rendezvous_ipc::Origin;
use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{Home, connected, eventually, kill, output, printed, runtime, signal, stop};
use crate::program::{WHO, ask};

crate::trials![
    a_client_in_a_pid_namespace_joins_the_server_outside,
    a_client_joins_a_server_in_a_pid_namespace,
    a_server_of_another_pid_namespace_is_not_killed_but_reported,
    no_process_is_killed_by_a_pid_of_another_namespace,
    joining_looking_and_retiring_need_neither_proc_nor_a_program,
    a_server_needs_proc_to_listen_at_a_port_and_the_error_names_it,
    a_server_needs_proc_to_tell_its_build_and_the_error_says_so,
    a_socket_reached_only_by_proc_is_an_error_without_proc,
    a_server_at_a_socket_is_joined_across_namespaces_and_boots,
    a_port_of_another_network_namespace_is_an_error_and_not_dialled,
    a_server_at_a_port_is_joined_though_another_boot_is_seen,
    a_server_is_started_where_there_are_no_devices,
    a_home_is_the_same_through_a_bind_mount,
    the_server_of_a_copied_file_system_is_not_joined,
];

/// A place where a program runs: the flags of `unshare`, and what else it needs.
#[derive(Clone, Copy, Debug)]
struct Place {
    flag: &'static str,
    more: &'static [&'static str],
    /// What a shell runs there first.
    first: &'static str,
}

const PID: Place = Place { flag: "pf", more: &["--mount-proc", "--kill-child"], first: "true" };
/// A PID namespace in which `/proc` shows the processes of another.
const PID_BY_OTHERS: Place = Place { flag: "pf", more: &["--kill-child"], first: "true" };
const NETWORK: Place = Place { flag: "n", more: &[], first: "true" };
const NO_PROC: Place = Place { flag: "m", more: &[], first: "mount -t tmpfs none /proc" };
/// As in a bare chroot.
const NO_DEVICES: Place = Place { flag: "m", more: &[], first: "mount -t tmpfs none /dev" };
/// As in a hardened service: `/proc` shows only processes, so the boot is unknown.
const HARDENED: Place = Place { flag: "m", more: &[], first: "mount -t proc -o subset=pid proc /proc" };
/// Another boot, and another machine if it has an identity.
const REBOOTED: Place = Place {
    flag: "m",
    more: &[],
    first: "mount -t tmpfs none /mnt && date +%s%N > /mnt/id && mount --bind /mnt/id /proc/sys/kernel/random/boot_id && \
            if [ -e /etc/machine-id ]; then mount --bind /mnt/id /etc/machine-id; fi",
};

/// A place where one directory is at another path, too.
fn bound(from: &Path, to: &Path) -> Place {
    let first = format!("mount --bind '{}' '{}'", from.display(), to.display());
    Place { flag: "m", more: &[], first: first.leak() }
}

/// A command that runs a program at this place. Returns `None` if the system does not permit it.
fn unshare(place: Place) -> Option<Command> {
    let own = if rustix::process::geteuid().is_root() { "-" } else { "-Ur" };
    let unshare = || {
        let mut command = Command::new("unshare");
        command.arg(format!("{own}{}", place.flag)).args(place.more);
        command.args(["sh", "-c", &format!("{} && exec \"$@\"", place.first), "sh"]);
        command
    };
    let works = unshare().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !works {
        println!("not tried, as the system does not permit it: {place:?}");
    }
    works.then(unshare)
}

/// A part of this program at this place.
fn inside(place: Place, home: &Home, args: &[&str]) -> Option<Command> {
    let mut unshare = unshare(place)?;
    let command = home.command(args);
    unshare.arg(command.get_program()).args(command.get_args());
    unshare.stdin(Stdio::null()).stdout(Stdio::piped());
    Some(unshare)
}

/// A home whose servers listen at Unix sockets, where the kernel identifies the peer.
fn at_sockets() -> Home {
    let mut home = Home::new();
    home.server = &["@serve", "unix"];
    home
}

fn at_ports() -> Home {
    let mut home = Home::new();
    home.server = &["@serve", "tcp"];
    home
}

fn a_client_in_a_pid_namespace_joins_the_server_outside() {
    let home = at_sockets();
    let Some(client) = inside(PID, &home, &["@client"]) else { return };
    let (server, _) = home.count();
    let stdout = printed(&output(client));
    assert_eq!(stdout, format!("joined an external server: pid {}, count 2", server.pid()));
    home.retire();
}

fn a_client_joins_a_server_in_a_pid_namespace() {
    let home = at_sockets();
    let Some(mut server) = inside(PID, &home, &["@serve", "unix"]) else { return };
    let mut server = server.spawn().unwrap();
    eventually("the server serves", || home.point().metadata().is_ok_and(|point| point.len() > 0));
    runtime().block_on(async {
        let connection = connected(&home.service()).await;
        let outcome = connection.outcome().clone();
        assert_eq!((outcome.origin, outcome.pid()), (Origin::Joined, 1), "{outcome}");
        assert_eq!(ask(&mut connection.into_stream(), WHO).await.unwrap(), 0, "the client's number is unknown there");
    });
    home.retire();
    server.wait().unwrap();
}

fn a_home_is_the_same_through_a_bind_mount() {
    for home in [at_ports(), at_sockets()] {
        let there = Home::new();
        home.make();
        there.make();
        let Some(client) = inside(bound(&home.path(), &there.path()), &there, &["@client"]) else { return };
        let (server, _) = home.count();
        let stdout = printed(&output(client));
        assert_eq!(stdout, format!("joined an external server: pid {}, count 2", server.pid()));
        home.retire();
    }
}

/// Both homes are the root of a file system: one inode number, as of a snapshot.
fn the_server_of_a_copied_file_system_is_not_joined() {
    let (home, copy) = (Home::new(), Home::new());
    home.make();
    copy.make();
    let mount = |home: &Home| format!("mount -t tmpfs -o mode=700 none '{}'", home.path().display());
    let first = format!("{} && {}", mount(&home), mount(&copy)).leak();
    let Some(mut unshare) = unshare(Place { flag: "m", more: &[], first }) else { return };
    let script = r#"
        [ "$(stat -f -c %i "$1")" != "$(stat -f -c %i "$2")" ] || { echo not tried; exit; }
        [ "$(stat -c %i "$1")" = "$(stat -c %i "$2")" ] || echo another inode
        "$0" @client server:tcp --home "$1"
        cp -p "$1/count" "$1/count.life" "$2"
        "$0" @client server:tcp --home "$2"
        "$0" @retire --home "$1" && "$0" @retire --home "$2"
    "#;
    unshare.args(["/bin/sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(home.path()).arg(copy.path());
    unshare.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let stdout = printed(&output(unshare));
    if stdout != "not tried" {
        let starts = stdout.lines().filter(|line| line.starts_with("started an external server")).count();
        let [.., one, two] = *stdout.lines().collect::<Vec<_>>() else { panic!("{stdout}") };
        assert_eq!((starts, stdout.lines().count()), (2, 4), "{stdout}");
        assert_ne!(one, two, "each has a server of its own: {stdout}");
    }
}

fn a_server_of_another_pid_namespace_is_not_killed_but_reported() {
    let assert_reports = |text: &str, pid: u32, found: &[&str]| {
        let found = found.iter().any(|found| {
            let why = "if it is in another PID namespace (a container), end it there";
            text.starts_with(&format!(
                "error: the server (pid {pid}) does not answer and was not ended, for {found}: {why}"
            ))
        });
        assert!(found, "{text}");
    };
    const LISTENS: &[&str] =
        &["the process that listens at its socket has another number here, or none, as one in a container has"];
    const NUMBER: &[&str] = &["that number is another process's here", "no process has that number here"];
    for (mut home, found) in [(at_sockets(), LISTENS), (at_ports(), NUMBER)] {
        let end = [&["@end"], &home.server[1..]].concat();
        let Some(end_inside) = inside(PID, &home, &end) else { return };
        let (outcome, _) = home.count();
        stop(outcome.pid());
        assert_reports(&printed(&output(end_inside)), outcome.pid(), found);
        signal(outcome.pid(), Signal::CONT);
        home.retire();

        home.below = "container".into();
        let Some(mut server) = inside(PID, &home, home.server) else { return };
        let mut server = server.spawn().unwrap();
        eventually("the server serves", || home.point().metadata().is_ok_and(|point| point.len() > 0));
        let pid = process_of_this_program(&home);
        stop(pid);
        assert_reports(&printed(&output(home.command(&end))), 1, found);
        // In its namespace, the client is number 1 too.
        assert_reports(&printed(&output(inside(PID, &home, &end).unwrap())), 1, found);
        signal(pid, Signal::CONT);
        home.retire();
        server.wait().unwrap();
    }
}

/// The PID here of the process that is this program and not `unshare`.
fn process_of_this_program(home: &Home) -> u32 {
    let program = std::env::current_exe().unwrap();
    let is = |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path == program);
    home.processes().into_iter().find(is).expect("the program runs")
}

/// Inside, the server's number is another process's, but `/proc` shows the server under it.
fn no_process_is_killed_by_a_pid_of_another_namespace() {
    let home = at_ports();
    let Some(mut unshare) = unshare(PID_BY_OTHERS) else { return };
    let (server, _) = home.count();
    stop(server.pid());
    let script = r#"
        echo $(($2 - 1)) > /proc/sys/kernel/ns_last_pid
        sleep 60 & [ $! = "$2" ] || { echo not tried; exit; }
        "$0" @end --home "$1"
        kill -0 $! && echo it lives
    "#;
    unshare.args(["/bin/sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(home.path());
    unshare.arg(server.pid().to_string()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let stdout = printed(&output(unshare));
    if stdout != "not tried" {
        assert!(stdout.contains("was not ended, for that number is another process's here"), "{stdout}");
        assert!(stdout.ends_with("it lives"), "{stdout}");
    }
    assert_eq!(home.processes(), [server.pid()]);
    kill(&home, server.pid());
}

fn a_server_at_a_socket_is_joined_across_namespaces_and_boots() {
    for place in [NETWORK, HARDENED, REBOOTED] {
        let home = at_sockets();
        let Some(client) = inside(place, &home, &["@client", "server:unix"]) else { continue };
        let (server, _) = home.count();
        let stdout = printed(&output(client));
        assert_eq!(stdout, format!("joined an external server: pid {}, count 2", server.pid()), "{place:?}");
        home.retire();
        let Some(client) = inside(place, &home, &["@client", "server:unix"]) else { continue };
        let stdout = printed(&output(client));
        assert!(stdout.starts_with("started an external server"), "{place:?}: {stdout}");
        let (outcome, count) = home.count();
        assert_eq!((outcome.origin, count), (Origin::Joined, 2), "{place:?}: {outcome}");
        home.retire();
    }
}

fn a_port_of_another_network_namespace_is_an_error_and_not_dialled() {
    let home = at_ports();
    let Some(client) = inside(NETWORK, &home, &["@client", "server:tcp"]) else { return };
    let (server, _) = home.count();
    let point = home.point().display().to_string();
    let stdout = printed(&output(client));
    let theirs = format!(
        "error: {point} belongs to a server (pid {} there) that cannot be reached from here, for ",
        server.pid()
    );
    let remedy = format!("have it listen at a Unix socket, or, if this directory was copied, remove {point}");
    assert_eq!(stdout, format!("{theirs}it is of another network namespace: {remedy}"));
    assert_eq!(home.count().1, 2, "the server was left alone");
    home.retire();
}

fn a_server_at_a_port_is_joined_though_another_boot_is_seen() {
    for place in [HARDENED, REBOOTED] {
        let home = at_ports();
        let Some(client) = inside(place, &home, &["@client", "server:tcp"]) else { continue };
        let (server, _) = home.count();
        let stdout = printed(&output(client));
        assert_eq!(stdout, format!("joined an external server: pid {}, count 2", server.pid()), "{place:?}");
        home.retire();
    }
}

fn joining_looking_and_retiring_need_neither_proc_nor_a_program() {
    let home = at_sockets();
    let Some(mut unshare) = unshare(NO_PROC) else { return };
    let script = r#"
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
    let stdout = printed(&output(unshare));
    let stdout: Vec<_> = stdout.lines().collect();
    let [before, joined, live, retired, no_program] = stdout[..] else { panic!("{stdout:#?}") };
    assert_eq!(before, "nothing there");
    assert!(joined.starts_with("joined an external server: pid ") && joined.ends_with(", count 1"), "{stdout:#?}");
    assert!(live.starts_with("live: pid "), "{live}");
    assert!(retired.starts_with("retired: pid "), "{retired}");
    let why = "error: this service has no program: the system does not say which program this is";
    assert!(no_program.starts_with(why), "{no_program}");
}

fn a_server_needs_proc_to_listen_at_a_port_and_the_error_names_it() {
    let home = at_ports();
    let Some(mut server) = inside(NO_PROC, &home, &["@serve", "tcp"]) else { return };
    let stderr = server.stderr(Stdio::piped()).output().unwrap().stderr;
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(stderr.contains("no client can find a port whose network namespace is not known: mount /proc"), "{stderr}");
}

fn a_server_needs_proc_to_tell_its_build_and_the_error_says_so() {
    let home = at_sockets();
    let Some(mut server) = inside(NO_PROC, &home, &["@serve", "unix", "rebuilt"]) else { return };
    let stderr = server.stderr(Stdio::piped()).output().unwrap().stderr;
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(stderr.contains("the system does not say when this program was built (is there no /proc?)"), "{stderr}");
}

fn a_socket_reached_only_by_proc_is_an_error_without_proc() {
    let mut home = at_sockets();
    home.below = std::path::Path::new(&"a".repeat(100)).join("b".repeat(100));
    let Some(client) = inside(NO_PROC, &home, &["@client"]) else { return };
    let (server, _) = home.count();
    let why = "use a shorter home or a shorter name, or mount /proc, which leads to longer ones";
    let stdout = printed(&output(client));
    assert_eq!(
        stdout,
        format!("error: the system refused what is needed at Dial ({why}): File name too long (os error 36)"),
        "the error does not claim that the server is gone"
    );
    assert_eq!(home.count().0.pid(), server.pid());
    home.retire();
}

fn a_server_is_started_where_there_are_no_devices() {
    for dialect in ["native", "sequoia"] {
        let mut home = Home::new();
        let Some(client) = inside(NO_DEVICES, &home, &["@client", &format!("server:{dialect}")]) else { return };
        let stdout = printed(&output(client));
        assert!(stdout.starts_with("started an external server"), "{dialect}: {stdout}");
        home.server = if dialect == "native" { &["@serve"] } else { &["@serve", "sequoia"] };
        assert_eq!(home.count().1, 2, "{dialect}");
        home.processes().into_iter().for_each(|server| signal(server, Signal::TERM));
        home.wait_for_all_exits();
    }
}
