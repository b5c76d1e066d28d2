//! An unresponsive server is ended only by explicit choice, and no other process is.

use std::fs;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::pin;
use std::process::{Child, Command};
use std::task::Poll;
use std::time::Instant;

use rendezvous_ipc::proto::record::Record;
use rendezvous_ipc::proto::unresponsive::SILENCES;
use rendezvous_ipc::{
    Descriptor, DialFailure, Error, Limits, NotHung, Origin, Reason, Sign, Stage, Status, Termination,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open};

use crate::attack::Attacker;
use crate::home::Named as _;
use crate::home::{Home, connected, dial, eventually, kill, process, runtime, signal, stop};

crate::trials![
    a_stopped_server_is_killed_on_demand_and_then_replaced,
    a_blocked_server_is_killed_at_a_socket_and_at_a_port,
    a_server_that_answers_is_not_ended,
    a_server_that_answers_after_a_silence_is_not_ended,
    a_busy_server_that_does_not_answer_is_reported_and_not_killed,
    a_server_that_drains_and_could_not_withdraw_its_record_is_not_ended,
    a_server_whose_queue_is_full_and_does_not_move_is_ended,
    a_pid_that_was_used_again_is_not_killed,
    ending_a_server_that_is_gone_or_never_was_succeeds,
    a_server_whose_lifetime_lock_cannot_be_asked_is_not_ended,
    a_server_whose_lock_is_shared_by_a_fork_is_not_taken_for_gone,
    an_ending_dropped_at_any_await_leaves_no_lock,
];

fn end(home: &Home) -> Result<Termination, Error> {
    runtime().block_on(home.service().end_unresponsive())
}

fn a_stopped_server_is_killed_on_demand_and_then_replaced() {
    let home = Home::new();
    let (server, _) = home.count();
    stop(server.pid());
    let record = home.record();
    let begun = Instant::now();
    let ended = end(&home).unwrap();
    assert_eq!(ended, Termination::Killed { pid: process(server.pid()), sign: Sign::Stopped });
    assert_eq!(ended.to_string(), format!("ended: pid {}, for it was stopped", server.pid()));
    assert!(begun.elapsed() >= home.limits.patience * SILENCES, "after several silences: {:?}", begun.elapsed());
    assert!(begun.elapsed() < home.limits.connect, "{:?}", begun.elapsed());
    let life = fs::File::open(home.path().join("count.life")).unwrap();
    fs2::FileExt::try_lock_shared(&life).expect("the lifetime lock is free");
    fs2::FileExt::unlock(&life).unwrap();
    assert_eq!(home.record(), record, "the record was not cleared");
    home.wait_for_all_exits();
    let (next, count) = home.count();
    assert_eq!((next.origin, count), (Origin::StartedExternal(Reason::ServerGone), 1));
    home.retire();
}

fn a_blocked_server_is_killed_at_a_socket_and_at_a_port() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let service = home.service_by(&["@serve", "block-at=Check", transport]);
        let (server, _) = home.try_count(&service).unwrap();
        wait_for_silence(&service);
        let ended = end(&home).unwrap();
        assert_eq!(ended, Termination::Killed { pid: process(server.pid()), sign: Sign::NoTime });
        let why = "its serving thread got no CPU time";
        assert_eq!(ended.to_string(), format!("ended: pid {}, for {why}", server.pid()));
        home.wait_for_all_exits();
    }
}

fn wait_for_silence(service: &Descriptor) {
    eventually("the serving thread does not answer", || match runtime().block_on(service.inspect()).unwrap() {
        Status::Unresponsive(suspicion) => suspicion.failure == DialFailure::TimedOut,
        _ => false,
    });
}

fn a_server_whose_queue_is_full_and_does_not_move_is_ended() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "busy-at=Check", "tcp"]);
    let (server, _) = home.try_count(&service).unwrap();
    wait_for_silence(&service);
    let mut crowd = Attacker::new(&["@crowd", &home.address()]);
    assert!(crowd.next() > 100, "connections wait in the queue");
    assert_eq!(end(&home).unwrap(), Termination::Killed { pid: process(server.pid()), sign: Sign::FullQueue });
    home.wait_for_all_exits();
}

fn a_server_that_answers_after_a_silence_is_not_ended() {
    let home = Home::new();
    let (server, _) = home.count();
    stop(server.pid());
    let left = runtime().block_on(async {
        let service = home.service();
        let second = async {
            // One thread runs all these timers: this one ends before that of the second dial.
            tokio::time::sleep(home.limits.patience * 3 / 2).await;
            signal(server.pid(), Signal::CONT);
        };
        tokio::join!(service.end_unresponsive(), second).0.unwrap()
    });
    assert!(
        matches!(left, Termination::LeftAlone(Status::Live { pid, .. }) if pid == Some(process(server.pid()))),
        "{left}"
    );
    home.retire();
}

