//! Our side of the dialect of `sequoia-ipc`. `interop/` tests it against the published crate.

use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::pin::pin;
use std::process::{Child, Stdio};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use rendezvous_ipc::proto::sequoia::record::{Found, Record};
use rendezvous_ipc::{Context, Error, Limits, Origin, Policy, Reason, Stage, Status};
use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{Home, LONG, Stranger, eventually, output, printed, processes, runtime, signal, uninterrupted};
use crate::program::{self, COUNT, ask};

crate::trials![
    a_dialect_server_is_started_once_and_then_joined,
    twenty_clients_of_the_dialect_at_once_share_one_server,
    the_first_connection_decides_the_cookie_and_no_later_one_does,
    bad_dialect_clients_delay_no_client_and_keep_no_server,
    a_dialect_client_without_a_cookie_has_the_time_of_a_handshake,
    a_full_dialect_acceptor_drops_the_oldest_and_lets_a_client_in,
    an_unreadable_point_of_the_dialect_is_cleared_before_a_start,
    a_start_of_the_dialect_that_fails_reports_why_and_leaves_nothing,
    a_connect_of_the_dialect_dropped_at_any_await_leaves_nothing_behind,
    a_dialect_client_killed_at_any_step_leaves_one_server,
    a_server_of_the_dialect_that_does_not_answer_is_not_replaced,
    a_stranger_on_a_dead_servers_port_gets_the_dialects_cookie,
    a_second_dialect_server_by_hand_reports_that_one_runs,
    an_option_without_meaning_in_the_dialect_is_an_error,
    a_flag_of_the_wrong_dialect_is_an_error_that_explains_it,
    an_ephemeral_server_of_the_dialect_ends_when_its_home_is_gone,
    the_policies_of_the_dialect_are_kept,
    a_dialect_server_restores_its_record_unless_another_is_there,
    no_client_of_the_dialect_is_lost_to_an_idle_server,
];

/// A home whose service uses the dialect.
fn new() -> Home {
    served_by(&["@serve", "sequoia"])
}

fn served_by(server: &'static [&'static str]) -> Home {
    let mut home = Home::new();
    home.server = server;
    home
}

fn with(limits: Limits) -> Home {
    let mut home = new();
    home.limits = limits;
    home
}

fn bytes(home: &Home) -> Vec<u8> {
    fs::read(home.point()).unwrap()
}

fn record(home: &Home) -> Record {
    match Found::read(&bytes(home)) {
        Found::Record(record) => record,
        other => panic!("no record: {other:?}"),
    }
}

/// Writes these bytes to the point without a lock.
fn leave(home: &Home, bytes: &[u8]) {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(home.point()).unwrap().write_all(bytes).unwrap();
}

fn leads_to(port: u16) -> Vec<u8> {
    [&[7; 32][..], format!("127.0.0.1:{port}").as_bytes()].concat()
}

/// Has the only server retire.
fn retire(home: &Home) {
    home.processes().into_iter().for_each(|pid| signal(pid, Signal::TERM));
    home.wait_for_all_exits();
    assert_eq!(bytes(home), b"", "the server withdrew its record");
}

/// Kills all processes of the home.
fn kill(home: &Home) {
    home.processes().into_iter().for_each(|pid| signal(pid, Signal::KILL));
    home.wait_for_all_exits();
    // An ending process loses its command line before its port.
    if let Found::Record(Record { port, .. }) = Found::read(&bytes_or_none(home)) {
        eventually("the port is free", || TcpStream::connect(("127.0.0.1", port.get())).is_err());
    }
}

/// Starts a server as a client of the dialect does, with a listener of the test's.
fn started(home: &Home, args: &[&str], listener: TcpListener) -> Child {
    if !home.path().exists() {
        home.make();
    }
    let mut command = home.command(&[&["@serve", "sequoia"], args].concat());
    command.arg("--lib").arg(home.directory()).args(["--ephemeral", "false", "--socket", "0"]);
    command.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).spawn().unwrap()
}

