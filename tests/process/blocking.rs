//! Clients that block their thread. With `DRIVER=blocking` the other tests' clients do so, too.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rendezvous_ipc::{Error, Join, Limits, Origin, Reason, Retirement, StartFailure, Status, Termination};
use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{Home, kill, output, printed, process, runtime, signal, stop};
use crate::program::{COUNT, ask_blocking};

crate::trials![
    a_thread_that_blocks_starts_a_server_and_joins_it,
    a_dead_and_a_damaged_record_are_found_by_a_thread_that_blocks,
    a_call_that_blocks_works_in_any_thread,
    a_start_that_fails_is_told_to_a_thread_that_blocks,
    a_herd_of_clients_that_block_has_one_server,
    a_client_that_blocks_and_is_killed_at_any_step_leaves_no_server,
    a_call_that_blocks_ends_at_its_deadline_and_leaves_nothing,
    a_stopped_server_is_seen_and_ended_by_a_thread_that_blocks,
    a_thread_that_blocks_waits_for_the_exit_of_a_server,
    a_thread_that_blocks_is_told_what_it_waits_for,
];

fn a_thread_that_blocks_starts_a_server_and_joins_it() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let service = home.service_by(&["@serve", transport]);
        let first = service.connect_blocking().unwrap();
        assert_eq!(first.outcome().origin, Origin::StartedExternal(Reason::NoRecord));
        let second = service.connect_blocking().unwrap();
        assert_eq!((second.outcome().origin, second.outcome().pid()), (Origin::Joined, first.outcome().pid()));
        let (mut first, mut second) = (first.into_stream(), second.into_stream());
        assert_eq!((ask_blocking(&mut first, COUNT).unwrap(), ask_blocking(&mut second, COUNT).unwrap()), (1, 2));
        drop((first, second));
        assert!(matches!(service.inspect_blocking().unwrap(), Status::Live { .. }));
        assert!(matches!(service.retire_blocking().unwrap(), Retirement::Exited { .. }));
        home.wait_for_all_exits();
    }
}

fn a_dead_and_a_damaged_record_are_found_by_a_thread_that_blocks() {
    let home = Home::new();
    let service = home.service();
    assert!(matches!(service.join_blocking().unwrap(), Join::Absent));
    let first = service.connect_blocking().unwrap().outcome().pid();
    kill(&home, first);
    assert!(matches!(service.inspect_blocking().unwrap(), Status::Gone { .. }));
    assert!(matches!(service.join_blocking().unwrap(), Join::Absent));
    let second = service.connect_blocking().unwrap().outcome().clone();
    assert_eq!(second.origin, Origin::StartedExternal(Reason::ServerGone));
    kill(&home, second.pid());
    fs::write(home.point(), "rendezvous 2 nonsense").unwrap();
    assert!(matches!(service.inspect_blocking().unwrap(), Status::Malformed(_)));
    let third = service.connect_blocking().unwrap().outcome().clone();
    assert!(matches!(third.origin, Origin::StartedExternal(Reason::Malformed(_))), "{third}");
    home.retire();
}

fn a_call_that_blocks_works_in_any_thread() {
    let home = Home::new();
    let service = home.service();
    let blocking = service.clone();
    let in_a_task = runtime().block_on(async { service.connect_blocking() }).unwrap();
    let beside = runtime().block_on(async { tokio::task::spawn_blocking(move || blocking.connect_blocking()).await });
    let plain = thread::scope(|scope| scope.spawn(|| service.connect_blocking()).join().unwrap()).unwrap();
    let pid = in_a_task.outcome().pid();
    assert_eq!((beside.unwrap().unwrap().outcome().pid(), plain.outcome().pid()), (pid, pid));
    drop((in_a_task, plain));
    home.retire();
}

fn a_start_that_fails_is_told_to_a_thread_that_blocks() {
    let home = Home::new();
    let failure = |part: &str| match home.service_by(&[part]).connect_blocking() {
        Err(Error::Start(error)) => (error.failure, error.output),
        other => panic!("{other:?}"),
    };
    let (exits, said) = failure("@exits");
    assert!(matches!(exits, StartFailure::Exited(Some(status)) if status.code() == Some(3)), "{exits}");
    assert_eq!(said, "no space in the attic");
    let (dies, _) = failure("@dies");
    assert!(matches!(dies, StartFailure::Exited(Some(status)) if status.code().is_none()), "{dies}");
    assert!(matches!(failure("@talks").0, StartFailure::Nonsense { .. }));
    assert!(matches!(failure("@closes").0, StartFailure::Silent));
    assert!(matches!(failure("@replies-nothing").0, StartFailure::Overdue(_)));
    match home.service().program("/nowhere/counter", ["serve"]).connect_blocking() {
        Err(Error::Start(error)) => assert!(matches!(error.failure, StartFailure::CannotExecute(_))),
        other => panic!("{other:?}"),
    }
    home.wait_for_all_exits();
}

