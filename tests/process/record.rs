//! Records runs of real processes that are killed, stopped and misled. `cargo xtask trace` compares them with the spec.
//!
//! Actions on processes and files are recorded in the same log, before and after each: `world kill who=p1`,
//! `world gone who=p1`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::record::{Found, Record};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::attack::Attacker;
use crate::home::{Home, Stranger, eventually, signal, wait_until_stopped};
use crate::trace;

type Play = fn(&mut Run);

/// The kinds of run, by name.
const KINDS: [(&str, Play); 19] = [
    ("calm", calm),
    ("herd", herd),
    ("kill-client", kill_client),
    ("kill-child", kill_child),
    ("kill-server", kill_server),
    ("cancel", cancel),
    ("stop-client", stop_client),
    ("stop-spawner", stop_spawner),
    ("stop-server", stop_server),
    ("damage", damage),
    ("unlink", unlink),
    ("dialect", dialect),
    ("retire", retire),
    ("join", join),
    ("hand", hand),
    ("robust", robust),
    ("stranger", stranger),
    ("nonsense", nonsense),
    ("backlog", backlog),
];

/// How many runs are recorded at once. Most of the time a run waits.
const AT_ONCE: usize = 3;

/// `@record DIRECTORY FIRST LAST`: records a run of each kind with each of these seeds.
pub fn record(args: &[String]) {
    let [_, directory, first, last] = args else { panic!("@record DIRECTORY FIRST LAST") };
    let seeds = first.parse().unwrap()..=last.parse::<u64>().unwrap();
    let runs: Vec<_> = seeds.flat_map(|seed| KINDS.map(|(kind, play)| (kind, play, seed))).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((kind, play, seed)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut run = Run::new(*seed);
                    play(&mut run);
                    let log = format!("# {kind}, seed {seed}\n{}", run.end());
                    fs::write(format!("{directory}/{kind}-{seed}.log"), log).unwrap();
                }
            });
        }
    });
}

/// Clients connect one after the other. Then the server is idle, perhaps just as another client connects.
fn calm(run: &mut Run) {
    for _ in 0..2 {
        run.client(&[]);
        run.wait(80);
    }
    run.all_left();
    run.wait(300);
    run.client(&[]);
}

/// Clients connect at once.
fn herd(run: &mut Run) {
    for _ in 0..4 {
        run.client(&[]);
    }
}

const CLIENT_STEPS: [&str; 16] = [
    "Read", "Lock", "Reread", "Probe", "Clear", "Spawn", "Await", "Verify", "Write", "Confirm", "Dial", "Hello",
    "Prove", "Welcome", "Unlock", "Done",
];

/// A client is killed at some step, beside other clients.
fn kill_client(run: &mut Run) {
    let step = run.one_of(&CLIENT_STEPS);
    run.client(&[&format!("kill-at={step}")]);
    run.wait(30);
    run.client(&[]);
    run.client(&[]);
}

/// A server dies before it is registered.
fn kill_child(run: &mut Run) {
    let step = run.one_of(&["Watch", "Claim", "Build", "Listen", "Ready", "Registered", "Serve"]);
    run.client(&[&format!("server:kill-at={step}")]);
    run.wait(30);
    run.client(&[]);
}

/// A server is killed while clients connect.
fn kill_server(run: &mut Run) {
    run.client(&[]);
    let server = run.server();
    run.client(&[]);
    run.wait(10);
    run.client(&[]);
    run.kill(server);
    run.client(&[]);
}

/// A connect is dropped at some await, beside other clients.
fn cancel(run: &mut Run) {
    run.world("odd deadline");
    let after = run.up_to(60);
    run.client(&[&format!("cancel={after}")]);
    run.client(&[]);
    run.wait(60);
    run.client(&[]);
}

/// A client is stopped at some step, perhaps for longer than others are patient, and continued.
fn stop_client(run: &mut Run) {
    let step = run.one_of(&CLIENT_STEPS);
    let client = run.client(&[&format!("stop-at={step}")]);
    run.wait_until_stopped(client);
    run.client(&[]);
    run.wait(40);
    run.client(&[]);
    run.wait(400);
    run.resume(client);
}

/// A client is stopped after it wrote the record of its server and before it reported *registered*: other clients find
/// a server that must not answer them.
fn stop_spawner(run: &mut Run) {
    let client = run.client(&["stop-at=Confirm"]);
    run.wait_until_stopped(client);
    run.client(&[]);
    run.client(&[]);
    run.wait(400);
    run.resume(client);
}

/// A server is stopped while clients dial it.
fn stop_server(run: &mut Run) {
    run.client(&[]);
    let server = run.server();
    run.stop(server);
    run.client(&[]);
    run.wait(40);
    run.client(&[]);
    let longest = run.one_of(&[300, 2000]);
    run.wait(longest);
    run.resume(server);
}

