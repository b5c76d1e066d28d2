//! Clients that join a server if there is one, and start and change nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rendezvous_ipc::{Connection, Descriptor, Error, Join, Limits, Origin};
use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::home::Named as _;
use crate::home::{
    Home, connected, copy_program, dial, eventually, kill, output, printed, process, runtime, signal, stop,
};
use crate::program::{COUNT, WAIT, ask, ask_blocking};
use crate::trace;

crate::trials![
    a_join_without_a_server_creates_nothing,
    a_live_server_is_joined_with_one_dial_and_without_the_lock,
    a_join_leaves_the_record_of_a_dead_server_as_it_is,
    a_join_works_in_a_home_that_cannot_be_written,
    a_join_replaces_no_older_server_and_leaves_a_newer_one_alone,
    a_join_waits_for_a_start_that_is_in_progress,
    a_join_waits_for_a_server_that_drains_and_is_absent_then,
    a_stopped_server_is_no_absent_one,
    a_join_without_a_runtime_is_like_one_within,
    a_join_in_the_dialect_starts_and_creates_nothing,
];

/// The service as a program describes it that can start none.
fn service(home: &Home) -> Descriptor {
    Descriptor::new(&home.context(), "count").unwrap().limits(home.limits).version(7)
}

fn joined(service: &Descriptor) -> Join<Connection> {
    runtime().block_on(service.join()).unwrap()
}

fn is_absent<C>(join: Join<C>) -> bool {
    matches!(join, Join::Absent)
}

async fn count(connection: Connection) -> u64 {
    ask(&mut connection.into_stream(), COUNT).await.unwrap()
}

/// The command, which writes its steps to this file.
fn steps_to(mut command: Command, log: &Path) -> Command {
    command.env(trace::LOG, log);
    command
}

/// The names of the files in a directory and below, each with its time of change and its content.
fn files(directory: &Path) -> BTreeMap<String, (std::time::SystemTime, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
        let (path, changed) = (entry.path(), entry.metadata().unwrap().modified().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(self::files(&path)),
            false => drop(files.insert(path.display().to_string(), (changed, fs::read(&path).unwrap_or_default()))),
        }
    }
    files
}

fn a_join_without_a_server_creates_nothing() {
    let home = Home::new();
    assert!(is_absent(joined(&service(&home))));
    assert!(!home.path().exists(), "no home is made");
    home.make();
    assert!(is_absent(joined(&service(&home))));
    assert!(is_absent(joined(&home.service())), "its program is not started");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "no point, no life file, no log");
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(home.point()).unwrap();
    assert!(is_absent(joined(&service(&home))), "an empty point is no record");
    assert_eq!(files(home.directory()).len(), 1);
    assert!(home.processes().is_empty());
}

fn a_live_server_is_joined_with_one_dial_and_without_the_lock() {
    let home = Home::new();
    let (server, _) = home.count();
    let held = fs::File::open(home.point()).unwrap();
    fs2::FileExt::lock_exclusive(&held).unwrap();
    let log = home.directory().join("steps");
    let stdout = printed(&output(steps_to(home.command(&["@join"]), &log)));
    assert_eq!(stdout, format!("joined an external server: pid {}, count 2", server.pid()));
    let steps = fs::read_to_string(log).unwrap();
    let steps: Vec<&str> = steps.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(steps, ["Begin", "Read", "Dial", "Hello", "Prove", "Welcome", "Done", "End", "Leave"]);
    runtime().block_on(async {
        let Join::Joined(connection) = service(&home).join().await.unwrap() else { panic!("it lives") };
        let outcome = connection.outcome().clone();
        assert_eq!((outcome.origin, outcome.pid(), outcome.version), (Origin::Joined, server.pid(), 7));
        assert_eq!((outcome.clients, outcome.suspicions.len()), (1, 0), "it is counted");
        assert_eq!(count(connection).await, 3);
    });
    fs2::FileExt::unlock(&held).unwrap();
    home.retire();
}

fn a_join_leaves_the_record_of_a_dead_server_as_it_is() {
    let home = Home::new();
    let (server, _) = home.count();
    kill(&home, server.pid());
    let before = files(home.directory());
    assert_eq!(home.record().pid(), server.pid());
    assert!(is_absent(joined(&service(&home))));
    assert!(is_absent(joined(&home.service())));
    assert_eq!(files(home.directory()), before, "byte for byte, and none was written");
    assert!(home.processes().is_empty());
}

