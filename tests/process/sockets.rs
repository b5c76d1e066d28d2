//! Unix sockets: their owner and mode, their removal, and a server that has lost its own.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::{DialFailure, Error, Limits, Origin, Reason, Stage, Transport};
use rustix::net::AddressFamily;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::home::Named as _;
use crate::home::{
    Home, LONG, connected, copy_program, eventually, kill, open_pending, output, printed, runtime, signal, stop,
    uninterrupted,
};
use crate::program::{self, BULK, COUNT, ask};

crate::trials![
    a_socket_is_for_its_user_alone_and_gone_when_its_server_is,
    only_the_sockets_of_dead_servers_are_swept,
    a_server_makes_its_socket_again_and_keeps_its_memory,
    a_path_that_is_too_long_for_a_socket_is_long_enough_for_a_service,
    a_name_that_is_too_long_for_a_socket_is_served_at_a_port,
    a_client_goes_by_the_record_and_not_by_its_own_transport,
    a_socket_that_cannot_be_made_is_an_error_and_no_port,
    a_socket_without_space_on_disk_is_an_error_and_no_port,
    a_server_listens_at_a_port_if_no_socket_is_possible_and_warns,
    a_server_repairs_a_socket_that_lost_its_write_bit,
    a_socket_of_another_user_is_an_error_and_no_suspicion,
    another_users_socket_does_not_end_a_sweep,
    a_client_tries_a_full_socket_until_its_patience_ends,
    another_users_process_is_no_client_whatever_it_can_reach,
    a_stream_of_either_transport_is_a_socket,
    a_blocking_stream_of_either_transport_has_time_outs,
];

/// A home whose servers listen at Unix sockets, whatever the transport of the tests.
fn home() -> Home {
    let mut home = Home::new();
    home.server = &["@serve", "unix"];
    home
}

/// The sockets in a directory.
fn sockets(home: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(home).unwrap().map(|entry| entry.unwrap());
    let mut sockets: Vec<_> =
        entries.filter(|entry| entry.file_type().unwrap().is_socket()).map(|entry| entry.path()).collect();
    sockets.sort();
    sockets
}

fn a_socket_is_for_its_user_alone_and_gone_when_its_server_is() {
    let home = home();
    home.count();
    let address = home.address();
    assert_eq!(sockets(&home.path()), [Path::new(&address)]);
    let metadata = fs::metadata(&address).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    home.retire();
    assert_eq!(sockets(&home.path()), [] as [&Path; 0]);
}

fn only_the_sockets_of_dead_servers_are_swept() {
    let home = home();
    for _ in 0..2 {
        let (server, _) = home.count();
        let left = home.address();
        kill(&home, server.pid());
        assert!(Path::new(&left).exists(), "a killed server leaves its socket");
    }
    // A file with a socket's name, and sockets of another service or of none.
    let file = home.path().join("count.0123456789abcdef.sock");
    let others =
        ["counter.0123456789abcdef.sock", "count.0123456789abcde.sock", "count.0123456789abcdef.sock.", "count.sock"];
    let others = others.map(|name| home.path().join(name));
    fs::write(&file, b"mine").unwrap();
    let _listening: Vec<_> = others.iter().map(|path| UnixListener::bind(path).unwrap()).collect();
    let (outcome, _) = home.count();
    assert_eq!(outcome.origin, Origin::StartedExternal(Reason::ServerGone));
    let mut there = others.to_vec();
    there.push(home.address().into());
    there.sort();
    assert_eq!(sockets(&home.path()), there);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    home.retire();
}

fn a_server_makes_its_socket_again_and_keeps_its_memory() {
    let home = home();
    runtime().block_on(async {
        let mut first = connected(&home.service()).await.into_stream();
        let (record, address) = (home.record(), home.address());
        let path = Path::new(&address);
        type Damage<'a> = (&'static str, Box<dyn Fn() + 'a>);
        let replaced: Damage = ("replaced by another socket", Box::new(|| drop(UnixListener::bind(path).unwrap())));
        let written: Damage = ("replaced by a file", Box::new(|| fs::write(path, b"").unwrap()));
        for (count, (how, damage)) in
            [("removed", Box::new(|| ()) as Box<dyn Fn()>), replaced, written].into_iter().enumerate()
        {
            fs::remove_file(path).unwrap();
            damage();
            let connection = connected(&home.service()).await;
            let outcome = connection.outcome().clone();
            assert_eq!((outcome.origin, outcome.pid()), (Origin::Joined, record.pid()), "{how}");
            assert!(!outcome.suspicions.is_empty(), "{how}: an earlier dial has failed");
            assert_eq!(ask(&mut connection.into_stream(), COUNT).await.unwrap(), 2 * count as u64 + 1, "{how}");
            assert_eq!(
                ask(&mut first, COUNT).await.unwrap(),
                2 * count as u64 + 2,
                "{how}: the first client stays connected"
            );
            assert_eq!(
                (home.record(), fs::metadata(path).unwrap().permissions().mode() & 0o777),
                (record.clone(), 0o600)
            );
        }
    });
    home.retire();
    assert_eq!(sockets(&home.path()), [] as [&Path; 0]);
}