/// The point is damaged while its server lives, or later.
fn damage(run: &mut Run) {
    run.client(&[]);
    let first = run.server();
    let old = run.point();
    if run.up_to(2) == 0 {
        run.all_left();
        run.home.wait_for_all_exits();
        run.client(&[]);
        run.server();
    }
    for _ in 0..2 {
        run.client(&[]);
        match run.up_to(4) {
            0 => run.changes("torn", |point| point.write_all_at(b"x", 0).unwrap()),
            1 => run.changes("emptied", |point| point.set_len(0).unwrap()),
            2 => run.deletes(),
            _ => run.changes(&format!("old copy of={first}"), |point| point.write_all_at(&old, 0).unwrap()),
        }
        run.client(&[]);
        run.wait(150);
    }
}

/// A server's socket is removed while clients connect, and made again.
fn unlink(run: &mut Run) {
    run.client(&["server:unix"]);
    for _ in 0..2 {
        run.server();
        run.client(&["server:unix"]);
        run.unlinks();
        run.client(&["server:unix"]);
        run.wait(150);
    }
}

/// The point of a server that is gone gets a record of the other dialect.
fn dialect(run: &mut Run) {
    run.client(&[]);
    run.all_left();
    run.home.wait_for_all_exits();
    let record = [[7; 32].as_slice(), b"127.0.0.1:4711"].concat();
    run.changes("foreign is=Dialect", |point| point.write_all_at(&record, 0).unwrap());
    run.client(&[]);
    run.client(&[]);
}

/// A server is asked to retire while clients connect.
fn retire(run: &mut Run) {
    run.client(&[]);
    run.wait(60);
    run.part("@retire", &[]);
    run.client(&[]);
    run.wait(20);
    run.client(&[]);
}

/// Clients join before there is a server, while it starts and serves, and after it was killed.
fn join(run: &mut Run) {
    run.part("@join", &[]);
    run.wait(20);
    run.client(&[]);
    run.part("@join", &[]);
    let server = run.server();
    run.part("@join", &[]);
    run.wait(40);
    run.kill(server);
    run.part("@join", &[]);
}

/// Servers are started by hand beside clients that start one.
fn hand(run: &mut Run) {
    run.part("@serve", &["idle=150", "check=100"]);
    run.wait(30);
    run.client(&[]);
    run.part("@serve", &["idle=150", "check=100"]);
    run.wait(30);
    run.client(&[]);
}

/// The server's program fails, and its client may serve itself.
fn robust(run: &mut Run) {
    run.world("odd fails");
    run.client(&["robust", "server:refuses"]);
    run.wait(30);
    run.client(&["robust"]);
}

/// Another program takes the port of a server that was killed: it sends nothing, or something else.
fn stranger(run: &mut Run) {
    let client = run.client(&["server:tcp"]);
    run.wait_for_line(&format!("{client} connect Done"));
    let server = run.record();
    if run.up_to(3) == 0 {
        run.client(&["server:tcp"]);
        run.wait(10);
    }
    run.kill(server.pid);
    run.strangers(&server);
    run.client(&["server:tcp"]);
    run.client(&["server:tcp"]);
    run.wait(40);
    run.client(&["server:tcp"]);
}

/// A server prints something else before its reply.
fn nonsense(run: &mut Run) {
    run.world("odd nonsense");
    run.client(&["server:talk-at=Ready"]);
    run.wait(30);
    run.client(&[]);
    run.client(&[]);
}

/// Connections of another program fill the queue of a server that is busy for longer than clients are patient.
fn backlog(run: &mut Run) {
    run.world("odd backlog");
    run.client(&["server:tcp", "server:nap-at=Check"]);
    let record = run.record();
    run.wait_for_line(&format!("{} serve Check", record.pid));
    let mut crowd = Attacker::new(&["@crowd", &run.home.address_of(&record)]);
    assert!(crowd.next() > 100, "connections wait in the queue");
    let client = run.client(&["server:tcp"]);
    run.client(&["server:tcp"]);
    run.wait_for_line(&format!("{client} connect Lock"));
    run.wait(40);
    drop(crowd);
    fs::write(run.log().with_file_name(trace::WAKE), "").unwrap();
}