fn a_busy_server_that_does_not_answer_is_reported_and_not_killed() {
    let mut home = Home::new();
    let service = home.service_by(&["@serve", "busy-at=Check"]);
    let (server, _) = home.try_count(&service).unwrap();
    wait_for_silence(&service);
    home.limits = Limits::default().divided_by(8);
    let error = end(&home).unwrap_err();
    let text = error.to_string();
    let Error::NotHung { pid, suspicion, waited, found, .. } = error else { panic!("{text}") };
    let pid = pid.unwrap().get();
    assert_eq!((pid, suspicion.failure, found), (server.pid(), DialFailure::TimedOut, NotHung::Runs));
    assert!(waited >= home.limits.patience * SILENCES, "{text}");
    let tried = format!("{} sent nothing in time, at {}, tried for {waited:.1?}", suspicion.address, suspicion.stage);
    let why = format!("the server (pid {pid}) does not answer ({tried}) and was not ended");
    assert!(
        text.starts_with(&format!("{why}, for it goes on: it may be busy, or others crowd it: try again")),
        "{text}"
    );
    assert_eq!(home.processes(), [pid]);
    kill(&home, pid);
}

fn a_server_that_drains_and_could_not_withdraw_its_record_is_not_ended() {
    let home = Home::new();
    let client = runtime().block_on(connected(&home.service()));
    let pid = client.outcome().pid();
    let lock = fs::File::options().read(true).write(true).open(home.point()).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    signal(pid, Signal::TERM);
    let address = home.address();
    eventually("the server no longer listens", || dial(&address).is_err());
    fs2::FileExt::unlock(&lock).unwrap();
    match end(&home).unwrap_err() {
        Error::NotHung { pid: spared, suspicion, found, .. } => {
            assert_eq!((spared, suspicion.failure), (Some(process(pid)), DialFailure::Refused));
            assert_eq!(found, NotHung::Draining);
        }
        other => panic!("{other}"),
    }
    drop(client);
    home.wait_for_all_exits();
}

fn a_server_that_answers_is_not_ended() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "clients=1"]);
    let client = runtime().block_on(connected(&service));
    let pid = client.outcome().pid();
    // The server is full, but it answers.
    match end(&home).unwrap() {
        Termination::LeftAlone(Status::Live { pid: left, clients: 1, .. }) => assert_eq!(left, Some(process(pid))),
        other => panic!("{other}"),
    }
    stop(pid);
    signal(pid, Signal::CONT);
    assert!(matches!(end(&home).unwrap(), Termination::LeftAlone(Status::Live { .. })), "the server answers again");
    assert_eq!(home.processes(), [pid]);
    drop(client);
    home.retire();
}

fn a_pid_that_was_used_again_is_not_killed() {
    // The kernel names the process that listens at a Unix socket.
    let mut home = Home::new();
    home.server = &["@serve", "tcp"];
    let (server, _) = home.count();
    stop(server.pid());
    let record = home.record();
    let mut bystander = Bystander(Command::new("sleep").arg("600").spawn().unwrap());
    let gone = {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    };
    let thread = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().file_name());
    let thread = thread.filter_map(|id| id.to_str()?.parse().ok()).find(|id| *id != std::process::id());
    let own = Record { pid: std::process::id(), ..record.clone() };
    let began = began(std::process::id());
    const NOT_HERE: &str =
        "if it is in another PID namespace (a container), end it there; if not, try again in some seconds";
    let (anothers, nobodys) = (
        format!("that number is another process's here: {NOT_HERE}"),
        format!("no process has that number here: {NOT_HERE}"),
    );
    let mut cases = vec![
        (Record { pid: bystander.0.id(), started: self::began(bystander.0.id()) - 1, ..record.clone() }, &anothers[..]),
        (Record { started: record.started - 1, ..record.clone() }, &anothers),
        (Record { pid: gone, ..record.clone() }, &nobodys),
        (Record { pid: thread.expect("a test has a thread"), ..record.clone() }, &nobodys),
        (Record { pid: u32::MAX, ..record.clone() }, &nobodys),
        (Record { started: 0, ..record.clone() }, "when it began is not known: see what it is, and end it by hand"),
        (Record { started: began - 1, ..own.clone() }, &anothers),
        (Record { started: began, ..own.clone() }, "it is this process: let it return from `serve`, or exit"),
        (Record { started: 0, ..own }, "it is this process: let it return from `serve`, or exit"),
    ];
    let stopped = bystander.0.id();
    let by_chance = Record { pid: stopped, started: self::began(stopped), ..record.clone() };
    let not_the_server = format!("the process of that number does not hold its lifetime lock: {NOT_HERE}");
    if proc_locks_names(&home) {
        // Records can be like this when their servers are in two PID namespaces.
        stop(stopped);
        cases.push((by_chance, &not_the_server));
    }
    for (record, why) in cases {
        // The server that holds the lifetime lock is stopped, so it does not restore its own record.
        fs::write(home.point(), &*record.line()).unwrap();
        let error = end(&home).unwrap_err();
        assert!(
            matches!(error, Error::Unidentified { pid, .. } if pid == rendezvous_ipc::Pid::new(record.pid())),
            "{error}"
        );
        let named = rendezvous_ipc::Pid::new(record.pid()).map_or_else(String::new, |pid| format!(" (pid {pid})"));
        let text = format!("the server{named} does not answer and was not ended, for {why}");
        assert!(error.to_string().starts_with(&text), "{error}");
    }
    assert_eq!(bystander.0.try_wait().unwrap(), None, "the bystander lives");
    assert_eq!(home.processes(), [server.pid()], "the server lives");
    fs::write(home.point(), &*record.line()).unwrap();
    assert_eq!(
        end(&home).unwrap(),
        Termination::Killed { pid: process(server.pid()), sign: Sign::Stopped },
        "with its own record, the server is ended"
    );
}

