//! Servers that a user or a service manager starts.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rendezvous_ipc::{Error, Origin, Status};
use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{self, Home, eventually, output, runtime};
use crate::program::COUNT;

crate::trials![
    a_server_started_by_hand_registers_itself_and_is_joined,
    a_second_server_by_hand_ends_with_the_pid_of_the_first,
    a_server_by_hand_beside_a_started_one_ends_with_its_pid,
    a_service_manager_is_notified_when_the_server_serves,
    a_signal_makes_a_server_by_hand_retire,
    a_program_that_goes_on_after_it_served_is_seen_to_retire,
    a_serve_that_is_dropped_before_it_serves_never_does,
    the_output_of_a_server_by_hand_is_not_bounded,
    a_server_that_is_given_a_socket_says_why_it_takes_none,
    a_service_manager_may_accept_clients_that_a_bridge_connects,
    a_process_serves_two_services_by_hand,
    a_started_process_serves_no_second_service_and_names_both,
];

fn a_server_started_by_hand_registers_itself_and_is_joined() {
    let home = Home::new();
    let mut server = home.command(&["@serve"]).spawn().unwrap();
    registered(&home);
    let (outcome, count) = home.count();
    assert_eq!((outcome.origin, outcome.pid(), count), (Origin::Joined, server.id(), 1));
    runtime().block_on(home.service().retire()).unwrap();
    assert!(server.wait().unwrap().success());
}

fn a_second_server_by_hand_ends_with_the_pid_of_the_first() {
    let home = Home::new();
    let mut server = home.command(&["@serve"]).spawn().unwrap();
    registered(&home);
    let second = second(&home);
    assert_eq!(second, format!("a server is already running: pid {}", server.id()));
    runtime().block_on(home.service().retire()).unwrap();
    assert!(server.wait().unwrap().success());
}

fn a_server_by_hand_beside_a_started_one_ends_with_its_pid() {
    let home = Home::new();
    let (server, _) = home.count();
    assert_eq!(second(&home), format!("a server is already running: pid {}", server.pid()));
    assert_eq!(home.count().0.pid(), server.pid());
    home.retire();
}

/// What a second server prints.
fn second(home: &Home) -> String {
    let mut command = home.command(&["@serve"]);
    command.stderr(Stdio::piped());
    let output = output(command);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn a_service_manager_is_notified_when_the_server_serves() {
    let home = Home::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(home::LONG)).unwrap();
    let mut server = home.command(&["@serve"]).env("NOTIFY_SOCKET", &path).spawn().unwrap();
    let mut message = [0; 64];
    let len = home::uninterrupted(|| manager.recv(&mut message)).unwrap();
    assert_eq!(String::from_utf8_lossy(&message[..len]).trim(), "READY=1");
    assert_eq!(home.count().0.pid(), server.id(), "the server serves by then");
    runtime().block_on(home.service().retire()).unwrap();
    assert!(server.wait().unwrap().success());
}

fn a_signal_makes_a_server_by_hand_retire() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let mut server = home.command(&["@serve"]).spawn().unwrap();
        registered(&home);
        home::signal(server.id(), signal);
        assert!(server.wait().unwrap().success(), "{signal:?}");
        assert_eq!(fs::read(home.point()).unwrap(), b"", "the server withdrew its record");
    }
}

fn a_program_that_goes_on_after_it_served_is_seen_to_retire() {
    let home = Home::new();
    let service = home.service();
    let serving = thread::spawn(move || runtime().block_on(service.serve()));
    registered(&home);
    let begun = Instant::now();
    runtime().block_on(home.service().retire()).unwrap();
    assert!(begun.elapsed() < home.limits.drain, "{:?}", begun.elapsed());
    serving.join().unwrap().unwrap();
}

fn a_serve_that_is_dropped_before_it_serves_never_does() {
    let home = Home::new();
    home.make();
    let lock = fs::File::options().create(true).truncate(false).write(true).mode(0o600).open(home.point()).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    runtime().block_on(async {
        let service = home.service();
        tokio::time::timeout(Duration::from_millis(200), service.serve()).await.expect_err("this test holds the lock");
    });
    fs2::FileExt::unlock(&lock).unwrap();
    let (outcome, _) = home.count();
    assert!(matches!(outcome.origin, Origin::StartedExternal(_)), "{outcome}");
    assert_ne!(outcome.pid(), std::process::id());
    home.retire();
}

