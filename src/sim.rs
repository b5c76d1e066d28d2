//! Runs of the driver over a simulated system: real clients and servers, by a seed.
//!
//! The clients' and the server's loops, the files, the dials and the handshakes are those of the crate. Files, locks,
//! processes, connections, time and random bytes are simulated in memory, in one thread. Before each effect of a process
//! the seed decides whether the process is killed there, whether others run first, and whether a file is damaged. A run
//! of a seed is the same each time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Metadata, Subscriber};

use crate::driver::{self, simulated};
use crate::handler::Factory;
use crate::limits::Limits;
use crate::os::lock::Hold;
use crate::os::process;
use crate::os::sim::tasks;
use crate::os::sim::world::{self, Pid, World};
pub use crate::os::sim::world::{Chances, Entry};
use crate::peer::Peer;
use crate::proto::connect::Policy;
use crate::proto::record::Found;
use crate::service::{Program, Service};
use crate::stream::Stream;

const HOME: &str = "/home";
/// What a client takes note of.
const UNANSWERED: &str = "is not answered";
const ANOTHER: &str = "is answered by another";
/// Longer than everything that a run does.
const LONG: Duration = Duration::from_secs(400);

/// What happens in a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of all that is decided by chance.
    pub seed: u64,
    /// How often what goes wrong.
    pub chances: Chances,
    /// Kill the process that is about to do this effect, counted from 1.
    pub kill_at: Option<u32>,
}

impl Plan {
    /// Returns the plan of a seed, which also decides what goes wrong.
    pub fn of(seed: u64) -> Self {
        let calm = Chances { switch: 200, ..Chances::default() };
        let chances = match seed % 6 {
            0 => calm,
            1 => Chances { kill: 10, kills: 2, ..calm },
            2 => Chances { damage: 10, damages: 2, ..calm },
            3 => Chances { kill: 10, kills: 3, damage: 10, damages: 2, ..calm },
            4 => Chances { kill: 40, kills: 6, ..calm },
            _ => Chances { kill: 5, kills: 1, damage: 10, damages: 1, beside: true, ..calm },
        };
        Plan { seed, chances, kill_at: None }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// The property that does not hold.
    pub violation: Option<String>,
    /// All that happened.
    pub log: Vec<Entry>,
    /// How many effects there were.
    pub effects: u32,
    /// How many connects there were that ended, and how many of them well.
    pub connects: (usize, usize),
    /// How often each fault was injected.
    pub faults: BTreeMap<&'static str, usize>,
    /// The steps of clients and servers that were reached.
    pub steps: BTreeSet<&'static str>,
    /// How long the run took in its own time.
    pub took: Duration,
}

/// The end of a connect.
struct Ended {
    began: Duration,
    took: Duration,
    result: Result<(), String>,
}

thread_local!(static ENDED: RefCell<Vec<Ended>> = const { RefCell::new(Vec::new()) });

/// Runs a plan.
pub fn run(plan: Plan) -> Report {
    prepare();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let mut world = World::new(plan.seed, plan.chances, Path::new(HOME), judge);
        world.kill_at = plan.kill_at;
        world::begin(world);
        simulated::begin();
        ENDED.take();
        process::install(|| Box::pin(server(true)));
        let clients = world::with(|world| 2 + world.draw(3));
        let by_hand = world::with(|world| world.draw(4) == 0);
        for _ in 0..clients {
            tasks::start(world::Process::new(0, false), Box::pin(client()));
        }
        if by_hand {
            tasks::start(world::Process::new(0, true), Box::pin(server(false)));
        }
        let all_ended = || {
            world::with(|world| world.violation.is_some() || !world.processes[1..].iter().any(|process| process.alive))
        };
        let ended = timeout(LONG, tasks::run(all_ended)).await.is_ok();
        let took = world::with(|world| world.now());
        let alive: Vec<Pid> =
            world::with(|world| (1..world.processes.len() as Pid).filter(|pid| world.is_alive(*pid)).collect());
        let entries = world::with(|world| world.log.len());
        tasks::end();
        let mut world = world::end();
        world.log.truncate(entries);
        let violation = world.violation.take().or_else(|| {
            if !ended {
                return Some(format!("NoOrphan: {alive:?} still run, though all clients are gone"));
            }
            unexplained(&world.log)
        });
        let mut faults = BTreeMap::new();
        for entry in world.log.iter().filter(|entry| is_fault(entry)) {
            *faults.entry(entry.what).or_default() += 1;
        }
        let connects =
            ENDED.with_borrow(|ended| (ended.len(), ended.iter().filter(|ended| ended.result.is_ok()).count()));
        let steps =
            world.log.iter().map(|entry| entry.what).filter(|what| what.starts_with(char::is_uppercase)).collect();
        Report { violation, steps, log: world.log, effects: world.effects, connects, faults, took }
    })
}

