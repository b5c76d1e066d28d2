//! A round: injects the planned faults into processes in a home of their own, and then judges from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::testing;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::disk::{self, Disk};
use crate::explain::Failure;
use crate::history::{History, Times};
use crate::inject;
use crate::order::Order;
use crate::plan::{Actor, Before, Fault, Part, Plan, PlannedFault, Role};
use crate::processes::{self, Watched};
use crate::program;
use crate::stranger::Stranger;
use crate::tally::Tally;

/// A bound that no wait should reach.
pub const LONG: Duration = Duration::from_secs(30);

/// The result of a round.
pub struct Report {
    pub seed: u64,
    pub round: u64,
    pub plan: Plan,
    pub tally: Tally,
    pub violations: Vec<String>,
    pub log: Vec<String>,
    pub began: Instant,
    /// The longest time that a process took to come up.
    pub slowest_start: Duration,
}

/// Plays a round.
pub fn play(seed: u64, number: u64) -> Report {
    let began = Instant::now();
    let plan = Plan::draw(seed, number);
    let mut round = Round::new(plan.clone());
    if let Err(violation) = round.play() {
        round.violations.push(violation);
    }
    let mut order = round.order.end();
    round.violations.append(&mut order);
    let slowest_start = round.history.slowest_start(round.began.elapsed());
    let (tally, violations, log) = round.end();
    Report { seed, round: number, plan, tally, violations, log, began, slowest_start }
}

pub(crate) struct Round {
    /// Dropped before the directory in which it is mounted.
    disk: Option<Disk>,
    directory: TempDir,
    pub(crate) plan: Plan,
    began: Instant,
    pub(crate) started: BTreeMap<u32, Started>,
    pub(crate) order: Order,
    pub(crate) history: History,
    pub(crate) strangers: Vec<Stranger>,
    pub(crate) cookies: BTreeSet<[u8; 32]>,
    pub(crate) violations: Vec<String>,
    pub(crate) log: Vec<String>,
    pub(crate) tally: Tally,
    /// All lines received so far.
    lines: BTreeSet<String>,
    /// The server of each client that connected.
    pub(crate) served: BTreeMap<u32, u32>,
    /// Clients that got no answer, each with its server, and when.
    pub(crate) lost: Vec<(u32, u32, Duration)>,
    /// Stopped processes, and when each is continued.
    stopped: Vec<(Instant, u32)>,
    /// Killed processes that may not be gone yet.
    killed: Vec<Watched>,
    /// The lines of all processes, in the order in which they were sent.
    received: Receiver<String>,
    pipe: File,
}

/// A process that the round started.
pub(crate) struct Started {
    pub(crate) part: &'static str,
    pub(crate) state: State,
    stdin: Option<ChildStdin>,
    /// It stays connected until the round releases it.
    pub(crate) stays: bool,
    /// The server that answered its last question; 0 if none did.
    pub(crate) asked: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Begun,
    /// A client is connected to this server, which runs in a process of its own or inside a client.
    Connected {
        server: u32,
        external: bool,
    },
    /// A server started by hand serves.
    Serves,
    /// It reported this error.
    Failed(String),
    Ended,
}