fn a_path_that_is_too_long_for_a_socket_is_long_enough_for_a_service() {
    let mut home = home();
    let short = home.path();
    home.below = Path::new(&"a".repeat(200)).join("b".repeat(200));
    let (server, _) = home.count();
    assert!(matches!(home.record().address, Address::Unix(_)), "{:?}", home.record());
    // A symbolic link makes the path shorter.
    symlink(home.path(), &short).unwrap();
    let long = std::mem::replace(&mut home.below, "home".into());
    let (outcome, count) = home.count();
    assert_eq!((outcome.pid(), count), (server.pid(), 2));
    home.below = long;
    home.retire();
    assert_eq!(sockets(&short), [] as [&Path; 0]);
}

fn a_name_that_is_too_long_for_a_socket_is_served_at_a_port() {
    let home = home();
    let service = home.service_by(&["@serve", "unix", &format!("name={}", "n".repeat(200))]);
    let (started, _) = home.try_count(&service).unwrap();
    assert!(matches!(started.origin, Origin::StartedExternal(Reason::NoRecord)), "{started}");
    let (joined, count) = home.try_count(&service).unwrap();
    assert_eq!((joined.pid(), count), (started.pid(), 2));
    assert_eq!(sockets(&home.path()), [] as [&Path; 0]);
    let log = fs::read_to_string(home.path().join(format!("{}.log", "n".repeat(200)))).unwrap();
    assert!(log.contains("WARN") && log.contains("File name too long"), "the log has it: {log}");
    runtime().block_on(service.retire()).unwrap();
    home.wait_for_all_exits();
}

fn a_client_goes_by_the_record_and_not_by_its_own_transport() {
    let home = home();
    let (server, _) = home.count();
    let (outcome, count) = home.try_count(&home.service().transport(Transport::Tcp)).unwrap();
    assert_eq!((outcome.pid(), count), (server.pid(), 2));
    home.retire();
}

/// A part of this program as a user whom permissions restrict: root becomes another user, and gives that user the
/// test's directory.
fn as_user(home: &Home, args: &[&str]) -> Command {
    let program = home.directory().join("program");
    if !program.exists() {
        copy_program(&program);
        if rustix::process::geteuid().is_root() {
            let chown = Command::new("chown").args(["-hR", "65534:65534"]).arg(home.directory()).status();
            assert!(chown.unwrap().success());
        }
    }
    let mut command = Command::new(program);
    command.args(args).arg("--home").arg(home.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    command
}

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn a_socket_that_cannot_be_made_is_an_error_and_no_port() {
    let home = home();
    home.make();
    for file in ["count", "count.life", "count.log"] {
        fs::write(home.path().join(file), b"").unwrap();
        chmod(home.path().join(file), 0o600);
    }
    chmod(home.path(), 0o500);
    let stdout = printed(&output(as_user(&home, &["@client", "server:unix"])));
    chmod(home.path(), 0o700);
    let why = ".sock (give yourself the right to it, or use another home): Permission denied (os error 13)";
    assert!(stdout.starts_with("error: no server could be started: ") && stdout.contains(why), "{stdout}");
    home.wait_for_all_exits();
    assert_eq!(fs::read(home.point()).unwrap(), b"", "no server is registered");
}

fn a_socket_without_space_on_disk_is_an_error_and_no_port() {
    let place = tempfile::tempdir().unwrap();
    let on_a_small_disk = |program: &str| {
        // The directory itself, and the three files.
        let script = format!("mount -t tmpfs -o mode=700,nr_inodes=4 tmpfs \"$1\" && {program}");
        let mut unshare = Command::new("unshare");
        let how = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
        unshare.args([how, "/bin/sh", "-c", &script]).arg(std::env::current_exe().unwrap()).arg(place.path());
        unshare.stdin(Stdio::null()).stdout(Stdio::piped());
        unshare
    };
    if !on_a_small_disk("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return println!("not tried: mounting is not permitted");
    }
    let stdout = printed(&output(on_a_small_disk("exec \"$0\" @client server:unix --home \"$1\"")));
    let why = ".sock (make room there, or use another home): No space left on device (os error 28)";
    assert!(stdout.starts_with("error: no server could be started: ") && stdout.contains(why), "{stdout}");
}

fn a_server_listens_at_a_port_if_no_socket_is_possible_and_warns() {
    // A file system without sockets is rarely available, so the system call is made to fail as it does on one.
    let strace = |error: &str| {
        let mut strace = Command::new("strace");
        // The first `bind` of each thread fails; the second is that of the port.
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=bind", "-e"]);
        strace.arg(format!("inject=bind:error={error}:when=1"));
        strace
    };
    if !strace("EPERM").arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return println!("not tried: tracing is not permitted");
    }
    for (error, instead) in [("EPERM", true), ("EOPNOTSUPP", true), ("ENOSYS", true), ("EADDRINUSE", false)] {
        let home = home();
        let client = home.command(&["@client", "server:unix"]);
        let mut traced = strace(error);
        traced.arg(client.get_program()).args(client.get_args()).stdin(Stdio::null()).stdout(Stdio::piped());
        // strace ends after all traced processes, but the client prints its result earlier.
        let mut traced = traced.spawn().unwrap();
        let mut stdout = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(traced.stdout.take().unwrap()), &mut stdout).unwrap();
        if instead {
            assert!(stdout.starts_with("started an external server"), "{error}: {stdout}");
            assert!(matches!(home.record().address, Address::Tcp(_)), "{error}");
            let log = fs::read_to_string(home.path().join("count.log")).unwrap();
            assert!(log.contains("WARN") && log.contains("a port instead"), "{error}: the log has it: {log}");
            home.retire();
        } else {
            assert!(stdout.contains(".sock: Address already in use"), "{error}: {stdout}");
        }
        traced.wait().unwrap();
    }
}

