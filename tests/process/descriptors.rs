//! What a server does when it runs out of descriptors.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rendezvous_ipc::proto::handshake::SERVER_PROOF;
use rendezvous_ipc::{Connection, Origin, Retirement, Status, Termination};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::home::Named as _;
use crate::home::{Home, LONG, connected, dial, eventually, output, printed, process, runtime};
use crate::program::{BULK, BULKY, COUNT, HOG, SPARE, ask, hello};

crate::trials![
    a_started_server_may_open_more_files_than_its_first_client,
    a_server_has_room_for_a_herd_before_it_comes,
    a_server_without_descriptors_answers_and_retires,
    a_server_restores_its_record_while_clients_hold_all_descriptors,
    the_last_descriptor_is_not_taken_back_while_no_client_waits,
    a_slow_reader_gets_everything_from_a_server_without_descriptors,
];

/// Starts a server through a client with this limit of open files.
fn start(home: &Home, limit: &str) -> u32 {
    let mut client = Command::new("/bin/sh");
    client.args(["-c", &format!("ulimit {limit}; exec \"$0\" @client --home \"$1\"")]);
    client.arg(std::env::current_exe().unwrap()).arg(home.path()).stdout(Stdio::piped());
    let stdout = printed(&output(client));
    assert!(stdout.starts_with("started an external server"), "{stdout}");
    home.record().pid()
}

/// The soft and the hard limit of a process.
fn limits(pid: u32) -> (u64, u64) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut limits = line.split_whitespace().map(|limit| limit.parse().unwrap_or(u64::MAX));
    (limits.next().unwrap(), limits.next().unwrap())
}

fn a_started_server_may_open_more_files_than_its_first_client() {
    let home = Home::new();
    let server = start(&home, "-S -n 64");
    let (soft, hard) = limits(server);
    assert_eq!(soft, hard.min(65_536), "of {hard}");
    home.retire();
}

/// How many descriptors a process has room for, until its table has to grow.
fn room(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap().trim().parse().unwrap()
}

fn a_server_has_room_for_a_herd_before_it_comes() {
    for limit in ["-S -n 64", "-n 256"] {
        let home = Home::new();
        let server = start(&home, limit);
        let wanted = limits(server).0.min(1024);
        eventually("there is room without a client", || room(server) >= wanted);
        runtime().block_on(async {
            let service = home.service();
            let mut herd = Vec::new();
            for _ in 0..100 {
                herd.push(connected(&service).await);
            }
            assert_eq!(room(server), wanted, "the table did not grow for {} clients", herd.len());
        });
        home.retire();
    }
}

/// Connects as many clients as the server takes.
async fn crowd(home: &Home) -> Vec<Connection> {
    let service = home.service();
    let mut crowd = Vec::new();
    while let Ok(connection) = timeout(home.limits.patience, service.connect()).await {
        let connection = connection.unwrap();
        assert_eq!(connection.outcome().origin, Origin::Joined);
        crowd.push(connection);
    }
    crowd
}

fn a_server_without_descriptors_answers_and_retires() {
    let home = Home::new();
    let server = start(&home, "-n 64");
    runtime().block_on(async {
        let service = home.service();
        let mut crowd = crowd(&home).await;
        assert!(crowd.len() > 20, "{} of 64", crowd.len());
        let clients = crowd.len() as u32;
        for _ in 0..20 {
            let began = Instant::now();
            match service.inspect().await.unwrap() {
                Status::Live { pid, clients: counted, .. } => {
                    assert_eq!((pid, counted), (Some(process(server)), clients))
                }
                status => panic!("{status}"),
            }
            assert!(began.elapsed() < home.limits.patience, "{:?}", began.elapsed());
        }
        let ending = service.end_unresponsive().await.unwrap();
        assert!(matches!(ending, Termination::LeftAlone(Status::Live { .. })), "{ending}");
        let error = service.connect().await.unwrap_err().to_string();
        assert!(error.contains("has no room for another client"), "{error}");
        let mut next = Box::pin(service.connect());
        assert!(timeout(home.limits.patience / 2, &mut next).await.is_err(), "the server has no room");
        drop(crowd.pop());
        crowd.push(next.await.unwrap());
        let mut counted: Vec<_> = crowd.into_iter().map(Connection::into_stream).collect();
        for stream in &mut counted {
            ask(stream, COUNT).await.unwrap();
        }
        let service = service.clone();
        let mut retired = Box::pin(service.retire());
        assert!(timeout(home.limits.patience, &mut retired).await.is_err(), "the server waits for its clients");
        assert_eq!(fs::read(home.point()).unwrap(), b"", "the server has withdrawn its record");
        drop(counted);
        assert_eq!(retired.await.unwrap(), Retirement::Exited { pid: Some(process(server)) });
    });
    home.wait_for_all_exits();
}

fn a_server_restores_its_record_while_clients_hold_all_descriptors() {
    let home = Home::new();
    start(&home, "-n 64");
    runtime().block_on(async {
        let _crowd = crowd(&home).await;
        fs::write(home.point(), b"").unwrap();
        eventually("the record is restored", || !fs::read(home.point()).unwrap().is_empty());
        home.service().retire().await.unwrap();
    });
    home.wait_for_all_exits();
}

fn the_last_descriptor_is_not_taken_back_while_no_client_waits() {
    let home = Home::new();
    start(&home, "-n 128");
    runtime().block_on(async {
        let mut hog = connected(&home.service()).await.into_stream();
        ask(&mut hog, HOG).await.unwrap();
        ask(&mut hog, SPARE).await.unwrap();
        let mut pending = dial(&home.address()).unwrap();
        pending.write_all(&hello()).unwrap();
        pending.set_read_timeout(Some(LONG)).unwrap();
        pending.read_exact(&mut [0; SERVER_PROOF]).expect("the server answers");
        pending.set_nonblocking(true).unwrap();
        let still = pending.read(&mut [0]).unwrap_err();
        assert_eq!(still.kind(), ErrorKind::WouldBlock, "the connection is still open");
        assert_eq!(ask(&mut hog, COUNT).await.unwrap(), 2);
    });
    home.retire();
}

fn a_slow_reader_gets_everything_from_a_server_without_descriptors() {
    let home = Home::new();
    let server = start(&home, "-n 128");
    runtime().block_on(async {
        let mut stream = connected(&home.service()).await.into_stream();
        ask(&mut stream, HOG).await.unwrap();
        stream.write_u8(BULK).await.unwrap();
        // Time passes while the server sends as much as fits, and waits.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut bulk = vec![0; BULKY];
        timeout(LONG, stream.read_exact(&mut bulk)).await.expect("the server sends the rest").unwrap();
        assert_eq!(timeout(LONG, stream.read_u64()).await.unwrap().unwrap(), 1);
        for _ in 0..20 {
            assert!(matches!(home.service().inspect().await.unwrap(), Status::Live { clients: 1, .. }));
        }
        drop(stream);
        assert_eq!(home.service().retire().await.unwrap(), Retirement::Exited { pid: Some(process(server)) });
    });
    home.wait_for_all_exits();
}