/// Has the steps and the panics of simulated processes taken note of.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Otherwise a subscriber is there already, and the steps are missing in the log.
        let _ = tracing::subscriber::set_global_default(Steps);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panics| {
            world::try_with(|world| {
                if world.is_alive(world.me()) {
                    world.violation.get_or_insert(format!("a process panics: {panics}"));
                }
            });
            before(panics);
        }));
    });
}

fn is_fault(entry: &Entry) -> bool {
    matches!(
        entry.what,
        "killed" | "cancelled" | "Tear" | "Strange" | "Empty" | "Delete" | "Copy" | "DeleteLife" | "DeleteSocket"
    )
}

/// Returns why the end of a connect breaks a property. One that began after the last fault succeeds.
fn unexplained(log: &[Entry]) -> Option<String> {
    let limits = limits();
    let last = log.iter().rev().find(|entry| is_fault(entry)).map(|entry| entry.at);
    ENDED.with_borrow(|ended| {
        ended.iter().find_map(|ended| {
            if ended.took > limits.connect + Duration::from_millis(5) {
                return Some(format!("DeadlineEverywhere: a connect took {:?}", ended.took));
            }
            let clean = last.is_none_or(|last| ended.began > last);
            match &ended.result {
                Err(error) if clean => {
                    Some(format!("Convergence: a connect that began at {:?} failed: {error}", ended.began))
                }
                _ => None,
            }
        })
    })
}

fn limits() -> Limits {
    Limits { idle: Some(Duration::from_secs(6)), ..Limits::default() }
}

fn service() -> Service {
    let program = Ok(Program { path: "/program".into(), args: Vec::new() });
    Service { limits: limits(), program, ..Service::sample(HOME) }
}

/// A client: it begins at some time, does one of several things, and does one again.
async fn client() {
    for _ in 0..2 {
        sleep(draw([0, 0, 0, 1, 20, 3_000, 8_000, 20_000])).await;
        match world::with(|world| world.draw(8)) {
            0 => retire().await,
            1 => {
                // At any await.
                let patience = draw([0, 0, 1, 1, 2, 5, 20, 1_000]);
                let dropped = timeout(patience, driver::connect(&service(), Policy::External, None)).await.is_err();
                if dropped && me_alive() {
                    world::with(|world| world.note("cancelled", String::new()));
                }
            }
            _ => connect().await,
        }
        if !me_alive() {
            return;
        }
    }
}

/// Draws one of these times, in milliseconds.
fn draw(times: [u64; 8]) -> Duration {
    world::with(|world| Duration::from_millis(times[world.draw(8) as usize]))
}

fn me_alive() -> bool {
    world::with(|world| world.is_alive(world.me()))
}

/// Asks the server to retire. By the end of the call its process is gone, or about to go.
async fn retire() {
    let (at, began) = (world::with(|world| world.now()), Instant::now());
    let result = driver::retire(&service()).await;
    ended(at, began.elapsed(), result.map(drop).map_err(|error| format!("retire: {error:#}")));
}

