//! What a server does for its clients, and for no other process.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::{Error, Limits, Origin, Retirement, Status};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::home::Named as _;
use crate::home::{
    Home, LONG, connected, dial, eventually, kill, open_pending, output, printed, process, runtime, signal, stop,
    uninterrupted,
};
use crate::program::{BEAR, BLOCK, COUNT, COUNTERS, KEEP, MOVE, PANIC, RETIRE, START, STD, UNGUARD, WAIT, ask};

crate::trials![
    an_idle_server_retires_and_one_with_a_client_does_not,
    a_stream_in_a_thread_of_its_own_keeps_its_server,
    a_guard_beside_a_std_socket_keeps_its_server_until_it_is_dropped,
    a_server_can_move_what_it_owns_into_its_sessions,
    bad_clients_delay_no_client_and_keep_no_server,
    a_full_acceptor_drops_the_oldest_connection_and_lets_a_client_in,
    silent_clients_do_not_starve_a_server_of_descriptors,
    a_handler_may_flush_for_the_whole_drain,
    a_continued_server_admits_waiting_clients_before_its_idle_timer,
    a_late_idle_timer_grants_patience_only_once,
    a_handshake_has_its_full_time_while_the_acceptor_has_room,
    an_idle_server_retires_although_its_point_cannot_be_opened,
    a_full_server_can_still_be_asked_to_retire,
    a_handler_can_keep_an_idle_server_and_have_it_retire,
    a_full_server_lets_the_next_client_wait,
    files_that_a_server_makes_are_for_its_owner_alone,
    a_handler_can_start_processes_whatever_its_caller_ignores,
    a_child_of_a_handler_keeps_no_port_and_no_lock_of_its_server,
    a_panic_ends_its_own_connection_only,
    a_handler_that_blocks_holds_up_no_handshake,
    a_retiring_server_lets_its_clients_finish_and_admits_no_new_one,
    a_server_asked_to_retire_ends_within_its_drain_deadline,
    retiring_nothing_is_no_error,
    a_status_query_is_no_client_and_starts_nothing,
    a_server_counts_welcomes_refusals_and_restored_files,
];

fn idle(home: &Home, idle: &str) -> rendezvous_ipc::Descriptor {
    home.service_by(&["@serve", idle])
}

fn a_guard_beside_a_std_socket_keeps_its_server_until_it_is_dropped() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let service = home.service_by(&["@serve", "idle=300", transport]);
        runtime().block_on(async {
            let mut stream = connected(&service).await.into_stream();
            assert_eq!(ask(&mut stream, STD).await.unwrap(), 0, "the thread answers");
            // Three idle periods pass without a session.
            tokio::time::sleep(Duration::from_millis(900)).await;
            assert!(matches!(service.inspect().await.unwrap(), Status::Live { clients: 1, .. }));
            assert_eq!(ask(&mut stream, UNGUARD).await.unwrap(), 1, "the thread still answers");
            // The socket alone does not count.
            home.wait_for_all_exits();
        });
    }
}

fn a_server_can_move_what_it_owns_into_its_sessions() {
    let mut home = Home::new();
    home.server = &["@serve", "serves-once"];
    assert_eq!([home.count().1, home.count().1], [10, 20]);
    home.retire();
}

fn an_idle_server_retires_and_one_with_a_client_does_not() {
    let home = Home::new();
    runtime().block_on(async {
        let connection = connected(&idle(&home, "idle=300")).await;
        let mut stream = connection.into_stream();
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 1, "after three idle periods, the server is still there");
    });
    home.wait_for_all_exits();
    assert_eq!(fs::read(home.point()).unwrap(), b"", "the record is withdrawn");
}

fn a_stream_in_a_thread_of_its_own_keeps_its_server() {
    for transport in ["unix", "tcp"] {
        keeps_its_server(&["@serve", "idle=300", "clients=1", transport]);
    }
}

fn keeps_its_server(server: &[&str]) {
    let home = Home::new();
    let service = home.service_by(server);
    runtime().block_on(async {
        let mut stream = connected(&service).await.into_stream();
        assert_eq!(ask(&mut stream, MOVE).await.unwrap(), 0, "the thread answers");
        // Three idle periods pass without a session.
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 1, "the thread still answers");
        assert!(
            matches!(service.inspect().await.unwrap(), Status::Live { clients: 1, .. }),
            "the server serves, and counts its client"
        );
        let mut next = Box::pin(service.connect());
        assert!(timeout(home.limits.patience, &mut next).await.is_err(), "the stream keeps its place, too");
        drop(stream);
        assert_eq!(next.await.unwrap().outcome().origin, Origin::Joined);
    });
    home.wait_for_all_exits();
    assert_eq!(fs::read(home.point()).unwrap(), b"", "the record is withdrawn");
}