/// Sends 32 bytes, and asks for a count.
fn connect_with(port: u16, cookie: &[u8]) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LONG))?;
    stream.write_all(cookie)?;
    stream.write_all(&[COUNT])?;
    let mut count = [0; 8];
    stream.read_exact(&mut count)?;
    Ok(u64::from_be_bytes(count))
}

/// Waits for the end of the connection, and returns whether it is orderly.
fn ends(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(LONG)).unwrap();
    matches!(uninterrupted(|| stream.read(&mut [0])), Ok(0))
}

fn a_dialect_server_is_started_once_and_then_joined() {
    let home = new();
    let (started, one) = home.count();
    assert_eq!((started.origin, one), (Origin::StartedExternal(Reason::NoRecord), 1));
    assert_eq!(home.processes(), [started.pid()]);
    let (joined, two) = home.count();
    assert_eq!((joined.origin, joined.pid, two), (Origin::Joined, None, 2));
    assert_eq!(joined.to_string(), "joined an external server");
    assert_eq!(bytes(&home), *record(&home).bytes());
    let port = record(&home).port;
    kill(&home);
    let (next, count) = home.count();
    assert_eq!((next.origin, count), (Origin::StartedExternal(Reason::ServerGone), 1));
    assert!(next.suspicions[0].to_string().ends_with(&format!(":{port} refused the connection, at Dial")));
    retire(&home);
}

fn twenty_clients_of_the_dialect_at_once_share_one_server() {
    let home = new();
    let clients: Vec<_> = (0..20).map(|_| home.command(&["@client", "server:sequoia"]).spawn().unwrap()).collect();
    let mut counts: Vec<u64> = clients
        .into_iter()
        .map(|client| printed(&client.wait_with_output().unwrap()).rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    counts.sort_unstable();
    assert!(counts.into_iter().eq(1..=20));
    retire(&home);
}

fn the_first_connection_decides_the_cookie_and_no_later_one_does() {
    let home = new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let [mut first, mut second] = [1, 2].map(|byte| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(&[byte; 32]).unwrap();
        stream
    });
    let mut server = started(&home, &[], listener);
    // The first connection, which sent the cookie, is served when the server is ready; the second sent a wrong one.
    assert!(ends(&mut first));
    assert!(ends(&mut second));
    assert_eq!(connect_with(port, &[1; 32]).unwrap(), 1);
    connect_with(port, &[2; 32]).expect_err("another cookie is refused");
    connect_with(port, &[[1; 31].as_slice(), &[2]].concat()).expect_err("an almost equal cookie is refused");
    assert_eq!(connect_with(port, &[1; 32]).unwrap(), 2);
    // No client has registered it, so the server does.
    eventually("the server is registered", || matches!(Found::read(&bytes_or_none(&home)), Found::Record(_)));
    assert_eq!((record(&home).port.get(), record(&home).cookie.expose()), (port, &[1; 32]));
    retire(&home);
    assert!(server.wait().unwrap().success());
}

fn bytes_or_none(home: &Home) -> Vec<u8> {
    fs::read(home.point()).unwrap_or_default()
}

fn bad_dialect_clients_delay_no_client_and_keep_no_server() {
    let home = served_by(&["@serve", "sequoia", "idle=300"]);
    home.count();
    let port = record(&home).port.get();
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for wrong in [&[0; 32][..], &[1; 5000], b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        connect_with(port, wrong).expect_err("a wrong cookie is refused");
    }
    let mut slow = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for byte in &record(&home).cookie.expose()[..20] {
        slow.write_all(&[*byte]).unwrap();
    }
    let begun = Instant::now();
    assert_eq!(home.count().1, 2);
    assert!(begun.elapsed() < home.limits.handshake, "no client waited for them");
    home.wait_for_all_exits();
    assert_eq!(bytes(&home), b"");
    drop((silent, slow));
}

