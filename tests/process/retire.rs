//! What a client that requests retirement sees, and the end of a `serve` that is dropped.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use rendezvous_ipc::{Error, Holder, Limits, Origin, Reason, Retirement};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

use crate::home::Named as _;
use crate::home::{Home, LONG, connected, eventually, output, process, runtime, signal};
use crate::program::{COUNT, GOODBYE, ask};
use crate::trace;

crate::trials![
    a_retire_returns_only_after_the_lifetime_lock_is_released,
    a_retire_of_a_started_server_returns_only_when_its_process_ends,
    every_client_that_requests_a_retirement_hears_its_end,
    a_serve_that_is_dropped_while_it_serves_retires_in_the_background,
    a_session_that_waits_for_the_retirement_says_goodbye,
    a_server_without_a_drain_ends_its_sessions_at_once,
    a_connect_that_meets_a_drain_longer_than_itself_names_the_server,
];

fn a_server_without_a_drain_ends_its_sessions_at_once() {
    let mut home = Home::new();
    home.limits = Limits::default();
    home.server = &["@serve", "whole", "drain=0"];
    let begun = Instant::now();
    runtime().block_on(async {
        let mut stays = connected(&home.service()).await.into_stream();
        assert_eq!(ask(&mut stays, COUNT).await.unwrap(), 1);
        home.service().retire().await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(LONG, stays.read_to_end(&mut rest)).await.expect("the session has ended");
        assert!(ended.is_err() || rest.is_empty(), "{rest:?}");
    });
    home.wait_for_all_exits();
    assert!(begun.elapsed() < home.limits.drain, "{:?}", begun.elapsed());
}

fn a_connect_that_meets_a_drain_longer_than_itself_names_the_server() {
    let mut home = Home::new();
    home.server = &["@serve", "drain=3600000"];
    runtime().block_on(async {
        let connection = connected(&home.service()).await;
        let pid = connection.outcome().pid();
        let mut stays = connection.into_stream();
        let signalled = SystemTime::now();
        signal(pid, Signal::TERM);
        let error = loop {
            match home.service().connect().await {
                Ok(_) => continue,
                Err(error) => break error,
            }
        };
        let text = error.to_string();
        let Error::Deadline { holder: Some(Holder::Draining { pid: holder, until, .. }), .. } = error else {
            panic!("{text}");
        };
        let drain = until.duration_since(signalled).unwrap().as_secs_f64();
        assert!(holder.get() == pid && (3598.0..3600.0 + LONG.as_secs_f64()).contains(&drain), "{text}: {drain}");
        assert!(text.contains(&format!(": pid {pid} drains until ")), "{text}");
        assert_eq!(ask(&mut stays, COUNT).await.unwrap(), 1, "it drains");
        drop(stays);
    });
    home.wait_for_all_exits();
}

fn a_session_that_waits_for_the_retirement_says_goodbye() {
    for (by_signal, goodbye) in [(false, "its retirement was requested"), (true, "it received a signal")] {
        let mut home = Home::new();
        // The drain lasts as long as by default. The server does not wait for its end.
        home.limits = Limits::default();
        home.server = &["@serve", "whole"];
        let begun = Instant::now();
        runtime().block_on(async {
            let connection = connected(&home.service()).await;
            let pid = connection.outcome().pid();
            let mut stream = connection.into_stream();
            assert_eq!(ask(&mut stream, GOODBYE).await.unwrap(), 0, "the session waits");
            if by_signal {
                signal(pid, Signal::TERM);
            } else {
                home.service().retire().await.unwrap();
            }
            let mut heard = String::new();
            timeout(LONG, stream.read_to_string(&mut heard)).await.expect("the session ends").unwrap();
            assert_eq!(heard, goodbye);
        });
        home.wait_for_all_exits();
        assert!(begun.elapsed() < home.limits.drain, "{:?}", begun.elapsed());
    }
}

fn a_retire_returns_only_after_the_lifetime_lock_is_released() {
    for (step, is_held) in [("Release", true), ("Done", false)] {
        for is_started in [false, true] {
            let home = Home::new();
            let (log, block) = (home.directory().join("steps"), format!("block-at={step}"));
            let mut server = None;
            if is_started {
                let mut client = home.command(&["@client", &format!("server:{block}")]);
                client.env(trace::LOG, &log);
                assert!(output(client).status.success());
            } else {
                server = Some(home.command(&["@serve", &block]).env(trace::LOG, &log).spawn().unwrap());
                eventually("the server is registered", || !is_withdrawn(&home));
            }
            let reached = format!("{} serve {step}", home.record().pid());
            retire_is_pending_at(home, &log, &reached, |home| assert_eq!(is_alive(home), is_held, "{step}"));
            server.map(|mut server| server.wait().unwrap());
        }
    }
}