fn the_output_of_a_server_by_hand_is_not_bounded() {
    let home = Home::new();
    let mut output = tempfile::NamedTempFile::new().unwrap();
    let long = vec![b'.'; 3 << 20];
    output.write_all(&long).unwrap();
    let mut server = home.command(&["@serve"]).stderr(output.reopen().unwrap()).spawn().unwrap();
    registered(&home);
    // A restored record shows that the server has checked its files.
    fs::write(home.point(), b"").unwrap();
    registered(&home);
    assert_eq!(output.as_file().metadata().unwrap().len(), long.len() as u64);
    runtime().block_on(home.service().retire()).unwrap();
    assert!(server.wait().unwrap().success());
}

fn registered(home: &Home) {
    eventually("the server is registered", || fs::read(home.point()).is_ok_and(|record| !record.is_empty()));
}

/// A command for a part of this program, as a service manager starts it that has opened a socket.
fn with_socket(home: &Home, for_whom: &str, part: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("LISTEN_FDS=1 LISTEN_PID={for_whom} exec \"$0\" {part} --home \"$1\"")]);
    command.arg(std::env::current_exe().unwrap()).arg(home.path()).stdin(Stdio::null());
    command
}

fn a_server_that_is_given_a_socket_says_why_it_takes_none() {
    let home = Home::new();
    let mut command = with_socket(&home, "$$", "@serve");
    command.stderr(Stdio::piped());
    let output = output(command);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("a service manager has opened a socket for this process (LISTEN_FDS)"), "{text}");
    assert!(!home.path().exists(), "nothing is created");
    // The variables of another process, such as a client's that starts it.
    let mut server = with_socket(&home, "1", "@serve").spawn().unwrap();
    registered(&home);
    runtime().block_on(home.service().retire()).unwrap();
    assert!(server.wait().unwrap().success());
}

fn a_service_manager_may_accept_clients_that_a_bridge_connects() {
    let home = Home::new();
    let (mut client, accepted) = UnixStream::pair().unwrap();
    let mut bridge = with_socket(&home, "$$", "@bridge").stdin(OwnedFd::from(accepted)).spawn().unwrap();
    client.write_all(&[COUNT]).unwrap();
    let mut count = [0; 8];
    client.read_exact(&mut count).unwrap();
    assert_eq!(u64::from_be_bytes(count), 1);
    drop(client);
    assert!(bridge.wait().unwrap().success());
    assert_eq!(home.count().1, 2, "the server outlives the bridge");
    home.retire();
}

fn a_process_serves_two_services_by_hand() {
    let home = Home::new();
    let mut server = home.command(&["@serve", "also=other"]).spawn().unwrap();
    registered(&home);
    let other = home.service_by(&["@serve", "name=other"]);
    eventually(
        "the other is registered",
        || matches!(runtime().block_on(other.inspect()), Ok(Status::Live { pid: Some(pid), .. }) if pid.get() == server.id()),
    );
    assert_eq!((home.count().1, home.try_count(&other).unwrap().1), (1, 1), "each has its own handler");
    runtime().block_on(home.service().retire()).unwrap();
    let (outcome, count) = home.try_count(&other).unwrap();
    assert_eq!((outcome.origin, count), (Origin::Joined, 2), "the other serves on");
    runtime().block_on(other.retire()).unwrap();
    assert!(server.wait().unwrap().success());
}

fn a_started_process_serves_no_second_service_and_names_both() {
    let home = Home::new();
    let by = |args: &[&str]| home.service_by(&[&["@serve"], args].concat());
    // The home of the second is that of its own context, which no client has ordered.
    let [ours, theirs] = ["count", "other"].map(|name| home.path().join(name).display().to_string());
    // Started for the one that it serves first.
    assert_eq!(home.try_count(&by(&["also=other"])).unwrap().1, 1, "the one that was ordered is served");
    let log = home.path().join("count.log");
    let names_both = |text: &str| {
        let text = text.split_once(&format!("started for {ours}, serves it, and may not serve "));
        text.is_some_and(|(_, second)| second.split_once("/other, too: ").is_some())
    };
    eventually("the other is refused", || names_both(&fs::read_to_string(&log).unwrap()));
    // Started for the other one, beside a server of the first and without one.
    for _ in 0..2 {
        let begun = Instant::now();
        let error = home.fail(&by(&["name=other", "also=other", "first=count"]));
        let text = format!("{error:#}");
        assert!(
            matches!(error, Error::Start(_)) && text.contains(&format!("started for {theirs} and serves ")),
            "{text}"
        );
        assert!(text.contains("/count: serve what is ordered"), "{text}");
        assert!(begun.elapsed() < home.limits.start, "at once: {:?}", begun.elapsed());
        runtime().block_on(home.service().retire()).unwrap();
    }
    home.wait_for_all_exits();
}