fn bad_clients_delay_no_client_and_keep_no_server() {
    let home = Home::new();
    let service = idle(&home, "idle=1000");
    runtime().block_on(async {
        let mut first = connected(&service).await.into_stream();
        let address = home.address();
        let alone = time_of_a_join(&service).await;
        let mut pending: Vec<_> = (0..200).map(|_| open_pending(&address, b"")).collect();
        pending.push(open_pending(&address, &[0xff; 100_000]));
        pending.push(open_pending(&address, b"RDVZ"));
        drop(open_pending(&address, b"RDVZ\0\x01\x01"));
        let crowded = time_of_a_join(&service).await;
        println!("a join takes {alone:.1?} alone and {crowded:.1?} beside 200 silent connections and one that floods");
        assert!(crowded < alone * 20 + Duration::from_millis(100), "{alone:?} alone, {crowded:?} in the crowd");
        assert_eq!(ask(&mut first, COUNT).await.unwrap(), 1);
        drop(first);
        let begun = Instant::now();
        // The handshake deadline closes pending connections while new ones arrive: none of them counts as a client.
        eventually("the server retires", || {
            if let Ok(stream) = dial(&address) {
                pending.push(stream);
            }
            home.processes().is_empty()
        });
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    });
}

/// The median time of some joins.
async fn time_of_a_join(service: &rendezvous_ipc::Descriptor) -> Duration {
    let mut times = Vec::new();
    for _ in 0..9 {
        let begun = Instant::now();
        let connection = connected(service).await;
        times.push(begun.elapsed());
        assert_eq!(connection.outcome().origin, Origin::Joined);
    }
    times.sort_unstable();
    times[4]
}

fn a_full_acceptor_drops_the_oldest_connection_and_lets_a_client_in() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "max_pending=8"]);
    runtime().block_on(async {
        let _first = connected(&service).await;
        let address = home.address();
        let begun = Instant::now();
        let pending: Vec<_> = (0..50).map(|_| open_pending(&address, b"")).collect();
        assert_eq!(connected(&service).await.outcome().origin, Origin::Joined);
        let mut oldest = &pending[0];
        oldest.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(uninterrupted(|| oldest.read(&mut [0])).unwrap(), 0, "the server closes the oldest connection");
        assert!(begun.elapsed() < home.limits.handshake, "it is closed before its deadline");
    });
    home.retire();
}

