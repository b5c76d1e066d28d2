//! What happens to a server when one of its tasks panics or ends.

use std::fmt::{Debug, Write as _};
use std::fs;
use std::io::{Read, Write as _};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use rendezvous_ipc::proto::handshake::SERVER_PROOF;
use rendezvous_ipc::{Descriptor, Origin, Policy};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::home::Named as _;
use crate::home::{Home, LONG, connected, dial, eventually, output, runtime};
use crate::program::{BOMB, COUNT, ask, hello};

crate::trials![
    an_accepting_task_that_panics_restarts_at_the_same_socket,
    an_accepting_task_that_keeps_panicking_ends_its_server_in_time,
    a_server_with_a_panicked_loop_ends_after_its_clients,
    a_dialect_server_with_a_panicked_loop_ends_after_its_clients,
    a_server_by_hand_whose_loop_panics_returns_that,
    a_server_without_its_handlers_thread_ends,
    an_internal_server_without_its_handlers_thread_is_replaced,
    a_handshake_that_panics_ends_only_its_own_connection,
    a_server_that_may_not_ask_for_its_limits_serves,
];

/// Panics when it is dropped, this many times, so that it also ends the thread that catches the first panic.
pub struct Bomb(pub u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Bomb(self.0 - 1));
        }
    }
}

/// Prints all that the server logs. Panics in the task that logs the words of `panics-at=WORDS`, `panics=N` times or
/// always.
pub fn subscribe(args: &[String]) {
    let argument = |name| args.iter().find_map(|arg| arg.strip_prefix(name));
    if let Some(at) = argument("panics-at=") {
        let left = argument("panics=").map_or(u32::MAX, |times| times.parse().unwrap());
        tracing::subscriber::set_global_default(Panics { at: at.into(), left: left.into() }).unwrap();
    }
}

struct Panics {
    at: String,
    left: AtomicU32,
}

impl Subscriber for Panics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("rendezvous_ipc::")
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let _ = writeln!(std::io::stderr(), "{}{}", fields.message, fields.rest);
        let less = |left: u32| left.checked_sub(1);
        let panics =
            fields.message == self.at && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        assert!(!panics, "this line must not be logged");
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => write!(self.rest, " {name}={value:?}").unwrap(),
        }
    }
}

const ACCEPTING: &str = "panics-at=accepting again in a moment";

fn log(home: &Home) -> String {
    fs::read_to_string(home.path().join("count.log")).unwrap()
}

fn eventually_logged(home: &Home, what: &str, times: usize) {
    eventually(what, || log(home).matches(what).count() >= times);
}

/// Limits a server to its open descriptors, or lifts the limit.
fn let_open(server: u32, nothing: bool) {
    let plenty = getrlimit(Resource::Nofile);
    let current = if nothing { Some(3) } else { plenty.current };
    prlimit(Pid::from_raw(server as i32), Resource::Nofile, Rlimit { current, ..plenty }).unwrap();
}

/// Has a server restore its record twice, so that it has been accepting for some time: two repairs are a check apart.
fn have_it_check(home: &Home) {
    for _ in 0..2 {
        fs::write(home.point(), b"").unwrap();
        eventually("the record is restored", || !fs::read(home.point()).unwrap().is_empty());
    }
}

fn an_accepting_task_that_panics_restarts_at_the_same_socket() {
    let home = Home::new();
    let service = home.service_by(&["@serve", ACCEPTING, "panics=1"]);
    runtime().block_on(async {
        let first = connected(&service).await;
        let server = first.outcome().pid();
        have_it_check(&home);
        let address = home.address();
        let_open(server, true);
        let mut waits = dial(&address).unwrap();
        waits.write_all(&hello()).unwrap();
        eventually_logged(&home, "the task that accepts panicked: this line must not be logged", 1);
        let_open(server, false);
        waits.set_read_timeout(Some(LONG)).unwrap();
        waits.read_exact(&mut [0; SERVER_PROOF]).expect("the client that waited meanwhile is answered");
        assert_eq!(ask(&mut first.into_stream(), COUNT).await.unwrap(), 1, "the connected client notices nothing");
        let next = connected(&service).await;
        assert_eq!((next.outcome().origin, next.outcome().pid()), (Origin::Joined, server));
        assert_eq!(home.address(), address);
    });
    home.retire();
}

fn an_accepting_task_that_keeps_panicking_ends_its_server_in_time() {
    let home = Home::new();
    let service = home.service_by(&["@serve", ACCEPTING, "flushes"]);
    let short_of_all = |server| {
        have_it_check(&home);
        let_open(server, true);
        let waits = dial(&home.address()).unwrap();
        // The task was restarted, perhaps more than once on a slow machine, and then the server retires.
        eventually("the server retires", || {
            let log = log(&home);
            let (before, after) = log.rsplit_once("a task is dead").unwrap_or_default();
            before.contains("the task that accepts panicked: this line must not be logged") && after.contains("\nLock ")
        });
        let_open(server, false);
        drop(waits);
    };
    assert_it_drains_and_ends(&home, &service, short_of_all);
}