fn a_server_repairs_a_socket_that_lost_its_write_bit() {
    let home = home();
    home.make();
    let client = || printed(&output(as_user(&home, &["@client", "server:unix"])));
    let started = client();
    assert!(started.starts_with("started an external server"), "{started}");
    let (socket, pid) = (home.address(), home.record().pid());
    for mode in [0o400, 0o000] {
        stop(pid);
        chmod(&socket, mode);
        let stdout = printed(&output(as_user(&home, &["@look"])));
        let why = format!("the mode of {socket} keeps its own user out, at Dial");
        assert_eq!(stdout, format!("alive, and does not answer: {why}"), "{mode:o}");
        if mode == 0o000 {
            let stdout = client();
            assert!(
                stdout.starts_with("error: ") && stdout.contains(&why) && stdout.contains("change it to 0600"),
                "{stdout}"
            );
        }
        signal(pid, rustix::process::Signal::CONT);
        let stdout = client();
        assert!(stdout.starts_with(&format!("joined an external server: pid {pid}, ")), "{mode:o}: {stdout}");
        assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600, "the mode is repaired");
    }
    let log = fs::read_to_string(home.path().join("count.log")).unwrap();
    assert!(log.contains("the socket's mode was repaired"), "{log}");
    signal(pid, rustix::process::Signal::TERM);
    home.wait_for_all_exits();
}

/// Only root can give a socket to another user.
fn a_socket_of_another_user_is_an_error_and_no_suspicion() {
    if !rustix::process::geteuid().is_root() {
        return println!("not tried: this user is not root");
    }
    let home = home();
    home.make();
    let started = printed(&output(as_user(&home, &["@client", "server:unix"])));
    assert!(started.starts_with("started an external server"), "{started}");
    std::os::unix::fs::chown(home.address(), Some(0), Some(0)).unwrap();
    let stdout = printed(&output(as_user(&home, &["@client", "server:unix"])));
    assert_eq!(stdout, "error: the system refused what is needed at Dial: Permission denied (os error 13)");
    signal(home.record().pid(), rustix::process::Signal::TERM);
    home.wait_for_all_exits();
}

/// Only root can act as two users.
fn another_users_socket_does_not_end_a_sweep() {
    if !rustix::process::geteuid().is_root() {
        return println!("not tried: this user is not root");
    }
    let home = home();
    home.make();
    // The home is root's and shared; another user serves, for whom the directory was made.
    let client = as_user(&home, &["@client", "server:unix"]);
    std::os::unix::fs::chown(home.path(), Some(0), Some(0)).unwrap();
    chmod(home.path(), 0o1777);
    let left = |owner: char| (0..8).map(move |number| format!("count.{owner}00000000000000{number}.sock"));
    for name in left('a').chain(left('b')) {
        UnixListener::bind(home.path().join(&name)).unwrap();
        if name.starts_with("count.b") {
            std::os::unix::fs::chown(home.path().join(name), Some(65534), Some(65534)).unwrap();
        }
    }
    let stdout = printed(&output(client));
    assert!(stdout.starts_with("started an external server"), "{stdout}");
    let mut there: Vec<_> = left('a').map(|name| home.path().join(name)).collect();
    there.push(home.address().into());
    there.sort();
    assert_eq!(sockets(&home.path()), there, "the user's own sockets are removed, and those of others are left");
    let log = fs::read_to_string(home.path().join("count.log")).unwrap();
    assert!(log.contains("WARN") && log.contains("count=8"), "the log has it: {log}");
    signal(home.record().pid(), rustix::process::Signal::TERM);
    home.wait_for_all_exits();
}

