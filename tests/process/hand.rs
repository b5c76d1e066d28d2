//! Servers that a user or a service manager starts.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rendezvous_ipc::Origin;
use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{self, Home, eventually, output, runtime};

crate::trials![
    a_server_started_by_hand_registers_itself_and_is_joined,
    a_second_server_by_hand_ends_with_the_pid_of_the_first,
    a_server_by_hand_beside_a_started_one_ends_with_its_pid,
    a_service_manager_is_notified_when_the_server_serves,
    a_signal_makes_a_server_by_hand_retire,
    a_program_that_goes_on_after_it_served_is_seen_to_retire,
    a_serve_that_is_dropped_before_it_serves_never_does,
    the_output_of_a_server_by_hand_is_not_bounded,
    a_spawned_flag_typed_by_hand_is_an_error_that_explains_it,
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

fn a_spawned_flag_typed_by_hand_is_an_error_that_explains_it() {
    let home = Home::new();
    let mut command = home.command(&["@serve"]);
    command.arg("--spawned").stderr(Stdio::piped());
    let output = output(command);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("--spawned is for servers that a client starts"), "{text}");
}
