//! Errors that no other test causes: their texts, and their fields.

use std::error::Error as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;

use hmac::{Hmac, KeyInit, Mac};
use rendezvous_ipc::proto::address::{Address, SocketName};
use rendezvous_ipc::proto::handshake::{HELLO, PROTOCOL, Verdict};
use rendezvous_ipc::proto::record::Record;
use rendezvous_ipc::{
    DialFailure, Error, Holder, Incompatibility, Limits, Stage, StartError, StartFailure, Status, Untrusted, Usage,
};
use sha2::{Digest, Sha256};
use tokio::runtime::Builder;

use crate::home::Named as _;
use crate::home::{Home, copy_program, eventually, kill, open_pending, output, printed, process, runtime, stop};
use crate::program::hello;

crate::trials![
    a_shortage_at_a_dial_is_reported_with_its_step_and_a_remedy,
    a_record_of_a_newer_format_is_cleared_only_without_its_server,
    a_server_of_another_handshake_is_reported_and_left_alone,
    a_client_of_another_handshake_is_told_and_then_left,
    a_connect_that_never_gets_the_lock_names_the_lock_and_its_holder,
    a_connect_that_waits_for_the_lifetime_lock_names_its_holder,
    a_connect_names_the_process_that_shares_the_lifetime_lock,
    a_blocking_connect_without_descriptors_is_an_error_and_no_panic,
    a_server_of_another_user_is_reported_with_that_user,
    the_error_of_an_unresponsive_server_has_its_outcome_and_time,
    a_connect_gives_up_after_three_servers_that_end_at_once,
    the_sources_of_an_error_lead_to_the_systems_error,
    a_runtime_without_io_or_time_is_wrong_use,
];

fn a_shortage_at_a_dial_is_reported_with_its_step_and_a_remedy() {
    let home = Home::new();
    let (server, _) = home.count();
    let stdout = printed(&output(home.command(&["@client", "short-at=Dial"])));
    let remedy = "this process has too many files open: close some, or raise `ulimit -n`";
    assert_eq!(
        stdout,
        format!("error: the system refused what is needed at Dial ({remedy}): Too many open files (os error 24)")
    );
    assert_eq!(home.record().pid(), server.pid());
    home.retire();
}

fn a_record_of_a_newer_format_is_cleared_only_without_its_server() {
    let home = Home::new();
    let (server, _) = home.count();
    stop(server.pid());
    let newer = sealed("rendezvous 2 whatever a newer program writes ");
    fs::write(home.point(), &newer).unwrap();
    let error = home.fail(&home.service());
    assert!(matches!(&error, Error::Newer { path, format: 2 } if *path == home.point()), "{error}");
    let point = home.point();
    let served = format!("{} is served by a newer program (record format 2)", point.display());
    assert_eq!(error.to_string(), format!("{served}: update this one, or retire that server"));
    assert_eq!(fs::read(&point).unwrap(), newer);
    kill(&home, server.pid());
    let (outcome, _) = home.count();
    let started = format!("started an external server (server of a newer program gone): pid {}", outcome.pid());
    assert_eq!(outcome.to_string(), started);
    home.retire();
}

/// A line with the checksum that all formats end with.
fn sealed(fields: &str) -> Vec<u8> {
    let checksum = &Sha256::digest(fields)[..16];
    let checksum: String = checksum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{fields}{checksum}\n").into_bytes()
}

fn a_server_of_another_handshake_is_reported_and_left_alone() {
    for version in [1, PROTOCOL + 1] {
        is_reported_and_left_alone(version);
    }
}

fn is_reported_and_left_alone(version: u16) {
    let home = Home::new();
    let (server, _) = home.count();
    stop(server.pid());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let record = Record { address: listener.local_addr().unwrap().to_string().parse().unwrap(), ..home.record() };
    let line = record.line().to_vec();
    fs::write(home.point(), &line).unwrap();
    let other = thread::spawn(move || {
        for _ in 0..2 {
            refuse(&listener, &record, version);
        }
    });
    let error = home.fail(&home.service());
    let no = format!("the server speaks version {version} of the handshake, this program {PROTOCOL}");
    assert_eq!(error.to_string(), format!("the server is not for this program: {no}"));
    match error {
        Error::Incompatible { why: Incompatibility::Handshake { server, client: PROTOCOL } } => {
            assert_eq!(server, version);
        }
        other => panic!("{other}"),
    }
    assert_eq!(
        runtime().block_on(home.service().inspect()).unwrap().to_string(),
        format!("not for this program: {no}")
    );
    other.join().unwrap();
    assert_eq!(fs::read(home.point()).unwrap(), line);
    assert_eq!(home.processes(), [server.pid()], "no process was started");
}