fn a_server_with_a_panicked_loop_ends_after_its_clients() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "panics-at=Check", "flushes"]);
    assert_it_drains_and_ends(&home, &service, |_| {
        eventually_logged(&home, "the server's loop panicked: this line must not be logged", 1);
    });
}

/// A server that has lost a task serves its client to the end, ends its handler and then its process. No other server
/// serves before that.
fn assert_it_drains_and_ends(home: &Home, service: &Descriptor, lose: impl FnOnce(u32)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let first = connected(service).await;
        let server = first.outcome().pid();
        let mut first = first.into_stream();
        lose(server);
        let next = tokio::spawn({
            let service = service.clone();
            async move { service.connect().await }
        });
        for count in 1..=3 {
            assert_eq!(ask(&mut first, COUNT).await.unwrap(), count, "the connected client notices nothing");
        }
        assert!(!next.is_finished(), "its successor waits until it has drained");
        drop(first);
        let next = next.await.unwrap().unwrap();
        assert!(matches!(next.outcome().origin, Origin::StartedExternal(_)), "{}", next.outcome());
        assert_eq!(fs::read(home.path().join("flushed")).unwrap(), b"all of it", "the handler has ended before");
        assert_ne!(next.outcome().pid(), server);
        eventually("the server's process has ended", || !home.processes().contains(&server));
        eventually_logged(home, "the process ends", 1);
        drop(next);
        // The new server may panic in the same way.
        let _ = service.retire().await;
    });
    home.wait_for_all_exits();
}

fn a_dialect_server_with_a_panicked_loop_ends_after_its_clients() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "sequoia", "panics-at=Check", "flushes"]);
    runtime().block_on(async {
        let mut first = connected(&service).await.into_stream();
        eventually_logged(&home, "the server's loop panicked: this line must not be logged", 1);
        assert_eq!(ask(&mut first, COUNT).await.unwrap(), 1, "the connected client notices nothing");
    });
    home.wait_for_all_exits();
    assert_eq!(fs::read(home.path().join("flushed")).unwrap(), b"all of it");
}

fn a_server_by_hand_whose_loop_panics_returns_that() {
    for dialect in ["native", "sequoia"] {
        let home = Home::new();
        let mut server = home.command(&["@serve", dialect, "panics-at=Check", "flushes"]);
        server.stderr(Stdio::piped());
        let ended = output(server);
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.ends_with("please report it: the server's loop panicked: this line must not be logged\n"),
            "{stderr}"
        );
        assert_eq!(fs::read(home.path().join("flushed")).unwrap(), b"all of it", "{dialect}");
    }
}

fn a_server_without_its_handlers_thread_ends() {
    for args in [&["@serve"][..], &["@serve", "sequoia"]] {
        let home = Home::new();
        let service = home.service_by(args);
        runtime().block_on(async {
            let mut first = connected(&service).await.into_stream();
            ask(&mut first, BOMB).await.expect_err("the handler is gone");
        });
        home.wait_for_all_exits();
        assert_eq!(fs::read(home.point()).unwrap(), b"", "the server withdrew its record");
        assert!(log(&home).contains("the thread of the handlers ended"), "{}", log(&home));
    }
}

fn an_internal_server_without_its_handlers_thread_is_replaced() {
    let home = Home::new();
    let service = home.service();
    runtime().block_on(async {
        let connect = || service.connect_with_policy(Policy::Internal);
        let mut first = connect().await.unwrap().into_stream();
        let mut second = connect().await.unwrap().into_stream();
        assert_eq!(ask(&mut first, COUNT).await.unwrap(), 1);
        ask(&mut first, BOMB).await.expect_err("the handler is gone");
        ask(&mut second, COUNT).await.expect_err("all its connections end");
        // The connections are still open, and keep nothing alive.
        let mut third = connect().await.unwrap().into_stream();
        assert_eq!(ask(&mut third, COUNT).await.unwrap(), 1, "a new handler answers");
    });
}

fn a_handshake_that_panics_ends_only_its_own_connection() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "panics-at=Answer", "panics=1"]);
    runtime().block_on(async {
        let first = connected(&service).await;
        assert!(!first.outcome().suspicions.is_empty(), "one dial failed: {}", first.outcome());
        assert_eq!(connected(&service).await.outcome().origin, Origin::Joined);
    });
    assert!(!log(&home).contains("a task is dead"), "{}", log(&home));
    home.retire();
}

/// Refuses to report this process's limits, and changes of files, as a sandbox does.
pub fn refuse_limits_and_reports() {
    let asks = [libc::SYS_prlimit64, libc::SYS_getrlimit, libc::SYS_inotify_init1].map(|call| (call, Vec::new()));
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(asks.into(), SeccompAction::Allow, refused, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter_all_threads(&filter).unwrap();
}

fn a_server_that_may_not_ask_for_its_limits_serves() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "filtered"]);
    for count in 1..=2 {
        assert_eq!(home.try_count(&service).unwrap().1, count);
    }
    assert!(!log(&home).contains("panicked"), "{}", log(&home));
    home.retire();
}
