//! What a client can rely on.

use std::fs;
use std::future::Future;
use std::pin::pin;
use std::process::{Child, Stdio};
use std::task::Poll;
use std::time::Instant;

use rendezvous_ipc::{Origin, Reason, Status};
use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{Home, connected, eventually, kill, output, printed, runtime, signal, stop};
use crate::program::{COUNT, ask};

crate::trials![
    a_server_is_started_where_there_is_none_and_joined_after_that,
    a_killed_server_is_replaced_because_it_is_gone,
    fifty_clients_at_once_share_one_server,
    fifty_clients_and_three_servers_by_hand_at_once_share_one_server,
    a_thousand_connects_dropped_anywhere_leave_nothing_behind,
    a_home_that_cannot_be_used_is_named,
    a_connect_works_in_every_kind_of_runtime,
    a_connect_is_send,
    a_connect_dropped_at_any_await_leaves_nothing_behind,
    a_client_killed_at_any_step_leaves_no_process_and_no_obstacle,
    a_server_that_hangs_in_its_handler_ends_with_its_spawner,
    a_stopped_server_is_not_replaced_and_the_error_names_it,
    a_client_short_of_descriptors_reports_it_and_harms_nothing,
    a_client_that_was_short_of_descriptors_once_connects_afterwards,
    the_outcome_has_the_version_and_the_suspicions,
];

fn a_server_is_started_where_there_is_none_and_joined_after_that() {
    let home = Home::new();
    let (started, one) = home.count();
    assert_eq!((started.origin, one), (Origin::StartedExternal(Reason::NoRecord), 1));
    assert_eq!(started.to_string(), format!("started an external server (no record): pid {}", started.pid()));
    let (joined, two) = home.count();
    assert_eq!((joined.origin, joined.pid(), two), (Origin::Joined, started.pid(), 2));
    assert_eq!(home.processes(), [started.pid()]);
    home.retire();
}

fn a_killed_server_is_replaced_because_it_is_gone() {
    let home = Home::new();
    let (first, _) = home.count();
    kill(&home, first.pid());
    let (second, count) = home.count();
    assert_eq!((second.origin, count), (Origin::StartedExternal(Reason::ServerGone), 1));
    assert_ne!(first.pid(), second.pid());
    home.retire();
}

fn fifty_clients_at_once_share_one_server() {
    let home = Home::new();
    let clients: Vec<_> = (0..50).map(|_| home.command(&["@client"]).spawn().unwrap()).collect();
    assert_one_server_counted_to_fifty(clients);
    home.retire();
}

/// Returns the server's PID.
fn assert_one_server_counted_to_fifty(clients: Vec<Child>) -> u32 {
    let mut pids = Vec::new();
    let mut counts = Vec::new();
    for client in clients {
        let stdout = printed(&client.wait_with_output().unwrap());
        let (outcome, count) = stdout.rsplit_once(", count ").unwrap_or_else(|| panic!("{stdout}"));
        pids.push(outcome.rsplit_once("pid ").unwrap().1.to_owned());
        counts.push(count.parse::<u32>().unwrap());
    }
    pids.dedup();
    assert_eq!(pids.len(), 1, "{pids:?}");
    counts.sort_unstable();
    assert_eq!(counts, (1..=50).collect::<Vec<_>>());
    pids[0].parse().unwrap()
}

fn fifty_clients_and_three_servers_by_hand_at_once_share_one_server() {
    let home = Home::new();
    let mut clients = Vec::new();
    let mut servers = Vec::new();
    for number in 0..50 {
        clients.push(home.command(&["@client"]).spawn().unwrap());
        if number % 16 == 8 {
            servers.push(home.command(&["@serve"]).stderr(Stdio::piped()).spawn().unwrap());
        }
    }
    let server = assert_one_server_counted_to_fifty(clients);
    servers.retain(|by_hand| by_hand.id() != server);
    assert!(servers.len() >= 2, "one of the three may be the server");
    for by_hand in servers {
        let output = by_hand.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        assert_eq!((output.status.code(), stderr), (Some(1), format!("a server is already running: pid {server}")));
    }
    runtime().block_on(home.service().retire()).unwrap();
}

