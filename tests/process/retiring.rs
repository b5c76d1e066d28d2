//! When a server begins to retire, what it waits for, and what it leaves behind.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncWriteExt;

use crate::home::Named as _;
use crate::home::{Home, connected, eventually, is_held, runtime, signal};
use crate::program::BLOCK;
use crate::trace;

crate::trials![
    an_idle_server_stays_while_its_point_is_locked,
    an_idle_server_whose_point_is_locked_repairs_its_socket,
    the_idle_period_begins_when_the_last_client_leaves,
    the_idle_period_begins_when_the_server_is_registered,
    a_record_that_is_not_the_servers_own_is_not_withdrawn,
    a_told_server_tries_the_lock_for_its_time_from_the_telling,
    telling_a_server_again_postpones_nothing,
    a_second_signal_does_not_wait_for_clients,
    a_handler_that_blocks_past_the_drain_keeps_the_lifetime_lock,
];

/// The file in which a server of this home logs its steps.
fn steps(home: &Home) -> PathBuf {
    home.directory().join("steps")
}

/// Starts a server by hand that logs its steps, and waits until it is registered.
fn by_hand(home: &Home, args: &[&str]) -> Child {
    let mut server = home.command(&[&["@serve"], args].concat());
    let server = server.env(trace::LOG, steps(home)).stdout(Stdio::null()).spawn().unwrap();
    eventually("the server is registered", || fs::read(home.point()).is_ok_and(|record| !record.is_empty()));
    server
}

/// Waits until a server that does not end has logged a step so many times.
fn reaches(home: &Home, server: &mut Child, step: &str, times: usize) {
    let step = format!("{} serve {step}\n", server.id());
    eventually(&format!("{times} × {step}"), || {
        assert!(server.try_wait().unwrap().is_none(), "the server has ended");
        fs::read_to_string(steps(home)).is_ok_and(|log| log.matches(&step).count() >= times)
    });
}

/// Locks the point as another process would, until the file is closed.
fn locked(home: &Home) -> fs::File {
    let point = fs::File::options().read(true).write(true).open(home.point()).unwrap();
    eventually("the point lock is free", || fs2::FileExt::try_lock_exclusive(&point).is_ok());
    point
}

fn an_idle_server_stays_while_its_point_is_locked() {
    let home = Home::new();
    let mut server = by_hand(&home, &["idle=200"]);
    let point = locked(&home);
    reaches(&home, &mut server, "Lock purpose=Idle", 3);
    assert_eq!(home.record().pid, server.id());
    drop(point);
    assert!(server.wait().unwrap().success());
    assert_eq!(fs::read(home.point()).unwrap(), b"", "it withdraws its record at last");
}

fn an_idle_server_whose_point_is_locked_repairs_its_socket() {
    let home = Home::new();
    let mut server = by_hand(&home, &["unix", "idle=1000", "check=50"]);
    let (point, socket) = (locked(&home), home.address());
    // From here on it is always idle when it looks.
    reaches(&home, &mut server, "Lock purpose=Idle", 1);
    fs::remove_file(&socket).unwrap();
    eventually("the socket is made again", || {
        assert!(server.try_wait().unwrap().is_none(), "the server has ended");
        fs::exists(&socket).unwrap()
    });
    drop(point);
    assert!(server.wait().unwrap().success());
}

fn the_idle_period_begins_when_the_last_client_leaves() {
    let home = Home::new();
    let idle = Duration::from_millis(1500);
    let connection = runtime().block_on(connected(&home.service_by(&["@serve", "idle=1500"])));
    // It is used for longer than the period.
    thread::sleep(idle * 4 / 3);
    let left = Instant::now();
    drop(connection);
    home.wait_for_all_exits();
    assert!(left.elapsed() >= idle, "{:?}", left.elapsed());
}

fn the_idle_period_begins_when_the_server_is_registered() {
    let home = Home::new();
    home.make();
    let idle = Duration::from_millis(900);
    let mut server = home.command(&["@serve", "slow", "idle=900"]).stdout(Stdio::null()).spawn().unwrap();
    eventually("its handler is built", || is_held(&home.path().join("count.life")));
    // That takes longer than the period.
    thread::sleep(idle * 4 / 3);
    let begun = Instant::now();
    fs::write(home.path().join("go"), b"").unwrap();
    assert!(server.wait().unwrap().success());
    assert!(begun.elapsed() >= idle, "{:?}", begun.elapsed());
}

fn a_record_that_is_not_the_servers_own_is_not_withdrawn() {
    let home = Home::new();
    let mut server = by_hand(&home, &[]);
    let foreign = rendezvous_ipc::proto::record::Record { pid: 1, ..home.record() }.line().to_vec();
    let point = locked(&home);
    signal(server.id(), Signal::TERM);
    // It does not check its files any more.
    reaches(&home, &mut server, "Lock purpose=Requested", 1);
    fs::write(home.point(), &foreign).unwrap();
    drop(point);
    assert!(server.wait().unwrap().success());
    assert_eq!(fs::read(home.point()).unwrap(), foreign);
}

fn a_told_server_tries_the_lock_for_its_time_from_the_telling() {
    let home = Home::new();
    let mut server = by_hand(&home, &[]);
    let point = locked(&home);
    fs::write(home.point(), b"").unwrap();
    reaches(&home, &mut server, "Lock purpose=Restore", 1);
    // It tries for some time before it is told.
    thread::sleep(home.limits.lock / 2);
    let told = Instant::now();
    signal(server.id(), Signal::TERM);
    assert!(server.wait().unwrap().success());
    assert!(told.elapsed() >= home.limits.lock, "{:?}", told.elapsed());
    drop(point);
}

fn telling_a_server_again_postpones_nothing() {
    let home = Home::new();
    let mut server = by_hand(&home, &[]);
    let point = locked(&home);
    let tell = || home.command(&["@retire"]).stdout(Stdio::null()).spawn().unwrap();
    let mut told = vec![tell()];
    let mut last = Instant::now();
    eventually("the server ends", || {
        if last.elapsed() > home.limits.lock / 3 {
            told.push(tell());
            last = Instant::now();
        }
        server.try_wait().unwrap().is_some()
    });
    assert_eq!(home.record().pid, server.id(), "it withdraws nothing without the lock");
    drop(point);
    for mut told in told {
        assert!(told.wait().unwrap().success());
    }
}

fn a_second_signal_does_not_wait_for_clients() {
    let mut home = Home::new();
    home.server = &["@serve", "drain=3600000"];
    let connection = runtime().block_on(connected(&home.service()));
    let server = connection.outcome().pid();
    signal(server, Signal::TERM);
    eventually("the record is withdrawn", || fs::read(home.point()).unwrap().is_empty());
    assert_eq!(home.processes(), [server], "it drains");
    signal(server, Signal::TERM);
    home.wait_for_all_exits();
    drop(connection);
}

fn a_handler_that_blocks_past_the_drain_keeps_the_lifetime_lock() {
    let mut home = Home::new();
    home.server = &["@serve", "goes-on", "drain=100"];
    let log = home.path().join("count.log");
    runtime().block_on(async {
        let connection = connected(&home.service()).await;
        let server = connection.outcome().pid();
        let mut stream = connection.into_stream();
        stream.write_u8(BLOCK).await.unwrap();
        signal(server, Signal::TERM);
        eventually("`serve` returns", || fs::read_to_string(&log).unwrap().contains("served"));
        assert!(is_held(&home.path().join("count.life")), "code of its handler may still run");
        assert_eq!(home.processes(), [server]);
        signal(server, Signal::KILL);
    });
    home.wait_for_all_exits();
}