fn a_client_tries_a_full_socket_until_its_patience_ends() {
    let mut home = home();
    let (server, _) = home.count();
    home.limits = Limits::default().divided_by(16);
    stop(server.pid());
    let address = home.address();
    let path = address.clone();
    let crowd =
        std::thread::spawn(move || (0..1025).map(|_| open_pending(&path, b"")).collect::<Vec<_>>()).join().unwrap();
    let error = home.fail(&home.service());
    let Error::Unresponsive { suspicion, .. } = error else { panic!("{error}") };
    assert_eq!((suspicion.stage, suspicion.failure), (Stage::Dial, DialFailure::TimedOut), "{suspicion}");
    drop(crowd);
    signal(server.pid(), rustix::process::Signal::CONT);
    home.limits = program::limits();
    assert_eq!(home.count().0.pid(), server.pid());
    home.retire();
}

/// Needs root: only it can act as another user, and only its sockets can be reached by another user.
fn another_users_process_is_no_client_whatever_it_can_reach() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = home();
    home.count();
    let address = home.address();
    for path in Path::new(&address).ancestors() {
        let mode = fs::metadata(path).unwrap().mode();
        fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o011)).unwrap();
    }
    let program = home.directory().join("stranger");
    copy_program(&program);
    let mut stdout = String::new();
    // The server may restore the mode before the other user connects.
    eventually("another user reaches the socket", || {
        chmod(&address, 0o666);
        let mut stranger = Command::new(&program);
        stranger.args(["@sends-hello", &address]).uid(65534).gid(65534).stdout(Stdio::piped()).stderr(Stdio::null());
        stdout = printed(&output(stranger));
        !stdout.is_empty()
    });
    assert_eq!(stdout, "closed without an answer");
    // A client of the same user is answered.
    let mut ours = open_pending(&address, &program::hello());
    ours.read_exact(&mut [0; 32]).unwrap();
    home.retire();
}

fn a_stream_of_either_transport_is_a_socket() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        runtime().block_on(async {
            let mut stream = connected(&home.service_by(&["@serve", transport])).await.into_stream();
            let is_unix = rustix::net::sockopt::socket_domain(stream.as_fd()).unwrap() == AddressFamily::UNIX;
            assert_eq!(is_unix, transport == "unix");
            stream.write_u8(COUNT).await.unwrap();
            stream.shutdown().await.unwrap();
            assert_eq!(stream.read_u64().await.unwrap(), 1, "it still receives");
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the server has seen the end, and ends the session");
        });
        home.retire();
    }
}

fn a_blocking_stream_of_either_transport_has_time_outs() {
    let timed_out = |result: std::io::Result<usize>| {
        let kind = result.expect_err("it waits for too long").kind();
        assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind}");
    };
    const SHORT: Option<Duration> = Some(Duration::from_millis(50));
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let service = home.service_by(&["@serve", transport]);
        let mut stream = service.connect_blocking().unwrap().into_stream();
        assert_eq!(stream.set_read_timeout(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::InvalidInput);
        stream.set_read_timeout(SHORT).unwrap();
        timed_out(uninterrupted(|| stream.read(&mut [0])));
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(&[COUNT]).unwrap();
        let mut count = [0; 8];
        stream.read_exact(&mut count).unwrap();
        assert_eq!(u64::from_be_bytes(count), 1);
        // Its answers are not read, so the server stops reading.
        stream.set_write_timeout(SHORT).unwrap();
        timed_out(loop {
            let written = uninterrupted(|| stream.write(&[BULK; 64 << 10]));
            if written.is_err() {
                break written;
            }
        });
        drop(stream);
        let mut stream = service.connect_blocking().unwrap().into_stream();
        std::thread::scope(|scope| {
            let reads = scope.spawn(|| uninterrupted(|| (&stream).read(&mut [0])));
            stream.shutdown(Shutdown::Both).unwrap();
            assert_eq!(reads.join().unwrap().unwrap(), 0, "a thread that waits to read returns");
        });
        stream.shutdown(Shutdown::Both).unwrap();
        let error = stream.write(&[COUNT]).expect_err("it is at its end");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "and no signal has ended this process");
        drop(stream);
        home.retire();
    }
}