impl Round {
    pub(crate) fn new(plan: Plan) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(inject::PIPE);
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        File::create(directory.path().join(inject::LOCK)).unwrap();
        let pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let lines = BufReader::new(pipe.try_clone().unwrap());
        let (sender, received) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if line == OVER || sender.send(line).is_err() {
                    return;
                }
            }
        });
        let limits = program::limits(&[divided(&plan)]);
        let asks = plan.retires();
        let times = Times { start: limits.start, check: limits.check + limits.patience };
        Round {
            disk: None,
            directory,
            plan,
            began: Instant::now(),
            started: BTreeMap::new(),
            order: Order::default(),
            history: History::new(times, asks),
            strangers: Vec::new(),
            cookies: BTreeSet::new(),
            violations: Vec::new(),
            log: Vec::new(),
            tally: Tally::default(),
            lines: BTreeSet::new(),
            served: BTreeMap::new(),
            lost: Vec::new(),
            stopped: Vec::new(),
            killed: Vec::new(),
            received,
            pipe,
        }
    }

    fn play(&mut self) -> Result<(), String> {
        self.prepare()?;
        let begun = Instant::now();
        let mut actors = self.plan.actors.clone();
        actors.sort_by_key(|actor| actor.at);
        let mut actors = actors.into_iter().peekable();
        let over = begun + self.plan.duration;
        loop {
            while let Some(actor) = actors.next_if(|actor| begun + actor.at <= Instant::now()) {
                self.start_actor(&actor);
            }
            let next = actors.peek().map_or(over, |actor| begun + actor.at);
            if next <= Instant::now() && actors.peek().is_none() && self.are_settled() {
                break;
            }
            if begun.elapsed() > LONG {
                return Err(format!("Termination: these processes never settle: {:?}", self.unsettled()));
            }
            self.receive(next.saturating_duration_since(Instant::now()).clamp(TICK, LONG));
        }
        self.stop_faults()?;
        self.judge()
    }

    fn prepare(&mut self) -> Result<(), String> {
        if self.plan.small {
            self.disk = Some(Disk::mount(&self.home()));
        }
        let service = program::service(&program::context(&self.home()), &[]);
        testing::leave_dead_record(&service).map_err(|error| error.to_string())?;
        let old = fs::read(self.point()).expect("a record was left");
        fs::write(self.path().join(inject::OLD), &old).expect("a copy of it");
        match self.plan.before {
            Before::Nothing if self.plan.small => fs::remove_file(self.point()).expect("the point is ours"),
            Before::Nothing => fs::remove_dir_all(self.home()).expect("the home is ours"),
            Before::DeadRecord => {}
            Before::Nonsense => fs::write(self.point(), b"rendezvous with no server").expect("the point is ours"),
            Before::Server => {
                let client = self.start("@client", &self.arguments(self.plan.idle, "divided=4", 7), &[]);
                self.await_state(client, |state| *state == State::Ended)?;
            }
        }
        Ok(())
    }

    fn start_actor(&mut self, actor: &Actor) {
        let (part, version, words) = match actor.part {
            Part::Client { robust, stays, version } => {
                ("@client", version, vec![("robust", robust), ("stays", stays), ("blocks", actor.blocks)])
            }
            Part::Server { version } => ("@serve", version, vec![]),
            Part::Retirer => ("@retire", 7, vec![("blocks", actor.blocks)]),
        };
        let words = words.iter().filter(|(_, has)| *has).map(|(word, _)| (*word).to_owned());
        let args = self.arguments(self.plan.idle, &divided(&self.plan), version);
        self.start(part, &args.into_iter().chain(words).collect::<Vec<_>>(), &actor.faults);
    }

    pub(crate) fn arguments(&self, idle: Duration, divided: &str, version: u32) -> Vec<String> {
        let args = [format!("idle={}", idle.as_millis()), divided.to_owned(), format!("version={version}")];
        let words = [("tcp", self.plan.tcp), ("mute", self.plan.mute)];
        let words = words.iter().filter(|(_, has)| *has).map(|(word, _)| (*word).to_owned());
        args.into_iter().chain(words).collect()
    }

    /// Starts a process, and returns its number.
    pub(crate) fn start(&mut self, part: &'static str, args: &[String], faults: &[PlannedFault]) -> u32 {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(program::arguments(part, args, &self.home()));
        inject::plan(&mut command, self.path(), faults);
        command.stdin(Stdio::piped()).stdout(self.output()).stderr(self.output());
        let mut child = command.spawn().expect("a process");
        let (pid, stdin) = (child.id(), child.stdin.take());
        let mut pipe = self.pipe.try_clone().expect("a pipe");
        thread::spawn(move || {
            let _ = child.wait();
            let _ = pipe.write_all(format!("{pid} exited\n").as_bytes());
        });
        let stays = args.iter().any(|arg| arg == "stays");
        self.history.started(self.began.elapsed(), pid);
        self.started.insert(pid, Started { part, state: State::Begun, stdin, stays, asked: None });
        self.log.push(format!("{:>6} start {pid} {part} {args:?} {:?}", self.millis(), lines(faults)));
        pid
    }

    /// The file that takes the processes' standard output and error, which should stay empty.
    fn output(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.printed()).expect("the round's directory")
    }

    /// Receives one line, if it arrives in time, and continues the processes that were stopped long enough.
    pub(crate) fn receive(&mut self, patience: Duration) {
        let now = Instant::now();
        let due: Vec<_> = self.stopped.iter().filter(|(at, _)| *at <= now).map(|(_, pid)| *pid).collect();
        // A process reports that it stops before it does.
        due.into_iter().filter(|pid| processes::is_stopped(*pid)).for_each(|pid| self.resume(pid));
        let wake = self.stopped.iter().map(|(at, _)| at.saturating_duration_since(now).max(TICK)).min();
        if let Ok(line) = self.received.recv_timeout(patience.min(wake.unwrap_or(patience))) {
            self.handle_line(&line);
        }
    }

    fn handle_line(&mut self, line: &str) {
        let at = self.began.elapsed();
        self.log.push(format!("{:>6} {line}", at.as_millis()));
        let (words, fields) = split(line);
        self.lines.insert(words.join(" "));
        if let Found::Record(record) = self.record() {
            self.cookies.insert(*record.cookie.expose());
        }
        let Some((pid, words)) = words.split_first().and_then(|(pid, words)| Some((pid.parse().ok()?, words))) else {
            return;
        };
        if pid == 0 {
            return;
        }
        self.history.receive(at, pid, words, &fields);
        self.order.receive(pid, words, &fields, &self.history);
        match words {
            ["fault", rest @ ..] => self.record_fault(pid, &rest.join(" ")),
            ["connected", server, how, ..] => {
                let server = server.parse().expect("a number");
                let state = State::Connected { server, external: *how == "external" };
                self.tally.connects += 1;
                self.served.insert(pid, server);
                self.set_state(pid, state);
            }
            ["asked", server] => self.asked(pid, server.parse().expect("a number")),
            ["lost", ..] => self.asked(pid, 0),
            ["exited"] => self.set_state(pid, State::Ended),
            ["failed" | "refused", kind, rest @ ..] => self.record_failure(pid, kind, &rest.join(" ")),
            ["Serve", "Serve"] if self.started.get(&pid).is_some_and(|it| it.state == State::Begun) => {
                self.set_state(pid, State::Serves);
            }
            _ => {}
        }
    }

    fn asked(&mut self, pid: u32, server: u32) {
        if let Some(started) = self.started.get_mut(&pid) {
            let own = if let State::Connected { server: own, .. } = started.state { own } else { 0 };
            match server {
                0 => self.lost.push((pid, own, self.began.elapsed())),
                _ if own > 0 && server != own => {
                    self.violations.push(format!("Authenticity: {pid} is connected to {own}, and {server} answers"));
                }
                _ => {}
            }
            started.asked = Some(server);
        }
    }

    fn set_state(&mut self, pid: u32, state: State) {
        if let Some(started) = self.started.get_mut(&pid) {
            started.state = state;
        }
    }

    fn record_fault(&mut self, pid: u32, planned: &str) {
        let planned: PlannedFault = planned.parse().expect("a planned fault");
        match planned.fault {
            Fault::Stop => self.stopped.push((Instant::now() + self.plan.stopped, pid)),
            Fault::Kill => {
                let watched = Watched::new(pid);
                if planned.role == Role::Serve && watched.has_ended() {
                    self.squat(pid);
                }
                self.killed.push(watched);
            }
            _ => {}
        }
        self.tally.record_fault(&planned);
    }

    /// Binds the port of a killed server to a stranger, if the point names that server.
    fn squat(&mut self, pid: u32) {
        let Some(how) = self.plan.stranger else { return };
        let Found::Record(Record { pid: named, address, .. }) = self.record() else { return };
        if named == pid
            && let Some(address) = address.tcp()
            && let Some(stranger) = Stranger::bind(address, how)
        {
            self.tally.record_stranger(how);
            self.log.push(format!("{:>6} a stranger ({how:?}) has the port of {pid}", self.millis()));
            self.strangers.push(stranger);
        }
    }

    /// Records a failure. It is a violation unless a fault explains it that befell this process or those that it met.
    fn record_failure(&mut self, pid: u32, kind: &str, text: &str) {
        let (name, errno) = kind.split_once('.').map_or((kind, None), |(name, errno)| (name, errno.parse().ok()));
        let failure = match Failure::of(name, errno) {
            // A client waits for the server that it started no longer than a start takes.
            Failure::Time if !self.started.contains_key(&pid) => Failure::Busy,
            failure => failure,
        };
        let why = self.history.explains(self.began.elapsed(), pid, failure);
        self.tally.record_failure(format!("{name}, {}", why.as_deref().unwrap_or("unexplained")));
        match why {
            Some(why) => self.log.push(format!("{:>6} {pid} failed for: {why}", self.millis())),
            None => {
                self.tally.unexplained += 1;
                self.violations.push(format!("NoSpuriousError: {pid} fails: {kind}: {text}"));
            }
        }
        self.set_state(pid, State::Failed(format!("{kind} {text}")));
    }

    fn resume(&mut self, pid: u32) {
        self.stopped.retain(|(_, stopped)| *stopped != pid);
        self.history.resumed(self.began.elapsed(), pid);
        processes::signal(pid, Signal::CONT);
        if let Ok(mut gate) = OpenOptions::new().write(true).open_nonblocking(&inject::gate(self.path(), pid)) {
            let _ = gate.write_all(b"!");
        }
    }

    fn are_settled(&self) -> bool {
        self.stopped.is_empty() && self.unsettled().is_empty()
    }

    fn unsettled(&self) -> Vec<(u32, &'static str)> {
        let begun = self.started.iter().filter(|(_, started)| {
            let connected = matches!(started.state, State::Connected { .. } | State::Serves | State::Ended);
            !connected
        });
        begun.map(|(pid, started)| (*pid, started.part)).collect()
    }

    /// Stops injecting faults, and waits until those injected have taken effect.
    fn stop_faults(&mut self) -> Result<(), String> {
        let lock = File::open(self.path().join(inject::LOCK)).expect("the round's directory");
        self.eventually("the killed processes have ended", |_| {
            fs2::FileExt::try_lock_exclusive(&lock).is_ok().then_some(())
        })?;
        File::create(self.path().join(inject::NO_MORE_FAULTS)).expect("the round's directory");
        fs2::FileExt::unlock(&lock).expect("this process holds it");
        disk::empty(self.path());
        self.catch_up()?;
        self.stopped.iter_mut().for_each(|(at, _)| *at = Instant::now());
        processes::of(&self.home()).iter().for_each(|process| processes::unlimit(process.pid));
        if !std::mem::take(&mut self.killed).iter().all(Watched::has_ended) {
            return Err("a killed process lives".into());
        }
        self.eventually("all are settled", |round| round.are_settled().then_some(()))
    }

    /// Receives all lines sent so far.
    pub(crate) fn catch_up(&mut self) -> Result<(), String> {
        let here = format!("0 here {}", self.log.len());
        self.pipe.write_all(format!("{here}\n").as_bytes()).expect("a pipe");
        self.eventually("all lines are received", |round| round.has_received(&here).then_some(()))
    }

    /// Whether a process sent exactly this line.
    pub(crate) fn has_received(&self, line: &str) -> bool {
        self.lines.contains(line)
    }

    /// Waits until the condition holds. The error names `what` if it never does.
    pub(crate) fn eventually<T>(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<T, String> {
        let until = Instant::now() + LONG;
        loop {
            if let Some(it) = condition(self) {
                return Ok(it);
            }
            if Instant::now() > until {
                return Err(format!("this never held: {what}"));
            }
            self.receive(TICK);
        }
    }

    pub(crate) fn await_state(&mut self, pid: u32, wanted: impl Fn(&State) -> bool) -> Result<State, String> {
        self.eventually(&format!("{pid} changes its state"), |round| {
            let state = &round.started[&pid].state;
            wanted(state).then(|| state.clone())
        })
    }

    /// Asks a client's server for its number. Returns `None` if the connection has ended.
    pub(crate) fn ask(&mut self, pid: u32) -> Result<Option<u32>, String> {
        let started = self.started.get_mut(&pid).expect("it was started here");
        started.asked = None;
        let asked = started.stdin.as_mut().map(|stdin| stdin.write_all(&[program::ASK]));
        if !matches!(asked, Some(Ok(()))) {
            return Ok(None);
        }
        let answer = self.eventually(&format!("{pid} gets an answer"), |round| {
            let started = &round.started[&pid];
            started.asked.or((started.state == State::Ended).then_some(0))
        })?;
        Ok((answer != 0).then_some(answer))
    }

    /// Releases a client that stays connected.
    pub(crate) fn release(&mut self, pid: u32) {
        if let Some(started) = self.started.get_mut(&pid) {
            started.stdin = None;
        }
    }

    pub(crate) fn record(&self) -> Found {
        Found::read(&fs::read(self.point()).unwrap_or_default())
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    pub(crate) fn point(&self) -> PathBuf {
        inject::point(self.path())
    }

    pub(crate) fn printed(&self) -> PathBuf {
        self.path().join("printed")
    }

    fn millis(&self) -> u128 {
        self.began.elapsed().as_millis()
    }

    /// Ends a round that a test plays by hand: returns the test's result, or what else is wrong.
    pub(crate) fn finish<T>(mut self, result: Result<T, String>) -> Result<T, String> {
        let result = result.and_then(|result| self.retires_cleanly().map(|()| result));
        self.violations.append(&mut self.order.end());
        let (_, violations, log) = self.end();
        match (result, &violations[..]) {
            (Ok(result), []) => Ok(result),
            (Ok(_), violations) => Err(violations.join("\n")),
            (Err(error), violations) => Err(format!("{error}\n{}\n{}", violations.join("\n"), log.join("\n"))),
        }
    }

    fn end(mut self) -> (Tally, Vec<String>, Vec<String>) {
        for process in processes::of(&self.home()) {
            processes::signal(process.pid, Signal::KILL);
        }
        let _ = self.pipe.write_all(format!("{OVER}\n").as_bytes());
        self.tally.rounds = 1;
        (self.tally, self.violations, self.log)
    }
}

/// The last line of a round.
const OVER: &str = "over";
/// How long to wait for a line before looking at the processes again.
const TICK: Duration = Duration::from_millis(5);

/// The words of a line that are no fields, and the fields. Only the lines of steps have fields.
pub fn split(line: &str) -> (Vec<&str>, BTreeMap<&str, &str>) {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        [_, "Connect" | "Serve", _, ..] => {
            let fields = words.iter().filter_map(|word| word.split_once('=')).collect();
            (words.into_iter().filter(|word| !word.contains('=')).collect(), fields)
        }
        _ => (words, BTreeMap::new()),
    }
}

/// The divisor of the limits. A short patience brings about more of what is to be survived.
fn divided(plan: &Plan) -> String {
    format!("divided={}", if plan.is_harmless() { 2 } else { 12 })
}

fn lines(faults: &[PlannedFault]) -> Vec<String> {
    faults.iter().map(PlannedFault::to_string).collect()
}

trait OpenNonblocking {
    fn open_nonblocking(&mut self, path: &Path) -> std::io::Result<File>;
}

impl OpenNonblocking for OpenOptions {
    /// Opens a pipe for writing. Fails if no process reads from it.
    fn open_nonblocking(&mut self, path: &Path) -> std::io::Result<File> {
        use std::os::unix::fs::OpenOptionsExt;
        self.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)
    }
}
