//! Sessions that block, each in a thread of its own.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rendezvous_ipc::{BlockingStream, Descriptor, Peer, ServerHandle, Status};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::home::Named as _;
use crate::home::{Home, LONG, connected, eventually, runtime};
use crate::program::{BLOCK, COUNT, FAIL, GOODBYE, HOG, PANIC, SPARE, ask};

crate::trials![
    sessions_in_threads_block_and_fail_for_themselves_alone,
    a_session_in_a_thread_says_goodbye_when_its_server_retires,
    a_thread_that_does_not_end_keeps_its_server_until_the_drain_is_over,
    a_client_without_a_thread_is_refused_and_the_server_lives,
];

/// Sets the handler of `@serve threads`.
pub fn count_in_threads(service: Descriptor) -> Descriptor {
    service.thread_handler(|server| {
        let count = AtomicU64::new(0);
        Ok(move |_peer: Peer, stream: BlockingStream| session(&server, &count, stream))
    })
}

fn session(server: &ServerHandle, count: &AtomicU64, mut stream: BlockingStream) -> io::Result<()> {
    let mut request = [0];
    while stream.read(&mut request)? > 0 {
        let mut answer = 0;
        match request[0] {
            COUNT => answer = count.fetch_add(1, Ordering::SeqCst) + 1,
            PANIC => panic!("a client asked for it"),
            BLOCK => std::thread::sleep(Duration::MAX),
            FAIL => return Err(io::Error::other("no ink")),
            GOODBYE => {
                stream.write_all(&0u64.to_be_bytes())?;
                return stream.write_all(server.retiring_blocking().to_string().as_bytes());
            }
            HOG => limit_memory(Some(memory() + (1 << 20))),
            SPARE => limit_memory(None),
            _ => return Ok(()),
        }
        stream.write_all(&answer.to_be_bytes())?;
    }
    Ok(())
}

/// The address space of this process, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB")).unwrap();
    size.trim().parse::<u64>().unwrap() << 10
}

/// Leaves no room for the stack of a thread, or lifts that limit.
fn limit_memory(current: Option<u64>) {
    setrlimit(Resource::As, Rlimit { current, ..getrlimit(Resource::As) }).unwrap();
}

fn sessions_in_threads_block_and_fail_for_themselves_alone() {
    let mut home = Home::new();
    home.server = &["@serve", "threads", "drain=0"];
    runtime().block_on(async {
        let mut blocked = connected(&home.service()).await.into_stream();
        assert!(timeout(home.limits.patience, ask(&mut blocked, BLOCK)).await.is_err());
        for ends in [PANIC, FAIL] {
            let mut stream = connected(&home.service()).await.into_stream();
            ask(&mut stream, ends).await.expect_err("the session has ended");
        }
        let mut stream = connected(&home.service()).await.into_stream();
        assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 1);
        // The connection ends before its client is not counted any more.
        let alone = async || matches!(home.service().inspect().await.unwrap(), Status::Live { clients: 2, .. });
        let until = Instant::now() + LONG;
        while !alone().await {
            assert!(Instant::now() < until, "only these two are counted");
        }
        home.service().retire().await.unwrap();
    });
    home.wait_for_all_exits();
    let log = std::fs::read_to_string(home.service().log()).unwrap();
    assert!(log.contains("a session failed") && log.contains("no ink"), "{log}");
}

fn a_session_in_a_thread_says_goodbye_when_its_server_retires() {
    let mut home = Home::new();
    home.limits = rendezvous_ipc::Limits::default();
    home.server = &["@serve", "threads", "whole"];
    let begun = Instant::now();
    runtime().block_on(async {
        let mut stream = connected(&home.service()).await.into_stream();
        assert_eq!(ask(&mut stream, GOODBYE).await.unwrap(), 0, "the session waits");
        home.service().retire().await.unwrap();
        let mut heard = String::new();
        timeout(LONG, stream.read_to_string(&mut heard)).await.expect("the session ends").unwrap();
        assert_eq!(heard, "its retirement was requested");
    });
    home.wait_for_all_exits();
    assert!(begun.elapsed() < home.limits.drain, "{:?}", begun.elapsed());
}

fn a_thread_that_does_not_end_keeps_its_server_until_the_drain_is_over() {
    let mut home = Home::new();
    home.limits.drain = Duration::from_secs(1);
    home.server = &["@serve", "threads", "drain=1000"];
    runtime().block_on(async {
        let connection = connected(&home.service()).await;
        let pid = connection.outcome().pid();
        let mut stream = connection.into_stream();
        assert!(timeout(home.limits.patience, ask(&mut stream, BLOCK)).await.is_err());
        let begun = Instant::now();
        // Its client is gone, and its session is not.
        drop(stream);
        home.service().retire().await.unwrap();
        eventually("the process has ended", || !home.processes().contains(&pid));
        assert!(begun.elapsed() >= home.limits.drain, "{:?}", begun.elapsed());
    });
    home.wait_for_all_exits();
}

fn a_client_without_a_thread_is_refused_and_the_server_lives() {
    let mut home = Home::new();
    home.server = &["@serve", "threads"];
    runtime().block_on(async {
        let mut first = connected(&home.service()).await.into_stream();
        ask(&mut first, HOG).await.unwrap();
        // The stacks of threads that have ended are used again, and there are a few.
        let mut served = Vec::new();
        loop {
            assert!(served.len() < 32, "no client is refused");
            let mut stream = connected(&home.service()).await.into_stream();
            if ask(&mut stream, COUNT).await.is_err() {
                break;
            }
            served.push(stream);
        }
        ask(&mut first, SPARE).await.expect("the server lives");
        let mut next = connected(&home.service()).await.into_stream();
        assert_eq!(ask(&mut next, COUNT).await.unwrap(), served.len() as u64 + 1);
    });
    home.retire();
    let log = std::fs::read_to_string(home.service().log()).unwrap();
    assert!(log.contains("the system has no thread for it"), "{log}");
}