/// Answers a hello like a server of another version: with a proof that refuses.
fn refuse(listener: &TcpListener, record: &Record, version: u16) {
    let (mut client, _) = listener.accept().unwrap();
    let mut hello = [0; HELLO];
    client.read_exact(&mut hello).unwrap();
    let nonce = [9; 32];
    let answer = refusal(version, record);
    let mac = proof_of_a_refusal(record, &hello, &nonce, &answer);
    client.write_all(&[&nonce[..], &answer, &mac].concat()).unwrap();
}

/// The answer of a server that does not speak the client's version, but this one.
fn refusal(version: u16, record: &Record) -> Vec<u8> {
    [&[Verdict::VersionUnsupported as u8][..], &version.to_be_bytes(), &record.version.to_be_bytes()].concat()
}

/// The MAC of a refusal, which is the same in all versions.
fn proof_of_a_refusal(record: &Record, hello: &[u8], nonce: &[u8], answer: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(record.cookie.expose()).unwrap();
    let scope = record.scope;
    let address = match record.address {
        Address::Tcp(_) => {
            let address = record.address.tcp().unwrap();
            let std::net::IpAddr::V4(ip) = address.ip() else { panic!("the server listens on 127.0.0.1") };
            [&ip.to_ipv6_mapped().octets()[..], &address.port().to_be_bytes()].concat()
        }
        Address::Unix(name) => [&b"unix"[..], &[0; 6], &name.0].concat(),
    };
    for part in [
        &b"rendezvous-ipc handshake"[..],
        b"native",
        &[2],
        &hello[4..6],
        &hello[6..7],
        &scope.boot,
        &scope.namespace.to_be_bytes(),
        scope.machine.as_ref().map_or(&[], |machine| &machine[..]),
        &address,
        &hello[7..],
        nonce,
        answer,
    ] {
        mac.update(&[part.len() as u8]);
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn a_client_of_another_handshake_is_told_and_then_left() {
    for transport in ["tcp", "unix"] {
        let mut home = Home::new();
        home.server = if transport == "tcp" { &["@serve", "tcp"] } else { &["@serve", "unix"] };
        home.count();
        let record = home.record();
        for version in [1, PROTOCOL + 1] {
            let mut hello = hello();
            hello[4..6].copy_from_slice(&version.to_be_bytes());
            let mut stream = open_pending(&home.address(), &hello);
            let mut answered = Vec::new();
            stream.read_to_end(&mut answered).unwrap();
            let (nonce, rest) = answered.split_at(32);
            let answer = refusal(PROTOCOL, &record);
            let mac = proof_of_a_refusal(&record, &hello, nonce, &answer);
            assert_eq!(rest, [answer, mac].concat(), "{transport}, version {version}");
        }
        home.retire();
    }
}

fn a_connect_that_never_gets_the_lock_names_the_lock_and_its_holder() {
    let mut home = Home::new();
    home.limits = Limits::default().divided_by(16);
    home.make();
    fs::File::create(home.point()).unwrap();
    fs::set_permissions(home.point(), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let lock = fs::File::open(home.point()).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let error = home.fail(&home.service());
    let text = error.to_string();
    let Error::Deadline { stage, waited, suspicion: None, holder, .. } = error else { panic!("{text}") };
    assert!(waited >= home.limits.connect, "{text}");
    let waiting = "waiting for the lock, or a server that is starting or draining";
    assert_eq!(holder, Some(Holder::Point(process(std::process::id()))), "{text}");
    let holds = format!("pid {} holds the point lock", std::process::id());
    assert_eq!(text, format!("gave up after {waited:.1?} at {stage}, {waiting}: {holds}"));
}

fn a_connect_that_waits_for_the_lifetime_lock_names_its_holder() {
    let mut home = Home::new();
    let (server, _) = home.count();
    home.limits = Limits::default().divided_by(16);
    stop(server.pid());
    fs::write(home.point(), b"").unwrap();
    let error = home.fail(&home.service());
    let text = error.to_string();
    let Error::Deadline { holder, .. } = error else { panic!("{text}") };
    assert_eq!(holder, Some(Holder::Lifetime(process(server.pid()))), "{text}");
    assert!(text.ends_with(&format!(": pid {} holds the lifetime lock", server.pid())), "{text}");
    kill(&home, server.pid());
}

/// A backup that locks the files that it reads has this effect.
fn a_connect_names_the_process_that_shares_the_lifetime_lock() {
    let mut home = Home::new();
    let (server, _) = home.count();
    kill(&home, server.pid());
    let life = fs::File::open(home.path().join("count.life")).unwrap();
    fs2::FileExt::lock_shared(&life).unwrap();
    home.limits = Limits::default().divided_by(16);
    let error = home.fail(&home.service());
    let text = error.to_string();
    let Error::Deadline { holder, .. } = error else { panic!("{text}") };
    assert_eq!(holder, Some(Holder::Lifetime(process(std::process::id()))), "{text}");
    fs2::FileExt::unlock(&life).unwrap();
    assert_eq!(home.count().1, 1);
    home.retire();
}

fn a_blocking_connect_without_descriptors_is_an_error_and_no_panic() {
    let home = Home::new();
    home.count();
    let mut joined = 0;
    for left in 0..16 {
        let mut command = home.command(&["@blocking", &left.to_string()]);
        command.stderr(Stdio::piped());
        let output = output(command);
        let stdout = printed(&output);
        assert!(output.status.success(), "{left} are left: {}", String::from_utf8_lossy(&output.stderr));
        let short = stdout.starts_with("error: ") && stdout.contains("too many files open: close some");
        let join = stdout.starts_with("joined an external server");
        assert!(short || join, "{left} are left: {stdout}");
        joined += usize::from(join);
    }
    assert!(joined > 0, "16 descriptors are enough");
    home.retire();
}

fn a_server_of_another_user_is_reported_with_that_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut home = Home::new();
    let (server, _) = home.count();
    home.limits = Limits::default().divided_by(16);
    stop(server.pid());
    let name = SocketName([7; 8]);
    let (program, path) = (home.directory().join("program"), home.socket(name));
    copy_program(&program);
    fs::set_permissions(home.directory(), fs::Permissions::from_mode(0o711)).unwrap();
    // The server has given up its user before it serves, or the owner of the home has replaced a socket.
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o733)).unwrap();
    let mut other = Command::new(program).arg("@listens").arg(&path).uid(65534).gid(65534).spawn().unwrap();
    eventually("the other user's process listens", || UnixStream::connect(&path).is_ok());
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let record = Record { address: Address::Unix(name), ..home.record() };
    fs::write(home.point(), &*record.line()).unwrap();
    let error = home.fail(&home.service());
    let text = error.to_string();
    let Error::Unresponsive { suspicion, .. } = error else { panic!("{text}") };
    assert_eq!((suspicion.failure, suspicion.user), (DialFailure::Impostor, Some(65534)));
    let there = format!("{} belongs to a process of another user (uid 65534), at Dial", path.display());
    assert!(text.contains(&there) && !text.contains("another program"), "{text}");
    assert!(text.contains("is alive and out of reach") && text.ends_with("use one of your own"), "{text}");
    other.kill().unwrap();
    other.wait().unwrap();
    kill(&home, server.pid());
}