fn a_thousand_connects_dropped_anywhere_leave_nothing_behind() {
    let home = Home::new();
    let stdout = printed(&output(home.command(&["@thousand"])));
    assert!(stdout.contains("zombies 0\nleft over 0") && !stdout.contains("error"), "{stdout}");
    // At most one registered server is left, and all locks are free.
    let (_, count) = home.count();
    assert_eq!(count, 1);
    home.retire();
}

fn a_home_that_cannot_be_used_is_named() {
    let home = Home::new();
    let context = home.context().with_home("/proc/rendezvous/home");
    let error = home.fail(&crate::program::service(&context, home.limits, &["@serve"])).to_string();
    assert_eq!(error, "cannot use /proc/rendezvous");
    fs::write(home.path(), b"a file").unwrap();
    let error = format!("{:#}", home.fail(&home.service()));
    let remedy = "(something above it is no directory: use another home)";
    let point = home.point();
    assert_eq!(error, format!("cannot use {} {remedy}: Not a directory (os error 20)", point.display()));
    let mut homeless = home.command(&["@client"]);
    homeless = {
        let mut command = std::process::Command::new(homeless.get_program());
        command.arg("@client").env_remove("HOME").env_remove("XDG_DATA_HOME").stderr(Stdio::piped());
        command
    };
    let output = output(homeless);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("set HOME or XDG_DATA_HOME, or give --home DIRECTORY"), "{stderr}");
}

fn a_connect_works_in_every_kind_of_runtime() {
    let home = Home::new();
    home.count();
    let multi = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let service = home.service();
    let count = multi.block_on(async {
        let task = tokio::spawn(async move { connected(&service).await });
        ask(&mut task.await.unwrap().into_stream(), COUNT).await.unwrap()
    });
    assert_eq!(count, 2);
    home.retire();
}

fn a_connect_is_send() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let service = Home::new().service();
    drop(send(service.connect()));
    drop(send(service.inspect()));
    drop(send(service.retire()));
    drop(send(service.end_unresponsive()));
    drop(send(service.serve()));
}

/// Drops a connect after this many polls. Returns whether it had ended.
fn drop_after(home: &Home, polls: usize) -> bool {
    runtime().block_on(async {
        let service = home.service();
        let mut connect = pin!(service.connect());
        let mut left = polls;
        std::future::poll_fn(move |context| {
            if left == 0 {
                return Poll::Ready(false);
            }
            left -= 1;
            connect.as_mut().poll(context).map(|connection| connection.is_ok())
        })
        .await
    })
}

fn a_connect_dropped_at_any_await_leaves_nothing_behind() {
    let home = Home::new();
    let mut polls = 0;
    while !drop_after(&home, polls) {
        polls += 1;
        // A server that was started is either registered, and joined by the next client, or gone.
        let lock = std::fs::File::options().create(true).truncate(false).write(true).open(home.point());
        if let Ok(lock) = lock {
            fs2::FileExt::try_lock_exclusive(&lock).expect("the lock is free");
            fs2::FileExt::unlock(&lock).unwrap();
            eventually("only a registered server is left", || match std::fs::read(home.point()) {
                Ok(record) if !record.is_empty() => home.processes() == [home.record().pid()],
                _ => home.processes().is_empty(),
            });
        }
        for pid in home.processes() {
            kill(&home, pid);
        }
        assert!(polls < 1000, "a connect ends");
    }
    // Over TCP it also awaits the connection. A proof or welcome that has already arrived is not awaited.
    assert!(polls >= 2, "it awaits at least the reply: {polls} polls");
    home.retire();
}