fn a_retire_of_a_started_server_returns_only_when_its_process_ends() {
    let mut home = Home::new();
    home.server = &["@serve", "goes-on"];
    let _ = home.count();
    let log = home.path().join("count.log");
    retire_is_pending_at(home, &log, "served", |home| assert!(!is_alive(home), "the server has ended"));
}

fn every_client_that_requests_a_retirement_hears_its_end() {
    let mut home = Home::new();
    home.limits = Limits::default();
    let log = home.directory().join("steps");
    let mut server = home.command(&["@serve", "whole", "block-at=Release"]).env(trace::LOG, &log).spawn().unwrap();
    eventually("the server is registered", || !is_withdrawn(&home));
    // Until it is free, the server goes on to answer.
    let point = fs::File::options().read(true).write(true).open(home.point()).unwrap();
    eventually("the point lock is free", || fs2::FileExt::try_lock_exclusive(&point).is_ok());
    runtime().block_on(async {
        let service = home.service();
        let mut requests = [(); 3].map(|()| Box::pin(service.retire()));
        let mut one_ends = std::future::poll_fn(|task| {
            let polled = requests.iter_mut().map(|request| request.as_mut().poll(task));
            polled.filter(Poll::is_ready).last().unwrap_or(Poll::Pending)
        });
        let logs = async |step: &str, times| {
            while fs::read_to_string(&log).unwrap().matches(step).count() < times {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let drained = async {
            timeout(LONG, logs(" serve Welcome ", 3)).await.expect("all are answered");
            drop(point);
            timeout(LONG, logs(" serve Release", 1)).await.expect("it has drained");
        };
        tokio::select! {
            biased;
            early = &mut one_ends => panic!("{early:?} before it has drained"),
            () = drained => {}
        }
        let early = timeout(Duration::from_millis(1), one_ends).await;
        assert!(early.is_err(), "{early:?} before its end");
        server.kill().unwrap();
        for request in requests {
            assert_eq!(request.await.unwrap(), Retirement::Exited { pid: Some(process(server.id())) });
        }
    });
    server.wait().unwrap();
}

/// Asks a server to retire, and shows that this is not over when the server has written this to a file. Then the server
/// is killed, which ends it.
fn retire_is_pending_at(mut home: Home, log: &Path, written: &str, is_so: impl Fn(&Home)) {
    // The retire waits for as long as the default drain.
    home.limits = Limits::default();
    let pid = home.record().pid();
    runtime().block_on(async {
        let service = home.service();
        let mut retiring = pin!(service.retire());
        let reached = async {
            while !fs::read_to_string(log).is_ok_and(|log| log.contains(written)) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            biased;
            early = &mut retiring => panic!("{early:?} before {written:?}"),
            reached = timeout(LONG, reached) => reached.expect(written),
        }
        is_so(&home);
        // An end that was there before is read before this timer is over.
        let early = timeout(Duration::from_millis(1), &mut retiring).await;
        assert!(early.is_err(), "{early:?} at {written:?}");
        signal(pid, Signal::KILL);
        assert_eq!(retiring.await.unwrap(), Retirement::Exited { pid: Some(process(pid)) });
    });
    home.wait_for_all_exits();
}

fn a_serve_that_is_dropped_while_it_serves_retires_in_the_background() {
    let mut home = Home::new();
    // Its client has as long as the default drain.
    home.limits = Limits::default();
    runtime().block_on(async {
        let service = home.service();
        let mut serving = Box::pin(service.serve());
        let registered = async {
            while is_withdrawn(&home) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            biased;
            ended = &mut serving => panic!("{ended:?}"),
            registered = timeout(LONG, registered) => registered.expect("a record"),
        }
        let connection = connected(&home.service()).await;
        assert_eq!((connection.outcome().origin, connection.outcome().pid()), (Origin::Joined, std::process::id()));
        let mut stream = connection.into_stream();
        assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 1);
        drop(serving);
        eventually("the record is withdrawn", || is_withdrawn(&home));
        eventually("its socket is removed", || sockets(&home) == 0);
        assert!(is_alive(&home), "it drains");
        assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 2, "its client is served until it leaves");
    });
    eventually("the lifetime lock is free", || !is_alive(&home));
    let (next, count) = home.count();
    assert_eq!((next.origin, count), (Origin::StartedExternal(Reason::NoRecord), 1));
    home.retire();
}

fn is_withdrawn(home: &Home) -> bool {
    fs::read(home.point()).map_or(true, |record| record.is_empty())
}

/// Whether a server holds the lifetime lock.
fn is_alive(home: &Home) -> bool {
    let life = fs::File::open(home.path().join("count.life")).unwrap();
    fs2::FileExt::try_lock_shared(&life).is_err()
}

fn sockets(home: &Home) -> usize {
    let files = fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "sock")).count()
}