fn silent_clients_do_not_starve_a_server_of_descriptors() {
    let home = Home::new();
    let mut server = Command::new("/bin/sh")
        .args(["-c", "ulimit -n 128; exec \"$0\" @serve --home \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(home.path())
        .spawn()
        .unwrap();
    eventually("the server is registered", || fs::read(home.point()).is_ok_and(|record| !record.is_empty()));
    let address = home.address();
    let _pending: Vec<_> = (0..200).map(|_| open_pending(&address, b"")).collect();
    let (outcome, _) = home.count();
    assert_eq!(outcome.origin, Origin::Joined);
    assert!(outcome.took < home.limits.patience * 3, "{:?}", outcome.took);
    let open = fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    assert!(open < 110, "{open} of 128 are in use; half of them are not for pending connections");
    runtime().block_on(home.service().retire()).unwrap();
    assert!(server.wait().unwrap().success());
}

fn a_handler_may_flush_for_the_whole_drain() {
    let home = Home::new();
    drop(runtime().block_on(connected(&home.service_by(&["@serve", "flushes", "idle=100"]))));
    home.wait_for_all_exits();
    assert_eq!(fs::read(home.path().join("flushed")).unwrap(), b"all of it");
}

fn a_continued_server_admits_waiting_clients_before_its_idle_timer() {
    let home = Home::new();
    let service = idle(&home, "idle=1500");
    let server = runtime().block_on(left_by_its_client(&service));
    stop(server);
    // The server is stopped for longer than the idle period.
    std::thread::sleep(Duration::from_millis(1700));
    let address = home.record().address;
    let client = home.command(&["@client"]).spawn().unwrap();
    eventually("the client waits", || match address {
        // The other end of an established connection to the server's port.
        Address::Tcp(address) => {
            let port = format!("0100007F:{:04X} 01", address.socket_addr().port());
            fs::read_to_string("/proc/net/tcp").unwrap().contains(&port)
        }
        // The connection is established, but not accepted.
        Address::Unix(name) => {
            let sockets = fs::read_to_string("/proc/net/unix").unwrap();
            let path = home.socket(name);
            sockets.lines().any(|line| line.ends_with(path.to_str().unwrap()) && line.contains(" 0001 02 "))
        }
    });
    signal(server, Signal::CONT);
    let stdout = printed(&client.wait_with_output().unwrap());
    assert_eq!(stdout, format!("joined an external server: pid {server}, count 1"));
    home.wait_for_all_exits();
}

/// Starts a server, and returns its process when it has seen its only client leave: its idle period has begun.
async fn left_by_its_client(service: &rendezvous_ipc::Descriptor) -> u32 {
    let server = connected(service).await.outcome().pid();
    eventually_clients(service, 0).await;
    server
}

fn a_late_idle_timer_grants_patience_only_once() {
    let home = Home::new();
    // File checks are due more often than the idle end may be postponed.
    let service = home.service_by(&["@serve", "idle=1500", "check=50"]);
    let server = runtime().block_on(left_by_its_client(&service));
    stop(server);
    std::thread::sleep(Duration::from_millis(1700));
    signal(server, Signal::CONT);
    home.wait_for_all_exits();
}

fn a_handshake_has_its_full_time_while_the_acceptor_has_room() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "max_pending=8"]);
    runtime().block_on(async {
        let _first = connected(&service).await;
        let mut slow = open_pending(&home.address(), b"");
        for _ in 0..20 {
            drop(connected(&service).await);
        }
        slow.set_nonblocking(true).unwrap();
        let still = std::io::Read::read(&mut slow, &mut [0]).unwrap_err();
        assert_eq!(still.kind(), std::io::ErrorKind::WouldBlock, "the connection is still open");
    });
    home.retire();
}

fn an_idle_server_retires_although_its_point_cannot_be_opened() {
    let home = Home::new();
    let connection = runtime().block_on(connected(&idle(&home, "idle=300")));
    fs::set_permissions(home.point(), fs::Permissions::from_mode(0o644)).unwrap();
    drop(connection);
    home.wait_for_all_exits();
}

fn a_full_server_can_still_be_asked_to_retire() {
    let home = Home::new();
    let service = home.service();
    runtime().block_on(async {
        let mut first = connected(&service).await.into_stream();
        first.write_u8(BLOCK).await.unwrap();
        let mut waiting = Vec::new();
        for number in 0..140 {
            match timeout(home.limits.patience / 2, service.connect()).await {
                Ok(connection) => waiting.push(connection.unwrap()),
                Err(_) => {
                    assert!(number > 100, "the server has room for more than {number} clients");
                    break;
                }
            }
        }
        assert!(waiting.len() < 140, "the server is full");
        assert!(matches!(service.inspect().await.unwrap(), Status::Live { .. }));
        service.retire().await.unwrap();
    });
    home.wait_for_all_exits();
}

fn a_handler_can_keep_an_idle_server_and_have_it_retire() {
    let home = Home::new();
    let service = idle(&home, "idle=200");
    runtime().block_on(async {
        let mut stream = connected(&service).await.into_stream();
        ask(&mut stream, KEEP).await.unwrap();
        drop(stream);
        // Three idle periods pass.
        tokio::time::sleep(Duration::from_millis(600)).await;
        let mut stream = connected(&service).await.into_stream();
        assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 1, "the same server answers");
        ask(&mut stream, RETIRE).await.unwrap();
        eventually("the record is withdrawn", || fs::read(home.point()).unwrap().is_empty());
        assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 2, "the client is served to its end");
    });
    home.wait_for_all_exits();
}

fn a_full_server_lets_the_next_client_wait() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "clients=2"]);
    runtime().block_on(async {
        let (one, _two) = (connected(&service).await, connected(&service).await);
        let mut third = Box::pin(service.connect());
        assert!(timeout(home.limits.patience * 2, &mut third).await.is_err(), "the server has no room");
        assert!(
            matches!(service.inspect().await.unwrap(), Status::Live { clients: 2, .. }),
            "a full server is not a failure"
        );
        drop(one);
        let third = third.await.unwrap();
        assert_eq!(third.outcome().origin, Origin::Joined);
        match service.connect().await.unwrap_err() {
            Error::Full { pid, clients: 2, waited } => {
                assert_eq!((pid, waited >= home.limits.connect), (third.outcome().pid, true), "{waited:?}");
            }
            other => panic!("{other}"),
        }
    });
    home.retire();
}

