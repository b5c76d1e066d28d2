//! What a caller is told while its call waits. What it is told ends the wait, so a call that tells nothing fails.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rendezvous_ipc::{
    Descriptor, Limits, Origin, Policy, Retirement, Sign, Status, Stream, Termination, Waiting, WaitingFor,
};
use rustix::process::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::home::Named as _;
use crate::home::{Home, LONG, connected, eventually, process, runtime, signal, stop};
use crate::program::{COUNT, ask};

crate::trials![
    a_slow_start_is_told_with_its_process,
    a_slow_start_in_this_process_is_told,
    a_process_that_holds_the_point_lock_is_told,
    a_predecessor_that_drains_is_told_with_its_end,
    a_server_that_is_stopped_is_told_by_every_call,
    a_retire_tells_whom_it_waits_for,
    a_full_server_is_told_until_it_has_a_place,
];

/// What was told.
type Told = Arc<Mutex<Vec<Waiting>>>;

fn home() -> Home {
    let mut home = Home::new();
    // Whatever is told is told in the time of a slow machine, too.
    home.limits = Limits::default();
    home.server = &["@serve", "whole"];
    home
}

/// Returns a function for `on_wait` that keeps what it is told, and does `then` when it is told this.
fn keeps<F: Fn(&Waiting)>(told: &Told, what: WaitingFor, then: F) -> impl Fn(&Waiting) + use<F> {
    let told = told.clone();
    move |waiting| {
        told.lock().unwrap().push(*waiting);
        if waiting.what == what {
            then(waiting);
        }
    }
}

/// Returns the one time that this was told of this process. On a slow machine other waits may be told beside it.
fn once(told: &Told, what: WaitingFor, pid: u32) -> Waiting {
    let told = told.lock().unwrap();
    let of: Vec<_> = told.iter().filter(|waiting| (waiting.what, waiting.pid) == (what, Some(process(pid)))).collect();
    assert!(of.len() == 1 && of[0].waited >= Duration::from_millis(100), "{what:?} of {pid}: {told:?}");
    *of[0]
}

/// Checks the line, and that it is no longer until its end than this.
fn says(waiting: Waiting, line: &str, longest: Duration) {
    assert!(waiting.to_string().starts_with(&format!("{line}: at most ")), "{waiting}");
    assert!(waiting.left <= longest, "{waiting:?}");
}

fn a_slow_start_is_told_with_its_process() {
    for blocking in [false, true] {
        let mut home = home();
        home.server = &["@serve", "whole", "slow"];
        let (told, go) = (Told::default(), home.path().join("go"));
        let service = home.service().on_wait(keeps(&told, WaitingFor::Start, move |waiting| {
            // The first may be told before there is a process.
            if waiting.pid.is_some() {
                fs::write(&go, b"").unwrap();
            }
        }));
        let pid = match blocking {
            false => home.try_count(&service).unwrap().0.pid(),
            true => service.connect_blocking().unwrap().outcome().pid(),
        };
        let waiting = once(&told, WaitingFor::Start, pid);
        says(waiting, &format!("waiting for server {pid} to start"), home.limits.start);
        home.retire();
    }
}