fn a_client_killed_at_any_step_leaves_no_process_and_no_obstacle() {
    let steps = [
        "Read", "Lock", "Reread", "Probe", "Clear", "Spawn", "Await", "Verify", "Write", "Confirm", "Dial", "Hello",
        "Prove", "Welcome", "Unlock", "Done",
    ];
    for (number, step) in steps.into_iter().enumerate() {
        let home = Home::new();
        let client = output(home.command(&["@client", &format!("kill-at={step}")]));
        assert_eq!(client.status.code(), None, "killed before {step}");
        let registered = number > steps.iter().position(|step| *step == "Confirm").unwrap();
        let left = if registered { 1 } else { 0 };
        eventually(&format!("{left} processes after a kill before {step}"), || home.processes().len() == left);
        let begun = Instant::now();
        let (outcome, count) = home.count();
        assert_eq!(count, 1, "before {step}: {outcome}");
        assert_eq!(outcome.origin == Origin::Joined, registered, "before {step}: {outcome}");
        assert!(begun.elapsed() < home.limits.connect, "before {step}");
        home.retire();
    }
}

fn a_server_that_hangs_in_its_handler_ends_with_its_spawner() {
    let home = Home::new();
    let client = output(home.command(&["@client", "server:hangs", "kill-at=Await"]));
    assert_eq!(client.status.code(), None, "killed while its server hangs");
    let begun = Instant::now();
    home.wait_for_all_exits();
    assert!(begun.elapsed() < home.limits.start / 2, "it ends at once, before its start deadline");
    let (_, count) = home.count();
    assert_eq!(count, 1);
    home.retire();
}

fn a_stopped_server_is_not_replaced_and_the_error_names_it() {
    let home = Home::new();
    let (server, _) = home.count();
    stop(server.pid());
    let error = home.fail(&home.service()).to_string();
    assert!(
        error.contains(&format!("(pid {})", server.pid())) && error.contains("sent nothing in time, at Prove"),
        "{error}"
    );
    assert_eq!(home.processes(), [server.pid()]);
    match runtime().block_on(home.service().inspect()).unwrap() {
        Status::Unresponsive(suspicion) => assert_eq!(suspicion.pid(), server.pid()),
        status => panic!("{status}"),
    }
    signal(server.pid(), Signal::CONT);
    let (joined, count) = home.count();
    assert_eq!((joined.origin, joined.pid(), count), (Origin::Joined, server.pid(), 2));
    home.retire();
}

fn a_client_short_of_descriptors_reports_it_and_harms_nothing() {
    let home = Home::new();
    let (server, _) = home.count();
    let program = std::env::current_exe().unwrap();
    let mut failures = 0;
    for descriptors in 3..16 {
        let limited = format!("ulimit -n {descriptors}; exec \"$0\" @client --home \"$1\"");
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", &limited]).arg(&program).arg(home.path());
        let output = output({
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
            command
        });
        let text = printed(&output);
        let joined = text.starts_with("joined an external server");
        // With too few descriptors for the runtime, the client panics before it calls this crate.
        assert!(joined || text.contains("Too many open files") || text.is_empty(), "{descriptors}: {text}");
        failures += usize::from(text.contains("Too many open files"));
        assert_eq!(home.record().pid(), server.pid());
    }
    assert!(failures > 0, "no client was short of descriptors");
    assert_eq!(home.processes(), [server.pid()]);
    home.retire();
}

fn a_client_that_was_short_of_descriptors_once_connects_afterwards() {
    let home = Home::new();
    let (server, _) = home.count();
    let stdout = printed(&output(home.command(&["@starved"])));
    let (short, joined) = stdout.split_once('\n').unwrap_or_else(|| panic!("{stdout}"));
    assert!(short.contains("Too many open files"), "{short}");
    assert_eq!(joined, format!("joined an external server: pid {}", server.pid()));
    home.retire();
}

fn the_outcome_has_the_version_and_the_suspicions() {
    let home = Home::new();
    let (first, _) = home.count();
    assert_eq!((first.version, first.clients, first.suspicions.len()), (7, 1, 0));
    kill(&home, first.pid());
    let (second, _) = home.count();
    let [suspicion] = &second.suspicions[..] else { panic!("{:?}", second.suspicions) };
    assert_eq!(
        suspicion.to_string(),
        format!("{} (pid {}) refused the connection, at Dial", suspicion.address, first.pid())
    );
    home.retire();
}
