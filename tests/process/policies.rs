//! The caller's policy, on every path.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rendezvous_ipc::{Connection, Descriptor, Error, Limits, Origin, Peer, Policy, Stream};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::home::Named as _;
use crate::home::{Home, LONG, Stranger, copy_program, kill, process, runtime, stop};
use crate::program::{COUNT, GOODBYE, RETIRE, ask};

crate::trials![
    an_internal_server_is_shared_by_all_connects_and_ends_with_the_last,
    a_connect_that_arrives_as_the_last_user_leaves_is_served,
    an_internal_server_that_retires_costs_no_connect,
    a_session_of_an_internal_server_learns_that_it_retires,
    a_full_internal_server_lets_a_client_wait_and_says_that_it_is_full,
    handlers_of_one_point_in_one_process_never_run_together,
    an_internal_server_has_no_successor_while_a_stream_of_it_is_used,
    a_guard_keeps_the_internal_server_of_its_client,
    a_robust_client_is_no_substitute_for_a_newer_program,
    the_error_names_both_failures_if_the_fallback_fails_too,
    an_internal_server_needs_no_home,
    a_registered_server_is_joined_whatever_the_policy,
    robust_falls_back_after_each_listed_failure_and_reports_it,
    robust_never_starts_a_second_server_beside_one_that_may_live,
    the_callers_policy_is_kept_on_every_path,
    a_service_without_a_handler_cannot_fall_back,
];

async fn connected(service: &Descriptor, policy: Policy) -> Connection {
    service.connect_with_policy(policy).await.unwrap()
}

fn an_internal_server_is_shared_by_all_connects_and_ends_with_the_last() {
    let home = Home::new();
    let service = home.service();
    runtime().block_on(async {
        let one = connected(&service, Policy::Internal).await;
        let two = connected(&service, Policy::Internal).await;
        assert_eq!((one.outcome().origin, two.outcome().origin), (Origin::StartedInternal, Origin::JoinedInternal));
        assert_eq!(one.outcome().to_string(), "started a server in this process");
        let (mut one, mut two) = (one.into_stream(), two.into_stream());
        assert_eq!((ask(&mut one, COUNT).await.unwrap(), ask(&mut two, COUNT).await.unwrap()), (1, 2));
        drop((one, two));
        let again = connected(&service, Policy::Internal).await;
        assert_eq!(again.outcome().origin, Origin::StartedInternal);
        assert_eq!(ask(&mut again.into_stream(), COUNT).await.unwrap(), 1, "a new server starts counting again");
    });
    assert!(home.processes().is_empty() && !home.path().exists(), "no process was started, and no file created");
}

fn a_connect_that_arrives_as_the_last_user_leaves_is_served() {
    let home = Home::new();
    let service = home.service();
    multi().block_on(async {
        let users: Vec<_> = (0..8)
            .map(|_| {
                let service = service.clone();
                tokio::spawn(async move {
                    for _ in 0..50 {
                        let connection = connected(&service, Policy::Internal).await;
                        ask(&mut connection.into_stream(), COUNT).await.expect("the client is served");
                    }
                })
            })
            .collect();
        for user in users {
            user.await.unwrap();
        }
    });
}

fn multi() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn an_internal_server_that_retires_costs_no_connect() {
    let home = Home::new();
    multi().block_on(async {
        let users: Vec<_> = (0..4)
            .map(|_| {
                let service = home.service();
                tokio::spawn(async move {
                    for _ in 0..25 {
                        let connection = connected(&service, Policy::Internal).await;
                        // A retirement that another client requested may cut off the answer.
                        let _ = ask(&mut connection.into_stream(), RETIRE).await;
                    }
                })
            })
            .collect();
        for user in users {
            user.await.unwrap();
        }
    });
}

fn a_session_of_an_internal_server_learns_that_it_retires() {
    let home = Home::new();
    multi().block_on(async {
        let mut waits = connected(&home.service(), Policy::Internal).await.into_stream();
        assert_eq!(ask(&mut waits, GOODBYE).await.unwrap(), 0);
        let _ = ask(&mut connected(&home.service(), Policy::Internal).await.into_stream(), RETIRE).await;
        let mut goodbye = String::new();
        timeout(LONG, waits.read_to_string(&mut goodbye)).await.expect("the session ends").unwrap();
        assert_eq!(goodbye, "its retirement was requested");
    });
}

fn a_full_internal_server_lets_a_client_wait_and_says_that_it_is_full() {
    let mut home = Home::new();
    home.limits.max_clients = Some(1);
    let service = home.service();
    multi().block_on(async {
        let one = connected(&service, Policy::Internal).await;
        let next = tokio::spawn({
            let service = service.clone();
            async move { connected(&service, Policy::Internal).await }
        });
        tokio::time::sleep(home.limits.patience * 2).await;
        assert!(!next.is_finished(), "the server is full, which is not a failure");
        drop(one);
        let next = next.await.unwrap();
        assert_eq!(next.outcome().origin, Origin::JoinedInternal);
        // The server says so after half of its own `patience`, which is less than this client's time.
        let hasty = service.limits(home.limits.divided_by(4));
        match hasty.connect_with_policy(Policy::Internal).await.unwrap_err() {
            Error::Full { pid, clients: 1, .. } => assert_eq!(pid, next.outcome().pid),
            other => panic!("{other}"),
        }
    });
}