fn a_dialect_client_without_a_cookie_has_the_time_of_a_handshake() {
    let home = new();
    home.count();
    let begun = Instant::now();
    let mut silent = TcpStream::connect(("127.0.0.1", record(&home).port.get())).unwrap();
    assert!(ends(&mut silent));
    let took = begun.elapsed();
    assert!(took >= home.limits.handshake && took < LONG / 2, "{took:?}");
    retire(&home);
}

fn a_full_dialect_acceptor_drops_the_oldest_and_lets_a_client_in() {
    let home = served_by(&["@serve", "sequoia", "max_pending=4", "whole"]);
    home.count();
    let begun = Instant::now();
    let port = record(&home).port.get();
    let mut silent: Vec<_> = (0..5).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    assert!(ends(&mut silent[0]));
    assert!(begun.elapsed() < program::limits().handshake, "the oldest is closed at once");
    assert_eq!(home.count().1, 2);
    retire(&home);
}

fn an_unreadable_point_of_the_dialect_is_cleared_before_a_start() {
    let home = new();
    home.make();
    for damage in [&[7; 31][..], &[7; 5000], &[&[7; 32][..], b"127.0.0.1:99999"].concat()] {
        leave(&home, damage);
        assert!(matches!(home.count().0.origin, Origin::StartedExternal(Reason::Malformed(_))));
        assert_eq!(bytes(&home), *record(&home).bytes(), "the record is the whole file");
        kill(&home);
    }
}

fn a_start_of_the_dialect_that_fails_reports_why_and_leaves_nothing() {
    let home = with(Limits::default().divided_by(8));
    let missing = home.service().program("/nowhere/at/all", [""; 0]);
    assert!(format!("{:#}", home.fail(&missing)).contains("/nowhere/at/all cannot be executed"));
    for (args, expected) in [
        (&["@exits", "sequoia"][..], "exited with status 3 before it was ready; it printed"),
        (&["@exits", "sequoia"], "no space in the attic"),
        (&["@dies", "sequoia"], "SIGABRT"),
        (&["@replies-nothing", "sequoia"], "was not ready within"),
        (&["@serve", "sequoia", "refuses"], "no paper in\nthe tray"),
        (&["@serve", "sequoia", "hangs"], "was not ready within"),
    ] {
        let error = format!("{:#}", home.fail(&home.service_by(args)));
        assert!(error.contains(expected), "{args:?}: {error}");
        home.wait_for_all_exits();
        assert_eq!(bytes(&home), b"");
    }
}

fn a_connect_of_the_dialect_dropped_at_any_await_leaves_nothing_behind() {
    let home = new();
    let mut polls = 0;
    while !dropped_after(&home, polls) {
        polls += 1;
        if home.point().exists() {
            let lock = fs::File::open(home.point()).unwrap();
            fs2::FileExt::try_lock_exclusive(&lock).expect("the lock is free");
            fs2::FileExt::unlock(&lock).unwrap();
        }
        let registered = usize::from(!bytes_or_none(&home).is_empty());
        eventually("only a registered server is left", || home.processes().len() == registered);
        kill(&home);
        assert!(polls < 1000, "a connect ends");
    }
    assert!(polls >= 2, "it awaits the child and the connection: {polls} polls");
    retire(&home);
}

/// Whether a connect has ended after this many polls.
fn dropped_after(home: &Home, polls: usize) -> bool {
    let service = home.service();
    runtime().block_on(async {
        let mut connect = pin!(service.connect());
        let mut left = polls;
        std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(false);
            }
            left -= 1;
            connect.as_mut().poll(context).map(|connected| connected.map(drop).is_ok())
        })
        .await
    })
}