fn a_join_works_in_a_home_that_cannot_be_written() {
    let mounts = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !mounts.is_ok_and(|status| status.success()) {
        return println!("not tried: mounting is not permitted");
    }
    let home = Home::new();
    let join = || {
        let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && exec \"$0\" @join --home \"$1\"";
        let mut join = Command::new("unshare");
        join.args(["-m", "/bin/sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(home.path());
        join.stdout(Stdio::piped());
        printed(&output(join))
    };
    home.make();
    assert_eq!(join(), "absent");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    let (server, _) = home.count();
    assert_eq!(join(), format!("joined an external server: pid {}, count 2", server.pid()));
    kill(&home, server.pid());
    assert_eq!(join(), "absent");
    assert_eq!(home.record().pid(), server.pid());
}

fn a_join_replaces_no_older_server_and_leaves_a_newer_one_alone() {
    let home = Home::new();
    runtime().block_on(async {
        let server = connected(&home.service_by(&["@serve", "version=5"])).await;
        let pid = server.outcome().pid();
        match service(&home).version(3).newest(4).join().await {
            Err(Error::TooNew { pid: of, offers: 5, newest: 4 }) => assert_eq!(of, Some(process(pid))),
            other => panic!("{other:?}"),
        }
        for version in [4, 5, 6] {
            let Join::Joined(connection) = service(&home).version(version).join().await.unwrap() else { panic!() };
            assert_eq!((connection.outcome().pid(), connection.outcome().version), (pid, 5), "for {version}");
        }
        assert!(matches!(service(&home).version(3).newest(2).join().await, Err(Error::Usage(_))));
    });
    home.retire();
}

/// The client that starts the server holds the point lock, for the program is still being written.
fn a_join_waits_for_a_start_that_is_in_progress() {
    let home = Home::new();
    let program = home.directory().join("program");
    copy_program(&program);
    let installer = fs::File::options().write(true).open(&program).unwrap();
    let starter = home.service().program(&program, ["@serve"]);
    thread::scope(|scope| {
        let starting = scope.spawn(|| home.try_count(&starter));
        eventually("the client starts a server", || home.path().join("count.log").exists());
        runtime().block_on(async {
            let service = service(&home);
            let mut joining = std::pin::pin!(service.join());
            let early = timeout(Duration::from_millis(1), &mut joining).await;
            assert!(early.is_err(), "{early:?} before the server is there");
            drop(installer);
            let Join::Joined(connection) = joining.await.unwrap() else { panic!("a server was being started") };
            assert_eq!(connection.outcome().origin, Origin::Joined);
        });
        assert!(matches!(starting.join().unwrap().unwrap().0.origin, Origin::StartedExternal(_)));
    });
    home.processes().into_iter().for_each(|server| signal(server, Signal::TERM));
    home.wait_for_all_exits();
}

/// The point is empty and the lifetime lock is held, which proves nothing.
fn a_join_waits_for_a_server_that_drains_and_is_absent_then() {
    let mut home = Home::new();
    let retiring = runtime().block_on(async {
        let connection = connected(&home.service()).await;
        let mut stream = connection.into_stream();
        stream.write_u8(WAIT).await.unwrap();
        let retiring = home.command(&["@retire", "whole"]).spawn().unwrap();
        eventually("the record is withdrawn", || fs::read(home.point()).is_ok_and(|point| point.is_empty()));
        // It waits for longer than the server drains.
        home.limits = Limits::default();
        let service = service(&home);
        let mut joining = std::pin::pin!(service.join());
        let early = timeout(Duration::from_millis(20), &mut joining).await;
        assert!(early.is_err(), "{early:?} while a server drains");
        stream.write_u8(b'.').await.unwrap();
        drop(stream);
        assert!(is_absent(joining.await.unwrap()));
        retiring
    });
    assert!(printed(&retiring.wait_with_output().unwrap()).starts_with("retired"));
    home.wait_for_all_exits();
}

fn a_stopped_server_is_no_absent_one() {
    let mut home = Home::new();
    let (server, _) = home.count();
    stop(server.pid());
    let before = fs::read(home.point()).unwrap();
    home.limits = Limits::default().divided_by(12);
    match runtime().block_on(service(&home).join()) {
        Err(Error::Unresponsive { pid, .. }) => assert_eq!(pid, Some(process(server.pid()))),
        other => panic!("{other:?}"),
    }
    assert_eq!((fs::read(home.point()).unwrap(), home.processes()), (before, vec![server.pid()]));
    signal(server.pid(), Signal::CONT);
    home.retire();
}

fn a_join_without_a_runtime_is_like_one_within() {
    let home = Home::new();
    assert!(service(&home).join_blocking().unwrap().connection().is_none());
    assert!(!home.path().exists());
    let (server, _) = home.count();
    let connection = service(&home).join_blocking().unwrap().connection().expect("it lives");
    assert_eq!((connection.outcome().origin, connection.outcome().pid()), (Origin::Joined, server.pid()));
    let mut stream = connection.into_stream();
    assert_eq!(ask_blocking(&mut stream, COUNT).unwrap(), 2);
    let within = runtime().block_on(async { service(&home).join_blocking() });
    assert!(within.unwrap().connection().is_some(), "it blocks its thread, wherever that is");
    drop(stream);
    home.retire();
}

fn a_join_in_the_dialect_starts_and_creates_nothing() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "sequoia"]);
    assert!(is_absent(joined(&service)));
    assert!(!home.path().exists());
    let (_, first) = home.try_count(&service).unwrap();
    runtime().block_on(async {
        let Join::Joined(connection) = service.join().await.unwrap() else { panic!("it lives") };
        assert_eq!(count(connection).await, first + 1);
    });
    home.processes().into_iter().for_each(|server| signal(server, Signal::KILL));
    home.wait_for_all_exits();
    // An ending process loses its command line before it closes its port. Its record is the cookie and the address.
    let record = fs::read(home.point()).unwrap();
    let address = std::str::from_utf8(&record[32..]).unwrap().trim_end();
    eventually("its port is closed", || dial(address).is_err());
    let before = files(home.directory());
    assert!(is_absent(joined(&service)));
    assert_eq!(files(home.directory()), before);
}