/// Connects, asks the server something, stays for a while, and goes.
async fn connect() {
    let (at, began) = (world::with(|world| world.now()), Instant::now());
    let connected = driver::connect(&service(), Policy::External, None).await;
    let took = began.elapsed();
    match connected {
        Ok(connection) => {
            ended(at, took, Ok(()));
            let pid = connection.outcome().pid.map_or(0, |pid| pid.get());
            let mut stream = connection.into_stream();
            let answer = timeout(Duration::from_secs(5), ask(&mut stream)).await;
            world::with(|world| match answer {
                Ok(Ok(answer)) if answer == pid => {}
                _ if !world.is_alive(world.me()) => {}
                Ok(Ok(answer)) => world.note(ANOTHER, format!("{answer} answers and not {pid}")),
                // A server that drains may end a session.
                answer if world.is_alive(pid) && SERVES.contains(&world.process(pid).step) => {
                    world.note(UNANSWERED, format!("{answer:?} of {pid}"));
                }
                _ => {}
            });
            sleep(draw([0, 0, 1, 5, 20, 300, 2_000, 9_000])).await;
        }
        Err(error) => ended(at, took, Err(format!("{error:#}"))),
    }
}

/// Takes note of the end of a call, unless its process was killed.
fn ended(began: Duration, took: Duration, result: Result<(), String>) {
    if me_alive() {
        if let Err(error) = &result {
            world::with(|world| world.note("fails", error.clone()));
        }
        ENDED.with_borrow_mut(|ended| ended.push(Ended { began, took, result }));
    }
}

async fn ask(stream: &mut Stream) -> std::io::Result<u32> {
    stream.write_all(b"?").await?;
    stream.read_u32().await
}

/// A server: it answers with its number.
async fn server(started: bool) {
    let service = service();
    let context = if started { service.context.of_a_started_server() } else { service.context };
    let factory = Factory::new(async |_server| {
        let handles = Handles::new();
        Ok(async move |_peer: Peer, mut stream: Stream| {
            let _handles = &handles;
            while stream.read_u8().await.is_ok() {
                if stream.write_u32(process::id()).await.is_err() {
                    break;
                }
            }
        })
    });
    if let Err(error) = simulated::run(Service { context, ..service }, factory).await {
        world::with(|world| world.note("serve failed", format!("{error:#}")));
    }
}

/// The handler of a server, while it exists.
struct Handles(Pid);

impl Handles {
    fn new() -> Self {
        world::with(|world| {
            let me = world.me();
            world.process(me).handles = world.is_alive(me);
            world.note("handler is built", String::new());
            Handles(me)
        })
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        world::with(|world| {
            if world.is_alive(self.0) {
                world.process(self.0).handles = false;
                world.note("handler is gone", String::new());
            }
        });
    }
}