fn the_error_of_an_unresponsive_server_has_its_outcome_and_time() {
    let mut home = Home::new();
    let (server, _) = home.count();
    home.limits = Limits::default().divided_by(16);
    stop(server.pid());
    let error = home.fail(&home.service());
    let text = error.to_string();
    let Error::Unresponsive { pid, suspicion, waited } = error else { panic!("{text}") };
    let pid = pid.unwrap().get();
    assert_eq!(
        (pid, suspicion.pid(), suspicion.stage, suspicion.failure),
        (server.pid(), pid, Stage::Prove, DialFailure::TimedOut)
    );
    assert!(waited >= home.limits.connect, "{text}");
    let last = format!("{} sent nothing in time, at Prove, tried for {waited:.1?}", suspicion.address);
    let alive = format!("the server (pid {pid}) is alive and does not answer: {last}");
    assert_eq!(text, format!("{alive}; if it is stopped, continue it, and if it hangs, end it"));
}

fn a_connect_gives_up_after_three_servers_that_end_at_once() {
    let home = Home::new();
    let (server, _) = home.count();
    let record = fs::read_to_string(home.point()).unwrap();
    kill(&home, server.pid());
    let script = format!("RECORD='{record}' exec \"$0\" @vanishes \"$@\"");
    let program = std::env::current_exe().unwrap();
    let service = home.service().program("/bin/sh", ["-c", &script, program.to_str().unwrap()]);
    let error = home.fail(&service);
    let Error::Start(start) = error else { panic!("{error}") };
    let gone = "the server /bin/sh was started again and again, and was gone before it could be reached";
    assert!(start.to_string().starts_with(gone), "{start}");
    assert!(matches!(start.failure, StartFailure::Vanished));
    home.wait_for_all_exits();
    let log = fs::read_to_string(home.path().join("count.log")).unwrap();
    assert_eq!(log.lines().filter(|line| *line == "registered, and gone").count(), 3, "{log}");
    let left = runtime().block_on(home.service().inspect()).unwrap();
    assert!(matches!(left, Status::Gone { .. } | Status::Absent), "no server is left: {left}");
}