/// A client process that blocks.
fn client(home: &Home, args: &[&str]) -> Command {
    let mut client = home.command(&[&["@client"], args].concat());
    client.env("DRIVER", "blocking").stdout(Stdio::piped());
    client
}

fn a_herd_of_clients_that_block_has_one_server() {
    let home = Home::new();
    let clients: Vec<_> = (0..16).map(|_| client(&home, &["whole"]).spawn().unwrap()).collect();
    let mut counts: Vec<u64> = clients
        .into_iter()
        .map(|client| {
            let printed = printed(&client.wait_with_output().unwrap());
            printed.rsplit_once("count ").unwrap_or_else(|| panic!("{printed}")).1.parse().unwrap()
        })
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=16).collect::<Vec<_>>(), "one server has counted all");
    home.retire();
}

fn a_client_that_blocks_and_is_killed_at_any_step_leaves_no_server() {
    for step in ["Clear", "Spawn", "Await", "Verify", "Write"] {
        let home = Home::new();
        let killed = output(client(&home, &[&format!("kill-at={step}")]));
        assert!(!killed.status.success(), "{step}: {}", printed(&killed));
        home.wait_for_all_exits();
        assert_eq!(home.count().1, 1, "{step}: the next client has a server of its own");
        home.retire();
    }
}

fn a_call_that_blocks_ends_at_its_deadline_and_leaves_nothing() {
    // It holds its lifetime lock and does not answer, so the client tries until its time is over.
    let mut home = Home::new();
    let (server, _) = home.count();
    stop(server.pid());
    home.limits = Limits::default().divided_by(20);
    let before = fs::read(home.point()).unwrap();
    let began = Instant::now();
    match home.service().connect_blocking() {
        Err(Error::Unresponsive { pid, .. }) => assert_eq!(pid, Some(process(server.pid()))),
        other => panic!("{other:?}"),
    }
    let took = began.elapsed();
    assert!(took >= home.limits.connect && took < home.limits.connect + Duration::from_secs(10), "{took:?}");
    assert_eq!((fs::read(home.point()).unwrap(), home.processes()), (before, vec![server.pid()]));
    signal(server.pid(), Signal::CONT);
    home.retire();
}

fn a_stopped_server_is_seen_and_ended_by_a_thread_that_blocks() {
    let mut home = Home::new();
    let (server, _) = home.count();
    stop(server.pid());
    home.limits = Limits::default().divided_by(12);
    let service = home.service();
    assert!(matches!(service.inspect_blocking().unwrap(), Status::Unresponsive(_)));
    match service.end_unresponsive_blocking().unwrap() {
        Termination::Killed { pid, .. } => assert_eq!(pid, process(server.pid())),
        other => panic!("{other}"),
    }
    assert!(matches!(service.inspect_blocking().unwrap(), Status::Gone { .. }));
    home.limits = crate::program::limits();
    assert!(matches!(service.end_unresponsive_blocking().unwrap(), Termination::LeftAlone(Status::Gone { .. })));
}

fn a_thread_that_blocks_waits_for_the_exit_of_a_server() {
    let home = Home::new();
    let service = home.service();
    assert_eq!(service.retire_blocking().unwrap(), Retirement::NoServer);
    let connection = service.connect_blocking().unwrap();
    let pid = connection.outcome().pid;
    let mut stream = connection.into_stream();
    assert_eq!(ask_blocking(&mut stream, COUNT).unwrap(), 1);
    thread::scope(|scope| {
        let retires = scope.spawn(|| service.retire_blocking().unwrap());
        // It drains until this client is gone.
        assert_eq!(ask_blocking(&mut stream, COUNT).unwrap(), 2);
        drop(stream);
        assert_eq!(retires.join().unwrap(), Retirement::Exited { pid });
    });
    home.wait_for_all_exits();
}

fn a_thread_that_blocks_is_told_what_it_waits_for() {
    let home = Home::new();
    let (told, tells) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let service = home.service_by(&["@replies-nothing"]);
    let service = service.on_wait(move |waiting| told.lock().unwrap().send(waiting.to_string()).unwrap());
    service.connect_blocking().expect_err("it never replies");
    let first = tells.recv().unwrap();
    assert!(first.starts_with("waiting for server") && first.contains("to start"), "{first}");
    home.wait_for_all_exits();
}