fn a_dialect_client_killed_at_any_step_leaves_one_server() {
    let steps =
        ["Lock", "Read", "Clear", "Introduce", "Spawn", "Await", "Write", "Dial", "SendCookie", "Unlock", "Done"];
    for (number, step) in steps.into_iter().enumerate() {
        let home = new();
        let client = output(home.command(&["@client", "server:sequoia", &format!("kill-at={step}")]));
        assert_eq!(client.status.code(), None, "killed before {step}");
        let begun = Instant::now();
        let (outcome, _) = home.count();
        assert!(begun.elapsed() < home.limits.connect, "before {step}");
        let registered = number > steps.iter().position(|step| *step == "Write").unwrap();
        assert!(outcome.origin == Origin::Joined || !registered, "before {step}: {outcome}");
        // A server that no client registered either registered itself, or finds another record and retires.
        eventually("one server is left", || home.processes().len() == 1);
        assert_eq!(home.count().0.origin, Origin::Joined);
        retire(&home);
    }
}

fn a_server_of_the_dialect_that_does_not_answer_is_not_replaced() {
    let home = with(Limits::default().divided_by(20));
    home.make();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    // The listener's queue is full.
    let short = Duration::from_millis(50);
    let queue: Vec<_> = std::iter::from_fn(|| TcpStream::connect_timeout(&address, short).ok()).collect();
    leave(&home, &leads_to(address.port()));
    let error = home.fail(&home.service());
    assert!(matches!(error, Error::Deadline { stage: Stage::Dial, .. }), "{error}");
    assert!(error.to_string().contains(&format!("{address} sent nothing in time, at Dial")), "{error}");
    assert!(matches!(runtime().block_on(home.service().inspect()).unwrap(), Status::Unknown(_)));
    assert_eq!((bytes(&home), home.processes()), (leads_to(address.port()), vec![]));
    drop(queue);
}

fn a_stranger_on_a_dead_servers_port_gets_the_dialects_cookie() {
    let home = new();
    home.make();
    let stranger = Stranger::silent();
    let port = stranger.address.rsplit_once(':').unwrap().1.parse().unwrap();
    leave(&home, &leads_to(port));
    let connection = runtime().block_on(home.service().connect()).unwrap();
    assert_eq!(connection.outcome().origin, Origin::Joined, "the dialect cannot detect the stranger");
    drop(connection);
    assert_eq!(stranger.received(), [vec![7; 32]]);
    assert_eq!(
        runtime().block_on(home.service().inspect()).unwrap().to_string(),
        format!("a process listens at 127.0.0.1:{port}")
    );
}

fn a_second_dialect_server_by_hand_reports_that_one_runs() {
    let home = new();
    let mut server = home.command(home.server).spawn().unwrap();
    eventually("the server is registered", || !bytes_or_none(&home).is_empty());
    let (outcome, count) = home.count();
    assert_eq!((outcome.origin, count), (Origin::Joined, 1));
    let mut second = home.command(home.server);
    second.stderr(Stdio::piped());
    let second = output(second);
    assert_eq!(String::from_utf8_lossy(&second.stderr), "a server is already running\n");
    retire(&home);
    assert!(server.wait().unwrap().success());
}

fn an_option_without_meaning_in_the_dialect_is_an_error() {
    let home = new();
    runtime().block_on(async {
        for (error, expected) in [
            (home.service().version(1).connect().await.unwrap_err(), "has no versions"),
            (home.service().newest(1).connect().await.unwrap_err(), "has no versions"),
            (home.service().retire().await.unwrap_err(), "cannot be asked to retire"),
            (home.service().end_unresponsive().await.unwrap_err(), "cannot be asked to retire"),
        ] {
            assert!(matches!(&error, Error::Usage(usage) if usage.to_string().contains(expected)), "{error}");
        }
    });
    assert!(!home.path().exists(), "no file was touched");
}