struct Run {
    home: Home,
    clients: Vec<Child>,
    random: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let home = Home::new();
        fs::create_dir_all(home.path()).unwrap();
        let mut run = Run { home, clients: Vec::new(), random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 };
        run.up_to(1);
        run
    }

    /// A number below `n`. The seed decides the plan of a run.
    fn up_to(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % n
    }

    fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.up_to(these.len() as u64) as usize]
    }

    /// Waits for up to this many milliseconds.
    fn wait(&mut self, longest: u64) {
        thread::sleep(Duration::from_millis(self.up_to(longest)));
    }

    fn log(&self) -> PathBuf {
        self.home.path().with_file_name("log")
    }

    fn world(&self, event: &str) {
        trace::append(&self.log()).write_all(format!("world {event}\n").as_bytes()).unwrap();
    }

    /// Starts a process of this run. Returns its PID.
    fn part(&mut self, part: &str, args: &[&str]) -> u32 {
        let args = [&[part, "whole"], args].concat();
        let mut process = self.home.command(&args);
        let process = process.env(trace::LOG, self.log()).stderr(Stdio::null()).spawn().unwrap();
        let pid = process.id();
        self.clients.push(process);
        pid
    }

    fn client(&mut self, args: &[&str]) -> u32 {
        self.part("@client", &[&["server:whole", "server:idle=150", "server:check=100"], args].concat())
    }

    /// Waits until all processes that were started here have ended.
    fn all_left(&mut self) {
        for mut client in std::mem::take(&mut self.clients) {
            eventually("the client ends", || client.try_wait().unwrap().is_some());
            self.world(&format!("gone who={}", client.id()));
        }
    }

    fn point(&self) -> Vec<u8> {
        fs::read(self.home.point()).unwrap_or_default()
    }

    /// The PID of the registered server, once there is one.
    fn server(&self) -> u32 {
        self.record().pid
    }

    /// The record of the registered server, once there is one.
    fn record(&self) -> Record {
        let mut record = None;
        eventually("a server is registered", || {
            if let Found::Record(found) = Found::read(&self.point()) {
                record = Some(found);
            }
            record.is_some()
        });
        record.unwrap()
    }

    /// Waits until a process has logged this step.
    fn wait_for_line(&self, line: &str) {
        let is_it =
            |logged: &str| logged.strip_prefix(line).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        eventually(line, || fs::read_to_string(self.log()).unwrap_or_default().lines().any(is_it));
    }

    /// Kills a process, and waits until it has released everything.
    fn kill(&self, pid: u32) {
        let process = pidfd_open(Pid::from_raw(pid as i32).unwrap(), PidfdFlags::empty());
        self.world(&format!("kill who={pid}"));
        signal(pid, Signal::KILL);
        if let Ok(process) = process {
            poll(&mut [PollFd::new(&process, PollFlags::IN)], None).unwrap();
        }
        self.world(&format!("gone who={pid}"));
    }

    /// Has another program take the port of a server that was killed.
    fn strangers(&mut self, server: &Record) {
        let lies = self.up_to(2) == 0;
        self.world(&format!("stranger who={} is={}", server.pid, if lies { "liar" } else { "silent" }));
        Stranger::at(&self.home.address_of(server), move |stream| {
            if lies {
                // Its client may be gone.
                let _ = stream.write_all(&[7; 100]);
            }
        });
        self.world("done");
    }

    fn stop(&self, pid: u32) {
        self.world(&format!("stop who={pid}"));
        signal(pid, Signal::STOP);
        self.wait_until_stopped(pid);
    }

    fn wait_until_stopped(&self, pid: u32) {
        wait_until_stopped(pid);
        self.world(&format!("stopped who={pid}"));
    }

    fn resume(&self, pid: u32) {
        self.world(&format!("continue who={pid}"));
        signal(pid, Signal::CONT);
        self.world("done");
    }

    /// Changes the point by one system call, if it exists.
    fn changes(&self, how: &str, change: impl FnOnce(&fs::File)) {
        if let Ok(point) = OpenOptions::new().write(true).open(self.home.point()) {
            self.world(how);
            change(&point);
            self.world("done");
        }
    }

    fn deletes(&self) {
        self.world("deleted");
        let _ = fs::remove_file(self.home.point());
        self.world("done");
    }

    /// Removes the socket of the registered server.
    fn unlinks(&self) {
        if let Found::Record(Record { pid, address: Address::Unix(name), .. }) = Found::read(&self.point()) {
            self.world(&format!("unlinked who={pid}"));
            let _ = fs::remove_file(self.home.socket(name));
            self.world("done");
        }
    }

    /// Returns the log, with short names for processes and addresses.
    fn end(mut self) -> String {
        self.all_left();
        self.home.wait_for_all_exits();
        let mut names = Names::default();
        let log = fs::read_to_string(self.log()).unwrap();
        let lines =
            log.lines().map(|line| line.split(' ').map(|word| names.shorten(word)).collect::<Vec<_>>().join(" "));
        lines.map(|line| line + "\n").collect()
    }
}

/// `p1`, `p2` … for processes, `a1`, `a2` … for the addresses of clients.
#[derive(Default)]
struct Names {
    processes: BTreeMap<String, usize>,
    addresses: BTreeMap<String, usize>,
}

impl Names {
    fn shorten(&mut self, word: &str) -> String {
        let (key, value) = word.split_once('=').map_or(("", word), |(key, value)| (key, value));
        let (letter, known) = match key {
            "from" | "peer" => ('a', &mut self.addresses),
            "" | "record" | "child" | "who" | "of" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                ('p', &mut self.processes)
            }
            _ => return word.to_owned(),
        };
        let next = known.len() + 1;
        let number = known.entry(value.to_owned()).or_insert(next);
        if key.is_empty() { format!("{letter}{number}") } else { format!("{key}={letter}{number}") }
    }
}
