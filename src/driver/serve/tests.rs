//! A server whose spawner is this test. Its clock stands still, so what waits for a timer never happens.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::driver::net::dial;
use crate::driver::os::process::Lines;
use crate::driver::system::System;
use crate::driver::watchdog::Watchdog;
use crate::handler::Factory;
use crate::peer::Peer;
use crate::proto::handshake::Intent;
use crate::proto::pipes::{REGISTERED, sample_order};
use crate::stream::Stream;

/// A bound in real time, for a test that fails.
const LONG: Duration = Duration::from_secs(30);

/// Runs a future on a clock that stands still. tokio's paused clock goes on only when no task is ready, and one always is.
fn without_timers<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build_local(Default::default()).unwrap();
    runtime.block_on(async {
        let began = std::time::Instant::now();
        let never_idle = async {
            while began.elapsed() < LONG {
                yield_now().await;
            }
        };
        tokio::select! {
            biased;
            done = work => done,
            () = never_idle => panic!("it waits for a timer"),
        }
    })
}

#[test]
fn a_started_server_welcomes_its_first_client_without_a_pause() {
    let home = tempfile::tempdir().unwrap();
    let service = Service::sample(home.path());
    let (mut spawner, orders) = UnixStream::pair().unwrap();
    let (received, replies) = UnixStream::pair().unwrap();
    // All lines of the spawner. Without them, the watchdog would end this process.
    let mut lines = String::new();
    sample_order(LONG).write(&mut lines).unwrap();
    spawner.write_all((lines + REGISTERED).as_bytes()).unwrap();
    without_timers(async {
        let shutdown = Shutdown::new();
        let mut server = Server::new(&service, shutdown.clone(), Native::default());
        let watchdog = Watchdog::start(LONG).unwrap();
        server.effects.spawner = Some(watchdog.attend(Lines::of(orders.into()), None).unwrap());
        server.effects.replies = Some(File::from(std::os::fd::OwnedFd::from(replies)));
        let factory = Factory::new(async |_server| Ok(async |_peer: Peer, _stream: Stream| {}));
        let handler = Handler::Factory(factory);
        let client = async {
            received.set_nonblocking(true).unwrap();
            let (mut replies, mut line) = (BufReader::new(received), Vec::new());
            while replies.read_until(b'\n', &mut line).is_err() {
                yield_now().await;
            }
            let Some(Reply::Ready(record)) = Reply::read(&line) else { panic!("{line:?}") };
            let welcomed = dial::whole(&mut System::new(&service), &record, Intent::Connect, LONG).await;
            assert!(welcomed.is_ok_and(|(_, welcome)| welcome.clients == 1));
            shutdown.request();
        };
        let (served, ()) = tokio::join!(server.drive(Step::new(Starter::Spawner), handler), client);
        served.unwrap();
    });
}

#[test]
fn a_server_listens_while_its_handler_is_built() {
    let home = tempfile::tempdir().unwrap();
    let service = Service::sample(home.path());
    let factory = Factory::new(async |server| {
        let listens = || {
            let files = std::fs::read_dir(server.context().home()).unwrap();
            files.map(|file| file.unwrap().file_name()).any(|file| file.to_string_lossy().ends_with(".sock"))
        };
        let began = std::time::Instant::now();
        while !listens() && began.elapsed() < LONG {
            thread::yield_now();
        }
        assert!(listens());
        Ok(async move |_peer: Peer, _stream: Stream| {})
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    runtime.block_on(async {
        let mut server = Server::new(&service, Shutdown::new(), Native::default());
        server.effects.life = server.claim(Instant::now()).await.unwrap();
        server.cookie = Some(Cookie::new([3; 32]));
        server.build_and_listen(&mut Handler::Factory(factory), Instant::now() + LONG).await.unwrap();
        assert!(server.state.is_none(), "it waits for its step");
        server.listening().unwrap();
        assert!(server.state.is_some());
    });
}

#[tokio::test(flavor = "local")]
async fn a_server_without_the_lifetime_lock_begins_to_build_nothing() {
    let home = tempfile::tempdir().unwrap();
    let service = Service::sample(home.path());
    let _held = Life::try_claim(&service.life).unwrap().expect("nobody else holds it");
    let (mut spawner, orders) = UnixStream::pair().unwrap();
    let mut lines = String::new();
    sample_order(Duration::from_millis(100)).write(&mut lines).unwrap();
    spawner.write_all((lines + REGISTERED).as_bytes()).unwrap();
    let mut server = Server::new(&service, Shutdown::new(), Native::default());
    let watchdog = Watchdog::start(LONG).unwrap();
    server.effects.spawner = Some(watchdog.attend(Lines::of(orders.into()), None).unwrap());
    let built = Arc::new(AtomicBool::new(false));
    let builds = built.clone();
    let factory = Factory::new(async move |_server| {
        builds.store(true, Ordering::Relaxed);
        Ok(async |_peer: Peer, _stream: Stream| {})
    });
    let mut handler = Handler::Factory(factory);
    server.handlers = handler.start().ok();
    let busy = server.drive(Step::new(Starter::Spawner), handler).await;
    assert!(matches!(busy, Err(Error::Deadline { stage: Stage::Claim, .. })), "{busy:?}");
    assert!(!built.load(Ordering::Relaxed));
}