fn handlers_of_one_point_in_one_process_never_run_together() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    struct Alive;
    impl Drop for Alive {
        fn drop(&mut self) {
            // This takes longer than `patience`, and a successor waits all the same.
            std::thread::sleep(Home::new().limits.patience * 3 / 2);
            ALIVE.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let home = Home::new();
    let service = Descriptor::new(&home.context(), "count").unwrap().limits(home.limits);
    let service = service.stream_handler(async |_server| {
        assert_eq!(ALIVE.fetch_add(1, Ordering::SeqCst), 0, "one handler at a time");
        let alive = Rc::new(Alive);
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(async move |_peer, _stream| drop(alive.clone()))
    });
    multi().block_on(async {
        for _ in 0..3 {
            // The connect is dropped while the handler starts, or after a moment of use.
            let early = tokio::time::timeout(Duration::from_millis(20), service.connect_with_policy(Policy::Internal));
            assert!(early.await.is_err());
            drop(connected(&service, Policy::Internal).await);
        }
    });
}

fn an_internal_server_has_no_successor_while_a_stream_of_it_is_used() {
    let home = Home::new();
    let service = Descriptor::new(&home.context(), "count").unwrap().limits(home.limits);
    let (give, given) = std::sync::mpsc::channel();
    let service = service.stream_handler(async move |_server| {
        let give = give.clone();
        Ok(async move |_peer, stream: Stream| give.send(stream).unwrap())
    });
    multi().block_on(async {
        drop(connected(&service, Policy::Internal).await);
        let stream = given.recv_timeout(Duration::from_secs(30)).unwrap();
        let mut next = Box::pin(service.connect_with_policy(Policy::Internal));
        assert!(tokio::time::timeout(home.limits.drain * 3 / 2, &mut next).await.is_err(), "the old one is in use");
        drop(stream);
        assert_eq!(next.await.unwrap().outcome().origin, Origin::StartedInternal);
    });
}

fn a_guard_keeps_the_internal_server_of_its_client() {
    let home = Home::new();
    let service = Descriptor::new(&home.context(), "count").unwrap().limits(home.limits);
    let service = service.stream_handler(async |_server| Ok(async |_peer, _stream: Stream| {}));
    multi().block_on(async {
        let connected = async || connected(&service, Policy::Internal).await;
        let (socket, guard) = connected().await.into_stream().into_std().unwrap();
        drop(socket);
        assert_eq!(connected().await.outcome().origin, Origin::JoinedInternal);
        drop(guard);
        assert_eq!(connected().await.outcome().origin, Origin::StartedInternal);
    });
}

fn a_robust_client_is_no_substitute_for_a_newer_program() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "version=5"]).version(1).newest(3);
    let error = runtime().block_on(service.connect_with_policy(Policy::Robust)).unwrap_err();
    assert!(matches!(error, Error::TooNew { offers: 5, newest: 3, .. }), "{error}");
    home.wait_for_all_exits();
    let service = service.version(4);
    assert!(
        matches!(runtime().block_on(service.connect()), Err(Error::Usage(_))),
        "a program must understand its own version"
    );
}

fn the_error_names_both_failures_if_the_fallback_fails_too() {
    let home = Home::new();
    let service = home.service_by(&["@exits"]).stream_handler(async |_server| {
        Err::<fn(Peer, Stream) -> std::future::Ready<()>, _>("no paper in the tray".into())
    });
    let error = runtime().block_on(service.connect_with_policy(Policy::Robust)).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.starts_with("the handler could not be built: no paper in the tray (and before that, "), "{error}");
    assert!(error.contains("exited with status 3"), "{error}");
}

fn an_internal_server_needs_no_home() {
    let home = Home::new();
    // No user can create a directory there.
    let elsewhere = home.context().with_home("/proc/rendezvous/home");
    let service = crate::program::service(&elsewhere, home.limits, &["@serve"]);
    let error = home.try_count(&service).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    runtime().block_on(async {
        let connection = connected(&service, Policy::Internal).await;
        assert_eq!(ask(&mut connection.into_stream(), COUNT).await.unwrap(), 1);
    });
}

fn a_registered_server_is_joined_whatever_the_policy() {
    let home = Home::new();
    let (server, _) = home.count();
    for policy in [Policy::External, Policy::Internal, Policy::Robust] {
        let connection = runtime().block_on(connected(&home.service(), policy));
        assert_eq!(
            (connection.outcome().origin, connection.outcome().pid()),
            (Origin::Joined, server.pid()),
            "{policy:?}"
        );
    }
    home.retire();
}