fn the_sources_of_an_error_lead_to_the_systems_error() {
    let home = Home::new();
    let elsewhere = home.context().with_home(home.directory().join("x".repeat(256)));
    let long = home.fail(&crate::program::service(&elsewhere, home.limits, &["@serve"]));
    let missing = home.fail(&home.service().program("/nowhere/counter", ["@serve"]));
    fs::remove_file(home.path().join("count.life")).unwrap_or_default();
    fs::create_dir(home.path().join("count.life")).unwrap();
    let untold = home.fail(&home.service());
    let io = |source: &dyn std::error::Error| {
        source.source().unwrap().downcast_ref::<std::io::Error>().and_then(|io| io.raw_os_error())
    };
    assert_eq!(io(&long), Some(36), "{long}");
    let start = missing.source().unwrap().downcast_ref::<StartError>().unwrap();
    assert_eq!(io(start), Some(2), "{missing:#}");
    let within = untold.source().unwrap().downcast_ref::<Error>().unwrap();
    assert!(matches!(within, Error::Untrusted { found: Untrusted::Directory, .. }), "{untold}");
    assert!(
        within.source().is_none() && format!("{untold:?}").contains(&within.to_string()),
        "Debug prints the whole chain"
    );
}

fn a_runtime_without_io_or_time_is_wrong_use() {
    let home = Home::new();
    let service = home.service();
    let mut bare = Builder::new_current_thread();
    let mut timeless = Builder::new_current_thread();
    let mut deaf = Builder::new_current_thread();
    let runtimes = [
        (&mut bare, Usage::RuntimeWithoutTime),
        (timeless.enable_io(), Usage::RuntimeWithoutTime),
        (deaf.enable_time(), Usage::RuntimeWithoutIo),
    ];
    for (builder, expected) in runtimes {
        let runtime = builder.build().unwrap();
        let errors = runtime.block_on(async {
            [
                service.connect().await.map(drop).unwrap_err(),
                service.join().await.map(drop).unwrap_err(),
                service.retire().await.map(drop).unwrap_err(),
                service.inspect().await.map(drop).unwrap_err(),
                service.bind().await.map(drop).unwrap_err(),
                service.end_unresponsive().await.map(drop).unwrap_err(),
            ]
        });
        for error in errors {
            assert!(matches!(&error, Error::Usage(usage) if *usage == expected), "{error}");
            assert!(error.to_string().contains("build it with `enable_all()`"), "{error}");
        }
    }
    assert!(!home.path().exists(), "nothing was done before");
    let bare = bare.build().unwrap();
    // It serves on runtimes of its own, whatever the caller's has.
    let serving = service.clone();
    let server = thread::spawn(move || bare.block_on(serving.serve()));
    eventually("it serves", || matches!(runtime().block_on(service.inspect()), Ok(Status::Live { .. })));
    runtime().block_on(service.retire()).unwrap();
    server.join().unwrap().unwrap();
}