fn files_that_a_server_makes_are_for_its_owner_alone() {
    let home = Home::new();
    drop(runtime().block_on(connected(&home.service_by(&["@serve", "flushes", "idle=100"]))));
    home.wait_for_all_exits();
    assert_eq!(fs::metadata(home.path().join("flushed")).unwrap().permissions().mode() & 0o777, 0o600);
}

fn a_handler_can_start_processes_whatever_its_caller_ignores() {
    let home = Home::new();
    let mut client = Command::new("/bin/sh");
    client.args(["-c", "trap '' CHLD; exec \"$0\" @client --home \"$1\""]);
    client.arg(std::env::current_exe().unwrap()).arg(home.path()).stdout(Stdio::piped());
    let stdout = printed(&output(client));
    assert!(stdout.starts_with("started an external server"), "{stdout}");
    runtime().block_on(async {
        let mut stream = connected(&home.service()).await.into_stream();
        assert_eq!(ask(&mut stream, START).await.unwrap(), 0, "the exit status of `true`");
    });
    home.retire();
}

fn a_child_of_a_handler_keeps_no_port_and_no_lock_of_its_server() {
    let home = Home::new();
    let (first, child) = runtime().block_on(async {
        let connection = connected(&home.service()).await;
        let pid = connection.outcome().pid();
        (pid, ask(&mut connection.into_stream(), BEAR).await.unwrap() as u32)
    });
    let address = home.address();
    kill(&home, first);
    let refused = dial(&address).expect_err("no process listens there");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(std::path::Path::new(&format!("/proc/{child}")).exists(), "the child lives");
    let (outcome, _) = home.count();
    assert!(matches!(outcome.origin, Origin::StartedExternal(_)), "{outcome}");
    signal(child, Signal::KILL);
    home.retire();
}

fn a_panic_ends_its_own_connection_only() {
    let home = Home::new();
    runtime().block_on(async {
        let service = home.service();
        let mut one = connected(&service).await.into_stream();
        let mut two = connected(&service).await.into_stream();
        ask(&mut one, PANIC).await.expect_err("the client's connection ends");
        assert_eq!(ask(&mut two, COUNT).await.unwrap(), 1);
        assert_eq!(connected(&service).await.outcome().origin, Origin::Joined);
        eventually_clients(&service, 1).await;
    });
    home.retire();
}

async fn eventually_clients(service: &rendezvous_ipc::Descriptor, expected: u32) {
    let until = Instant::now() + LONG;
    loop {
        match service.inspect().await.unwrap() {
            Status::Live { clients, .. } if clients == expected => return,
            status => assert!(Instant::now() < until, "{status}"),
        }
    }
}

fn a_handler_that_blocks_holds_up_no_handshake() {
    let home = Home::new();
    runtime().block_on(async {
        let service = home.service();
        let mut one = connected(&service).await.into_stream();
        one.write_u8(BLOCK).await.unwrap();
        let two = connected(&service).await;
        assert_eq!(two.outcome().origin, Origin::Joined);
        assert!(matches!(service.inspect().await.unwrap(), Status::Live { clients: 2, .. }));
        // A blocked handler does not keep its process alive.
        service.retire().await.unwrap();
    });
    home.wait_for_all_exits();
    let log = fs::read_to_string(home.path().join("count.log")).unwrap();
    assert!(log.contains("a handler still runs") && !log.contains("panicked"), "{log}");
}