/// Holds the point lock of `home` until it is killed, and says so.
pub fn hold(home: &str) {
    let point = fs::File::options().read(true).write(true).open(format!("{home}/count")).unwrap();
    fs2::FileExt::lock_exclusive(&point).unwrap();
    println!("held");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn a_process_that_holds_the_point_lock_is_told() {
    for server in [&["@serve", "whole"][..], &["@serve", "whole", "sequoia"]] {
        let mut home = home();
        home.server = server;
        home.make();
        fs::File::create(home.point()).unwrap();
        fs::set_permissions(home.point(), fs::Permissions::from_mode(0o600)).unwrap();
        let mut hold = home.command(&["@hold", home.path().to_str().unwrap()]);
        let mut holder = hold.stdin(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        let (told, pid) = (Told::default(), holder.id());
        let service = home.service().on_wait(keeps(&told, WaitingFor::PointLock, move |_| signal(pid, Signal::KILL)));
        let (outcome, _) = home.try_count(&service).unwrap();
        assert!(matches!(outcome.origin, Origin::StartedExternal(_)));
        let waiting = once(&told, WaitingFor::PointLock, pid);
        says(waiting, &format!("waiting for process {pid}, which holds the point lock"), home.limits.connect);
        holder.wait().unwrap();
        home.end_all(Signal::TERM);
    }
}

fn a_slow_start_in_this_process_is_told() {
    let (told, home) = (Told::default(), home());
    let (tell, is_told) = watch::channel(false);
    let service = Descriptor::new(&home.context(), "count").unwrap();
    let service = service.on_wait(keeps(&told, WaitingFor::Start, move |_| _ = tell.send_replace(true)));
    let service = service.stream_handler(async move |_server| {
        is_told.clone().wait_for(|told| *told).await?;
        Ok(async |_peer, _stream: Stream| {})
    });
    let connection = runtime().block_on(service.connect_with_policy(Policy::Internal)).unwrap();
    assert_eq!(connection.outcome().origin, Origin::StartedInternal);
    once(&told, WaitingFor::Start, std::process::id());
}

fn a_predecessor_that_drains_is_told_with_its_end() {
    for newer in [false, true] {
        let mut home = home();
        home.server = &["@serve", "whole", "drain=20000"];
        let told = Told::default();
        let (tell, mut is_told) = mpsc::unbounded_channel();
        let service = if newer { home.service_by(&["@serve", "whole", "version=8"]) } else { home.service() };
        let service = service.on_wait(keeps(&told, WaitingFor::Drain, move |_| tell.send(()).unwrap()));
        runtime().block_on(async {
            let old = connected(&home.service()).await;
            let pid = old.outcome().pid();
            if !newer {
                signal(pid, Signal::TERM);
                let life = home.path().join("count.life");
                eventually("it drains", || fs::read_to_string(&life).unwrap().contains(" drains until "));
            }
            let ends = async {
                timeout(LONG, is_told.recv()).await.expect("it is told");
                drop(old);
            };
            let (new, ()) = tokio::join!(service.connect(), ends);
            assert_ne!(new.unwrap().outcome().pid(), pid);
            let waiting = once(&told, WaitingFor::Drain, pid);
            // What it says in its life file is shorter than the whole call.
            let drain = Duration::from_secs(20) + home.limits.patience;
            let longest = if newer { home.limits.connect } else { drain };
            says(waiting, &format!("waiting for server {pid} to finish its work"), longest);
        });
        home.retire();
    }
}

fn a_server_that_is_stopped_is_told_by_every_call() {
    for blocking in [false, true] {
        let home = home();
        let pid = home.count().0.pid();
        let told = Told::default();
        stop(pid);
        let service = home.service();
        let service = service.on_wait(keeps(&told, WaitingFor::Answer, move |_| signal(pid, Signal::CONT)));
        let origin = match blocking {
            false => home.try_count(&service).unwrap().0.origin,
            true => service.connect_blocking().unwrap().outcome().origin,
        };
        assert_eq!(origin, Origin::Joined);
        let answers = format!("waiting for an answer of server {pid}");
        says(once(&told, WaitingFor::Answer, pid), &answers, home.limits.connect);

        stop(pid);
        let told = Told::default();
        let service = home.service().on_wait(keeps(&told, WaitingFor::Answer, |_| {}));
        let status = match blocking {
            false => runtime().block_on(service.inspect()),
            true => service.inspect_blocking(),
        };
        assert!(matches!(status, Ok(Status::Unresponsive(_))), "{status:?}");
        says(once(&told, WaitingFor::Answer, pid), &answers, home.limits.patience);
        told.lock().unwrap().clear();
        let ended = match blocking {
            false => runtime().block_on(service.end_unresponsive()),
            true => service.end_unresponsive_blocking(),
        };
        assert_eq!(ended.unwrap(), Termination::Killed { pid: process(pid), sign: Sign::Stopped });
        says(once(&told, WaitingFor::Answer, pid), &answers, home.limits.connect);
        home.wait_for_all_exits();
    }
}

fn a_retire_tells_whom_it_waits_for() {
    for blocking in [false, true] {
        let home = home();
        let told = Told::default();
        let (tell, mut is_told) = mpsc::unbounded_channel();
        let service = home.service().on_wait(keeps(&told, WaitingFor::Drain, move |_| tell.send(()).unwrap()));
        runtime().block_on(async {
            let connection = connected(&home.service()).await;
            let pid = connection.outcome().pid();
            let mut stream = connection.into_stream();
            let ends = async {
                timeout(LONG, is_told.recv()).await.expect("it is told");
                assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 1, "it drains");
                drop(stream);
            };
            let retires = async {
                match blocking {
                    false => service.retire().await,
                    true => tokio::task::spawn_blocking(move || service.retire_blocking()).await.unwrap(),
                }
            };
            let (retired, ()) = tokio::join!(retires, ends);
            assert_eq!(retired.unwrap(), Retirement::Exited { pid: Some(process(pid)) });
            once(&told, WaitingFor::Drain, pid);
        });
        home.wait_for_all_exits();
    }
}

fn a_full_server_is_told_until_it_has_a_place() {
    for blocking in [false, true] {
        let mut home = home();
        home.server = &["@serve", "whole", "clients=1"];
        let told = Told::default();
        let (tell, mut is_told) = mpsc::unbounded_channel();
        let service = home.service().on_wait(keeps(&told, WaitingFor::Full, move |_| tell.send(()).unwrap()));
        runtime().block_on(async {
            let first = connected(&home.service()).await;
            let pid = first.outcome().pid();
            let ends = async {
                timeout(LONG, is_told.recv()).await.expect("it is told");
                drop(first);
            };
            let connects = async {
                match blocking {
                    false => service.connect().await.map(|second| second.outcome().origin),
                    true => {
                        let connect = move || service.connect_blocking().map(|second| second.outcome().origin);
                        tokio::task::spawn_blocking(connect).await.unwrap()
                    }
                }
            };
            let (origin, ()) = tokio::join!(connects, ends);
            assert_eq!(origin.unwrap(), Origin::Joined);
            let line = format!("waiting for a place at server {pid}, which is full");
            says(once(&told, WaitingFor::Full, pid), &line, home.limits.connect);
        });
        home.retire();
    }
}