fn a_flag_of_the_wrong_dialect_is_an_error_that_explains_it() {
    let home = new();
    home.make();
    for (args, expected) in [
        (&["@serve", "sequoia", "--socket", "0"][..], "--socket 0 is for servers that a client starts"),
        (&["@serve", "--socket", "0"], "of the other dialect"),
    ] {
        let (front, flags) = args.split_at(args.iter().position(|arg| arg.starts_with("--")).unwrap());
        let mut command = home.command(front);
        command.args(flags).stderr(Stdio::piped());
        let output = output(command);
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{output:?}");
    }
}

fn an_ephemeral_server_of_the_dialect_ends_when_its_home_is_gone() {
    let context = Context::ephemeral("org.example.rendezvous.tests").unwrap();
    let home = context.home().to_owned();
    let service = program::service(&context, program::limits(), &["@serve", "sequoia"]);
    let connection = runtime().block_on(service.connect()).unwrap();
    assert_eq!(processes(&home), [connection.outcome().pid()]);
    drop((connection, service, context));
    assert!(!home.exists());
    eventually("the server is gone", || processes(&home).is_empty());
}

fn the_policies_of_the_dialect_are_kept() {
    let home = new();
    let by = |policy| {
        let service = home.service();
        runtime().block_on(async {
            let connection = service.connect_with_policy(policy).await.unwrap();
            let outcome = connection.outcome().clone();
            (outcome, ask(&mut connection.into_stream(), COUNT).await.unwrap())
        })
    };
    // *Internal* creates no file.
    assert_eq!(by(Policy::Internal).0.origin, Origin::StartedInternal);
    assert!(!home.path().exists());
    // *Internal* clears nothing, and starts no process.
    home.make();
    leave(&home, b"nonsense");
    assert_eq!(by(Policy::Internal).0.origin, Origin::StartedInternal);
    assert_eq!((bytes(&home), home.processes()), (b"nonsense".to_vec(), vec![]));
    // It joins a live server.
    let reason = Reason::Malformed(rendezvous_ipc::Malformed::NoEnd);
    assert_eq!(by(Policy::Robust).0.origin, Origin::StartedExternal(reason));
    assert_eq!((by(Policy::Internal).0.origin, by(Policy::Internal).1), (Origin::Joined, 3));
    retire(&home);
    // *Robust* falls back if the program fails.
    let fails = home.service_by(&["@exits", "sequoia"]);
    let fallen = runtime().block_on(async {
        let handler = fails.stream_handler(async |_server| Ok(async |_peer, _stream| {}));
        handler.connect_with_policy(Policy::Robust).await.unwrap().outcome().to_string()
    });
    assert!(
        fallen.starts_with("started a server in this process (the server ") && fallen.contains("status 3"),
        "{fallen}"
    );
}

fn a_dialect_server_restores_its_record_unless_another_is_there() {
    let home = new();
    let (server, _) = home.count();
    let mine = bytes(&home);
    for damage in [&b""[..], b"nonsense", &mine[..40]] {
        leave(&home, damage);
        eventually("the record is restored", || bytes(&home) == mine);
    }
    fs::remove_file(home.point()).unwrap();
    eventually("the record is restored", || bytes_or_none(&home) == mine);
    assert_eq!((home.count().1, home.processes()), (2, vec![server.pid()]));
    // Another server's record ends it, even if that server is long dead.
    leave(&home, &leads_to(1));
    home.wait_for_all_exits();
    assert_eq!(bytes(&home), leads_to(1), "a server does not clear another's record");
}

fn no_client_of_the_dialect_is_lost_to_an_idle_server() {
    let home = served_by(&["@serve", "sequoia", "idle=1"]);
    let mut starts = 0;
    for _ in 0..200 {
        let (outcome, count) = home.count();
        starts += usize::from(outcome.origin != Origin::Joined);
        assert!(count >= 1);
        thread::sleep(Duration::from_millis(1));
    }
    assert!(starts > 10, "{starts} servers were started");
    home.wait_for_all_exits();
    assert_eq!(bytes(&home), b"");
}