fn a_retiring_server_lets_its_clients_finish_and_admits_no_new_one() {
    let home = Home::new();
    let service = home.service();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut old = connected(&service).await;
        let pid = old.outcome().pid();
        let mut stream = old.into_stream();
        stream.write_u8(WAIT).await.unwrap();
        let retiring = tokio::spawn({
            let service = service.clone();
            async move { service.retire().await }
        });
        eventually("the record is withdrawn", || fs::read(home.point()).unwrap().is_empty());
        assert_eq!(service.inspect().await.unwrap(), Status::InTransition);
        let next = tokio::spawn({
            let service = service.clone();
            async move { service.connect().await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(home.processes().iter().filter(|process| **process == pid).count(), 1, "the old server drains");
        assert!(!next.is_finished(), "its successor waits until it has drained");
        stream.write_u8(b'.').await.unwrap();
        assert_eq!(tokio::io::AsyncReadExt::read_u64(&mut stream).await.unwrap(), 0, "the call is answered");
        drop(stream);
        assert_eq!(retiring.await.unwrap().unwrap(), Retirement::Exited { pid: Some(process(pid)) });
        old = next.await.unwrap().unwrap();
        assert_ne!(old.outcome().pid(), pid);
    });
    home.retire();
}

fn a_server_asked_to_retire_ends_within_its_drain_deadline() {
    let home = Home::new();
    let service = home.service();
    runtime().block_on(async {
        let _idler = connected(&service).await;
        let begun = Instant::now();
        timeout(home.limits.drain * 2, service.retire()).await.expect("the server ends in time").unwrap();
        assert!(begun.elapsed() >= home.limits.drain, "it waits for its client");
    });
    home.wait_for_all_exits();
}

fn retiring_nothing_is_no_error() {
    let home = Home::new();
    assert_eq!(runtime().block_on(home.service().retire()).unwrap(), Retirement::NoServer);
    assert!(home.processes().is_empty() && !home.path().exists(), "no process was started, and no file created");
    let (server, _) = home.count();
    fs::remove_file(home.point()).unwrap();
    let retired = runtime().block_on(home.service().retire()).unwrap();
    assert_eq!(
        retired,
        Retirement::Exited { pid: Some(process(server.pid())) },
        "a server whose point was deleted is found too"
    );
    home.wait_for_all_exits();
    crate::home::kill(&home, home.count().0.pid());
    assert_eq!(
        runtime().block_on(home.service().retire()).unwrap(),
        Retirement::NoServer,
        "a dead server counts as absent"
    );
}

fn a_status_query_is_no_client_and_starts_nothing() {
    let home = Home::new();
    let runtime = runtime();
    let service = home.service();
    assert_eq!(runtime.block_on(service.inspect()).unwrap(), Status::Absent);
    assert!(!home.path().exists(), "no file was created");
    let (server, _) = home.count();
    runtime.block_on(eventually_clients(&service, 0));
    match runtime.block_on(service.inspect()).unwrap() {
        Status::Live { pid, version: 7, .. } => assert_eq!(pid, Some(process(server.pid()))),
        status => panic!("{status}"),
    }
    let lock = fs::File::open(home.point()).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let record = fs::read(home.point()).unwrap();
    fs::write(home.point(), b"").unwrap();
    assert_eq!(runtime.block_on(service.inspect()).unwrap(), Status::InTransition, "another process holds the lock");
    fs::write(home.point(), record).unwrap();
    fs2::FileExt::unlock(&lock).unwrap();
    crate::home::kill(&home, server.pid());
    assert_eq!(runtime.block_on(service.inspect()).unwrap(), Status::Gone { pid: Some(process(server.pid())) });
    fs::write(home.point(), b"rubbish").unwrap();
    assert!(matches!(runtime.block_on(service.inspect()).unwrap(), Status::Malformed(_)));
    assert!(home.processes().is_empty());
}

fn a_server_counts_welcomes_refusals_and_restored_files() {
    let mut home = Home::new();
    // A slow machine refuses no client, and answers each look.
    home.limits = Limits::default();
    home.server = &["@serve", "whole"];
    let (service, runtime) = (home.service(), runtime());
    let counted = || match runtime.block_on(service.inspect()) {
        Ok(Status::Live { clients, welcomed, refused, restored, .. }) => {
            Some([u64::from(clients), welcomed, refused, restored])
        }
        _ => None,
    };
    let mut client = runtime.block_on(connected(&service)).into_stream();
    assert_eq!(counted(), Some([1, 1, 0, 0]));
    drop(runtime.block_on(connected(&service)));
    eventually("the second client has left", || counted() == Some([1, 2, 0, 0]));
    drop(open_pending(&home.address(), b""));
    eventually("a stranger has left", || counted() == Some([1, 2, 1, 0]));
    fs::write(home.point(), b"rubbish").unwrap();
    eventually("the record is restored", || counted() == Some([1, 2, 1, 1]));
    fs::remove_file(home.path().join("count.life")).unwrap();
    eventually("the life file is made again", || counted() == Some([1, 2, 1, 2]));
    let told = runtime.block_on(async {
        client.write_u8(COUNTERS).await.unwrap();
        let mut told = [0; 4];
        for number in &mut told {
            *number = client.read_u64().await.unwrap();
        }
        told
    });
    assert_eq!(Some(told), counted(), "the handler gets the same numbers");
    drop(client);
    home.retire();
}