fn robust_falls_back_after_each_listed_failure_and_reports_it() {
    type Make = fn(&Home) -> Descriptor;
    let cases: [(&str, Make); 8] = [
        ("No such file", |home| home.service().program("/nowhere/counter", ["@serve"])),
        ("exited with status 3", |home| home.service_by(&["@exits"])),
        ("SIGABRT", |home| home.service_by(&["@dies"])),
        ("answered 12 bytes", |home| home.service_by(&["@talks"])),
        ("was not ready within", |home| home.service_by(&["@replies-nothing"])),
        ("without a reply", |home| home.service_by(&["@closes"])),
        ("Text file busy", |home| {
            home.make();
            let program = home.path().join("program");
            copy_program(&program);
            // This process keeps it open for writing until it ends.
            std::mem::forget(fs::File::options().write(true).open(&program).unwrap());
            home.service().program(program, ["@serve"])
        }),
        ("Permission denied", |home| {
            home.make();
            let program = home.path().join("program");
            fs::write(&program, b"").unwrap();
            home.service().program(program, ["@serve"])
        }),
    ];
    for (what, make) in cases {
        let home = Home::new();
        let service = make(&home);
        runtime().block_on(async {
            let connection = connected(&service, Policy::Robust).await;
            let outcome = connection.outcome().clone();
            assert_eq!((outcome.origin, outcome.pid()), (Origin::StartedInternal, std::process::id()), "{what}");
            let text = outcome.to_string();
            assert!(text.starts_with("started a server in this process (the server ") && text.contains(what), "{text}");
            assert_eq!(ask(&mut connection.into_stream(), COUNT).await.unwrap(), 1);
        });
        home.wait_for_all_exits();
        assert_eq!(fs::read(home.point()).unwrap(), b"", "{what}: no record is left");
    }
}

fn robust_never_starts_a_second_server_beside_one_that_may_live() {
    let mut home = Home::new();
    home.limits = Limits::default().divided_by(16);
    let robust = |service: Descriptor| runtime().block_on(service.connect_with_policy(Policy::Robust)).unwrap_err();
    let (server, _) = home.count();
    stop(server.pid());
    assert!(matches!(robust(home.service()), Error::Unresponsive { pid, .. } if pid == Some(process(server.pid()))));
    fs::write(home.point(), b"").unwrap();
    assert!(matches!(robust(home.service()), Error::Deadline { .. }), "the lifetime lock is held");
    let lock = fs::File::open(home.point()).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    assert!(matches!(robust(home.service()), Error::Deadline { .. }), "the point lock is held");
    fs2::FileExt::unlock(&lock).unwrap();
    fs::set_permissions(home.point(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(robust(home.service()), Error::Untrusted { .. }), "a local error");
    kill(&home, server.pid());
}

fn the_callers_policy_is_kept_on_every_path() {
    type Damage = fn(&Home);
    let damages: [(&str, Damage); 5] = [
        ("no record", |home| fs::remove_file(home.point()).unwrap()),
        ("empty", |home| fs::write(home.point(), b"").unwrap()),
        ("malformed", |home| fs::write(home.point(), b"rubbish").unwrap()),
        ("server gone", |_| {}),
        ("a stranger", |home| fs::write(home.point(), home.stale_record(&Stranger::silent())).unwrap()),
    ];
    for (what, damage) in damages {
        for policy in [Policy::External, Policy::Internal, Policy::Robust] {
            let home = Home::new();
            let (server, _) = home.count();
            kill(&home, server.pid());
            damage(&home);
            let missing = home.service().program("/nowhere/counter", ["@serve"]);
            match (policy, runtime().block_on(missing.connect_with_policy(policy))) {
                (Policy::External, Err(Error::Start(_))) => {}
                (Policy::Internal, Ok(connection)) if connection.outcome().origin == Origin::StartedInternal => {
                    assert!(connection.outcome().failed.is_empty(), "{what}: no process was started");
                }
                (Policy::Robust, Ok(connection)) if connection.outcome().origin == Origin::StartedInternal => {
                    assert_eq!(connection.outcome().failed.len(), 1, "{what}: a process was started");
                }
                (_, other) => panic!("{what}, {policy:?}: {other:?}"),
            }
            let connection = runtime().block_on(connected(&home.service(), policy));
            let external = matches!(connection.outcome().origin, Origin::StartedExternal(_));
            assert_eq!(external, policy != Policy::Internal, "{what}, {policy:?}");
            assert_eq!(home.processes().len(), usize::from(external), "{what}, {policy:?}");
        }
    }
}

fn a_service_without_a_handler_cannot_fall_back() {
    let home = Home::new();
    let service = Descriptor::new(&home.context(), "count").unwrap().program("/nowhere/counter", ["@serve"]);
    let connect = |policy| runtime().block_on(service.connect_with_policy(policy)).unwrap_err();
    assert!(matches!(connect(Policy::Robust), Error::Start(_)));
    assert!(matches!(connect(Policy::Internal), Error::Usage(_)));
}