/// The start time of a process, as in a record.
fn began(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap()
}

/// Returns whether `/proc/locks` names the holder of a home's lifetime lock: some file systems use their own device numbers there.
fn proc_locks_names(home: &Home) -> bool {
    let life = fs::metadata(home.path().join("count.life")).unwrap().ino();
    fs::read_to_string("/proc/locks").unwrap().contains(&format!(":{life} "))
}

struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ending_a_server_that_is_gone_or_never_was_succeeds() {
    let home = Home::new();
    assert_eq!(end(&home).unwrap(), Termination::LeftAlone(Status::Absent));
    assert!(!home.path().exists(), "no file was created");
    let (server, _) = home.count();
    kill(&home, server.pid());
    let gone = end(&home).unwrap();
    assert_eq!(gone, Termination::LeftAlone(Status::Gone { pid: Some(process(server.pid())) }));
    assert_eq!(gone.to_string(), format!("left alone: gone: pid {}", server.pid()));
    assert_eq!(home.record().pid(), server.pid(), "the record was not cleared");
}

fn a_server_whose_lifetime_lock_cannot_be_asked_is_not_ended() {
    let mut home = Home::new();
    let (server, _) = home.count();
    home.limits = Limits::default().divided_by(16);
    stop(server.pid());
    let lock = fs::File::open(home.point()).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    match end(&home) {
        Err(Error::Deadline { stage: Stage::Lock, suspicion: Some(suspicion), .. }) => {
            assert_eq!(suspicion.pid(), server.pid())
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(home.processes(), [server.pid()]);
    fs2::FileExt::unlock(&lock).unwrap();
    assert_eq!(end(&home).unwrap(), Termination::Killed { pid: process(server.pid()), sign: Sign::Stopped });
}

fn a_server_whose_lock_is_shared_by_a_fork_is_not_taken_for_gone() {
    let mut home = Home::new();
    let (server, _) = home.count();
    home.limits = Limits::default().divided_by(16);
    stop(server.pid());
    // A fork of the server would share the open file, and with it the lock.
    let shared = shared(&home.path().join("count.life"), server.pid());
    match end(&home) {
        Err(error @ Error::Deadline { stage: Stage::Kill, .. }) => {
            assert!(error.to_string().contains("forked"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    home.wait_for_all_exits();
    drop(shared);
    assert_eq!(end(&home).unwrap(), Termination::LeftAlone(Status::Gone { pid: Some(process(server.pid())) }));
}

/// Shares an open file of a process, which has it open once.
pub fn shared(path: &Path, pid: u32) -> OwnedFd {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|fd| fd.unwrap().path());
    let open: Vec<_> = open.filter(|fd| fs::read_link(fd).is_ok_and(|file| file == path)).collect();
    let [file] = &open[..] else { panic!("the process has {} open once: {open:?}", path.display()) };
    let fd = file.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let process = pidfd_open(Pid::from_raw(pid as i32).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).unwrap()
}

fn an_ending_dropped_at_any_await_leaves_no_lock() {
    let mut home = Home::new();
    home.limits = Limits::default().divided_by(16);
    for polls in 0.. {
        let pid = home.count().0.pid();
        stop(pid);
        let done = runtime().block_on(async {
            let service = home.service();
            let mut ending = pin!(service.end_unresponsive());
            let mut left = polls;
            std::future::poll_fn(move |context| {
                if left == 0 {
                    return Poll::Ready(false);
                }
                left -= 1;
                ending.as_mut().poll(context).map(|ended| ended.is_ok())
            })
            .await
        });
        let lock = fs::File::open(home.point()).unwrap();
        fs2::FileExt::try_lock_exclusive(&lock).expect("the lock is free");
        fs2::FileExt::unlock(&lock).unwrap();
        kill(&home, pid);
        if done {
            // At a Unix socket no connection is awaited, and the server may end at once.
            assert!(polls > 1, "it awaits at least the proof: {polls} polls");
            return;
        }
    }
}