/// Returns the property that does not hold in a world in which this is about to happen.
fn judge(world: &World, next: &Entry) -> Option<&'static str> {
    let pids = || 1..world.processes.len() as Pid;
    let serves = |pid: &Pid| {
        let process = &world.processes[*pid as usize];
        process.alive && process.is_server && SERVES.contains(&process.step)
    };
    if pids().filter(serves).count() > 1 {
        return Some("SingleServing: two servers admit clients");
    }
    let handles: Vec<Pid> = pids().filter(|pid| world.processes[*pid as usize].handles).collect();
    // A server whose life file was removed is not known to others until it has made it again, which one that retires
    // does not. An orphan may claim the name meanwhile.
    let hidden = |pid: Pid| !world.lockers(&world.life).any(|(of, _)| of == pid);
    let window = |s: Pid, t: Pid| hidden(s) && (!serves(&s) || !serves(&t));
    if handles.iter().any(|&s| handles.iter().any(|&t| s < t && !window(s, t) && !window(t, s))) {
        return Some("OneHandler: two handlers exist");
    }
    let holds = || world.lockers(&world.point).any(|(pid, hold)| pid == next.pid && hold == Hold::Exclusive);
    let found = || world.at(&world.point).map(|point| Found::read(&point.bytes));
    let child = |pid: Pid| world.processes.get(pid as usize).filter(|process| process.parent == next.pid);
    if matches!(next.what, "cancelled" | "fails") {
        let unregistered = |pid: Pid| child(pid).is_some_and(|process| !process.registered);
        if holds() || pids().any(|pid| unregistered(pid) && world.is_alive(pid)) {
            return Some("NoChildLeft: a call that was given up leaves its lock or its child");
        }
        // After other faults it may be a copy, or that of a child which did not hear that it is registered.
        let alone = world.kills == 0 && world.damages == 0;
        if alone && matches!(found(), Some(Found::Record(record)) if unregistered(record.pid)) {
            return Some("NoChildLeft: a call that was given up leaves the record of its child");
        }
    }
    match next.what {
        UNANSWERED => return Some("NoLostConnect: a server that admits clients does not answer one"),
        ANOTHER => return Some("Authenticity: another server answers than that of the welcome"),
        _ => {}
    }
    if matches!(next.what, "Reread" | "Recheck") && !holds() {
        return Some("LockDiscipline: the path of the point does not lead to the file that is locked");
    }
    let me = &world.processes[next.pid as usize];
    let is_mine = |found| matches!(found, Some(Found::Record(record)) if record.pid == next.pid);
    if (me.step, next.what) == ("Restore", "Unlock") && me.damages == world.damages && holds() && !is_mine(found()) {
        return Some("Convergence: a server has restored its record, and the point does not hold it");
    }
    let changes = matches!(next.what, "set_len" | "write") && next.on.starts_with("point ");
    if !changes {
        return None;
    }
    if !holds() {
        return Some("LockDiscipline: the point is changed by one that does not hold its lock");
    }
    let found = found();
    if !me.is_server {
        match (next.what, me.probed, &found) {
            ("set_len", Some(true), _) | ("write", Some(false), _) => {}
            // It withdraws what it wrote.
            ("set_len", _, Some(Found::Record(record))) if child(record.pid).is_some() => {}
            _ => return Some("ClearOnlyIfFree: a client changes the point, and its last probe does not allow it"),
        }
    }
    match found {
        Some(Found::Record(record)) if record.pid != next.pid && serves(&record.pid) => {
            Some("NoLiveInvalidation: the record of a server that admits clients is changed")
        }
        _ => None,
    }
}

/// The steps at which a server's gate is open.
const SERVES: [&str; 8] = ["Serve", "Check", "Lock", "Backoff", "Recheck", "Reclaim", "Restore", "Look"];
/// The steps of a handshake, which are not the server's own.
const HANDSHAKE: [&str; 5] = ["Answer", "Admit", "Welcome", "Full", "Decline"];

/// Takes the steps of all processes from their logs.
struct Steps;

#[derive(Default)]
struct Step(Option<&'static str>);

impl Visit for Step {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "step" {
            self.0 = Some(interned(value));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Returns the same text for the whole of the program. There are as many as there are steps.
fn interned(text: &str) -> &'static str {
    thread_local!(static TEXTS: RefCell<BTreeMap<String, &'static str>> = const { RefCell::new(BTreeMap::new()) });
    TEXTS.with_borrow_mut(|texts| {
        if let Some(text) = texts.get(text) {
            return *text;
        }
        let leaked: &'static str = String::leak(text.to_owned());
        texts.insert(text.to_owned(), leaked);
        leaked
    })
}

impl Subscriber for Steps {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("rendezvous_ipc")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Values<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut step = Step::default();
        event.record(&mut step);
        if let Some(step) = step.0 {
            world::with(|world| {
                let me = world.me();
                if me > 0 && world.is_alive(me) {
                    let serving = event.metadata().target().ends_with("serve") && !HANDSHAKE.contains(&step);
                    world.note(step, String::new());
                    if serving {
                        let damages = world.damages;
                        world.process(me).at(step, damages);
                    }
                }
            });
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
