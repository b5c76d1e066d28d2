//! A round: what was planned happens to processes in a home of their own, and then all is judged from outside.

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

use crate::fate;
use crate::order::Order;
use crate::plan::{Actor, Before, Doom, Fate, Part, Plan, Role};
use crate::processes::{self, Watched};
use crate::program;
use crate::stranger::Stranger;
use crate::tally::Tally;

/// Longer than anything here may take.
pub const LONG: Duration = Duration::from_secs(30);

/// What came of a round.
pub struct Report {
    pub seed: u64,
    pub round: u64,
    pub plan: Plan,
    pub tally: Tally,
    pub violations: Vec<String>,
    pub log: Vec<String>,
}

/// Plays a round.
pub fn play(seed: u64, number: u64) -> Report {
    let plan = Plan::draw(seed, number);
    let mut round = Round::new(plan.clone());
    if let Err(violation) = round.play() {
        round.violations.push(violation);
    }
    round.violations.append(&mut round.order.violations);
    let (tally, violations, log) = round.end();
    Report { seed, round: number, plan, tally, violations, log }
}

pub(crate) struct Round {
    directory: TempDir,
    pub(crate) plan: Plan,
    began: Instant,
    pub(crate) started: BTreeMap<u32, Started>,
    pub(crate) order: Order,
    pub(crate) strangers: Vec<Stranger>,
    pub(crate) cookies: BTreeSet<[u8; 32]>,
    pub(crate) violations: Vec<String>,
    pub(crate) log: Vec<String>,
    pub(crate) tally: Tally,
    /// All that was told.
    said: BTreeSet<String>,
    /// Who was connected to which server.
    pub(crate) served: BTreeMap<u32, u32>,
    /// Whom something befell.
    pub(crate) doomed: BTreeSet<u32>,
    /// Who was not answered, and by whom.
    pub(crate) lost: Vec<(u32, u32)>,
    /// Who was stopped, and when it goes on.
    stopped: Vec<(Instant, u32)>,
    /// Who was killed, and may not be gone yet.
    killed: Vec<Watched>,
    /// All that anybody tells, in the order in which it was told.
    heard: Receiver<String>,
    pipe: File,
}

/// A process that the round started.
pub(crate) struct Started {
    pub(crate) part: &'static str,
    pub(crate) state: State,
    stdin: Option<ChildStdin>,
    /// It keeps its connection until it is let go.
    pub(crate) stays: bool,
    /// Who answered it when it asked last; 0 where it was not answered.
    pub(crate) asked: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Begun,
    /// A client is connected to this server, of a process of its own or not.
    Connected {
        server: u32,
        external: bool,
    },
    /// A server by hand serves.
    Serves,
    /// It said why it failed.
    Failed(String),
    Ended,
}

impl Round {
    pub(crate) fn new(plan: Plan) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(fate::PIPE);
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        File::create(directory.path().join(fate::LOCK)).unwrap();
        let pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let lines = BufReader::new(pipe.try_clone().unwrap());
        let (tell, heard) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if line == OVER || tell.send(line).is_err() {
                    return;
                }
            }
        });
        Round {
            directory,
            plan,
            began: Instant::now(),
            started: BTreeMap::new(),
            order: Order::default(),
            strangers: Vec::new(),
            cookies: BTreeSet::new(),
            violations: Vec::new(),
            log: Vec::new(),
            tally: Tally::default(),
            said: BTreeSet::new(),
            served: BTreeMap::new(),
            doomed: BTreeSet::new(),
            lost: Vec::new(),
            stopped: Vec::new(),
            killed: Vec::new(),
            heard,
            pipe,
        }
    }

    fn play(&mut self) -> Result<(), String> {
        self.prepare()?;
        let begun = Instant::now();
        let mut actors = self.plan.actors.clone();
        actors.sort_by_key(|actor| actor.at);
        let mut actors = actors.into_iter().peekable();
        let over = begun + self.plan.lasts;
        loop {
            while let Some(actor) = actors.next_if(|actor| begun + actor.at <= Instant::now()) {
                self.enter(&actor);
            }
            let next = actors.peek().map_or(over, |actor| begun + actor.at);
            if next <= Instant::now() && actors.peek().is_none() && self.are_settled() {
                break;
            }
            if begun.elapsed() > LONG {
                return Err(format!("Termination: these go on for ever: {:?}", self.unsettled()));
            }
            self.hear(next.saturating_duration_since(Instant::now()).clamp(TICK, LONG));
        }
        self.calm()?;
        self.judge()
    }

    fn prepare(&mut self) -> Result<(), String> {
        let service = program::service(&program::context(&self.home()), &[]);
        testing::leave_dead_record(&service).map_err(|error| error.to_string())?;
        let old = fs::read(self.point()).expect("a record was left");
        fs::write(self.path().join(fate::OLD), &old).expect("a copy of it");
        match self.plan.before {
            Before::Nothing => fs::remove_dir_all(self.home()).expect("the home is ours"),
            Before::DeadRecord => {}
            Before::Nonsense => fs::write(self.point(), b"rendezvous with nobody").expect("the point is ours"),
            Before::Server => {
                let client = self.start("@client", &self.arguments(self.plan.idle, 4, 7), &[]);
                self.await_state(client, |state| *state == State::Ended)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, actor: &Actor) {
        let divided = if self.plan.explains_nothing() { 2 } else { 12 };
        let idle = self.plan.idle;
        match actor.part {
            Part::Client { robust, stays, version } => {
                let words = [("robust", robust), ("stays", stays)];
                let words = words.iter().filter(|(_, has)| *has).map(|(word, _)| (*word).to_owned());
                let args: Vec<_> = self.arguments(idle, divided, version).into_iter().chain(words).collect();
                self.start("@client", &args, &actor.dooms)
            }
            Part::Server => self.start("@serve", &self.arguments(idle, divided, 7), &actor.dooms),
            Part::Retirer => self.start("@retire", &self.arguments(idle, divided, 7), &actor.dooms),
        };
    }

    pub(crate) fn arguments(&self, idle: Duration, divided: u32, version: u32) -> Vec<String> {
        let args = [format!("idle={}", idle.as_millis()), format!("divided={divided}"), format!("version={version}")];
        // Nobody else can take the place of a server at a socket.
        let tcp = self.plan.stranger.map(|_| "tcp".to_owned());
        args.into_iter().chain(tcp).collect()
    }

    /// Starts a process, and answers its number.
    pub(crate) fn start(&mut self, part: &'static str, args: &[String], dooms: &[Doom]) -> u32 {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(program::arguments(part, args, &self.home()));
        fate::doom(&mut command, self.path(), dooms);
        command.stdin(Stdio::piped()).stdout(self.output()).stderr(self.output());
        let mut child = command.spawn().expect("a process");
        let (pid, stdin) = (child.id(), child.stdin.take());
        let mut pipe = self.pipe.try_clone().expect("a pipe");
        thread::spawn(move || {
            let _ = child.wait();
            let _ = pipe.write_all(format!("{pid} exited\n").as_bytes());
        });
        let stays = args.iter().any(|arg| arg == "stays");
        self.started.insert(pid, Started { part, state: State::Begun, stdin, stays, asked: None });
        self.log.push(format!("{:>6} start {pid} {part} {args:?} {:?}", self.millis(), lines(dooms)));
        pid
    }

    /// Where everybody prints who has nothing to print.
    fn output(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.printed()).expect("the round's directory")
    }

    /// Hears one thing, if it comes in time, and lets those go on who were stopped long enough.
    pub(crate) fn hear(&mut self, patience: Duration) {
        let now = Instant::now();
        let due: Vec<_> = self.stopped.iter().filter(|(at, _)| *at <= now).map(|(_, pid)| *pid).collect();
        // It told that it stops before it did.
        due.into_iter().filter(|pid| processes::is_stopped(*pid)).for_each(|pid| self.goes_on(pid));
        let wake = self.stopped.iter().map(|(at, _)| at.saturating_duration_since(now).max(TICK)).min();
        if let Ok(line) = self.heard.recv_timeout(patience.min(wake.unwrap_or(patience))) {
            self.line(&line);
        }
    }

    fn line(&mut self, line: &str) {
        self.log.push(format!("{:>6} {line}", self.millis()));
        self.said.insert(line.to_owned());
        if let Found::Record(record) = self.record() {
            self.cookies.insert(*record.cookie.expose());
        }
        let words: Vec<&str> = line.split(' ').collect();
        let Some((pid, words)) = words.split_first().and_then(|(pid, words)| Some((pid.parse().ok()?, words))) else {
            return;
        };
        if pid == 0 {
            return;
        }
        self.order.hear(pid, words);
        match words {
            ["fate", rest @ ..] => self.befalls(pid, &rest.join(" ")),
            ["connected", server, how, ..] => {
                let server = server.parse().expect("a number");
                let state = State::Connected { server, external: *how == "external" };
                self.tally.connects += 1;
                self.served.insert(pid, server);
                self.now(pid, state);
            }
            ["asked", server] => self.asked(pid, server.parse().expect("a number")),
            ["lost", ..] => self.asked(pid, 0),
            ["exited"] => self.now(pid, State::Ended),
            ["failed" | "refused", kind, rest @ ..] => self.fails(pid, kind, &rest.join(" ")),
            ["Serve", "Serve"] if self.started.get(&pid).is_some_and(|it| it.state == State::Begun) => {
                self.now(pid, State::Serves);
            }
            _ => {}
        }
    }

    fn asked(&mut self, pid: u32, server: u32) {
        if let Some(started) = self.started.get_mut(&pid) {
            let own = if let State::Connected { server: own, .. } = started.state { own } else { 0 };
            match server {
                0 => self.lost.push((pid, own)),
                _ if own > 0 && server != own => {
                    self.violations.push(format!("Authenticity: {pid} is connected to {own}, and {server} answers"));
                }
                _ => {}
            }
            started.asked = Some(server);
        }
    }

    fn now(&mut self, pid: u32, state: State) {
        if let Some(started) = self.started.get_mut(&pid) {
            started.state = state;
        }
    }

    fn befalls(&mut self, pid: u32, doom: &str) {
        let doom: Doom = doom.parse().expect("a doom");
        match doom.fate {
            Fate::Stop => self.stopped.push((Instant::now() + self.plan.stopped, pid)),
            Fate::Kill => {
                let watched = Watched::new(pid);
                if doom.role == Role::Serve && watched.has_ended() {
                    self.squat(pid);
                }
                self.killed.push(watched);
            }
            _ => {}
        }
        self.doomed.insert(pid);
        self.tally.befalls(&doom);
    }

    /// Somebody takes the port of a server that was killed, if it is the one that the point names.
    fn squat(&mut self, pid: u32) {
        let Some(how) = self.plan.stranger else { return };
        let Found::Record(Record { pid: named, address, .. }) = self.record() else { return };
        if named == pid
            && let Some(address) = address.tcp()
            && let Some(stranger) = Stranger::takes(address, how)
        {
            self.tally.meets(how);
            self.log.push(format!("{:>6} a stranger ({how:?}) has the port of {pid}", self.millis()));
            self.strangers.push(stranger);
        }
    }

    /// A failure is told by its kind; some kinds nothing that happens here can explain.
    fn fails(&mut self, pid: u32, kind: &str, text: &str) {
        self.tally.fails(kind);
        let has = |fates: &[Fate]| {
            self.plan.actors.iter().flat_map(|actor| &actor.dooms).any(|doom| fates.contains(&doom.fate))
        };
        let explained = match kind {
            "AlreadyRunning" => true,
            // Its spawner is gone, or was told the same.
            _ if !self.started.contains_key(&pid) => !self.plan.explains_nothing(),
            "Start" | "Deadline" | "Unresponsive" => !self.plan.explains_nothing(),
            "File" | "System" | "CannotTell" => has(&[Fate::Descriptors, Fate::FileSize, Fate::Processes]),
            "Handler" => has(&[Fate::Fail, Fate::Hang]),
            _ => false,
        };
        if !explained {
            self.violations.push(format!("NoSpuriousError: {pid} fails: {kind}: {text}"));
        }
        self.now(pid, State::Failed(format!("{kind} {text}")));
    }

    fn goes_on(&mut self, pid: u32) {
        self.stopped.retain(|(_, stopped)| *stopped != pid);
        processes::signal(pid, Signal::CONT);
        if let Ok(mut gate) = OpenOptions::new().write(true).open_nonblocking(&fate::gate(self.path(), pid)) {
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

    /// From here on nothing befalls anybody; and what has is over.
    fn calm(&mut self) -> Result<(), String> {
        let lock = File::open(self.path().join(fate::LOCK)).expect("the round's directory");
        self.eventually("who is killed ends", |_| fs2::FileExt::try_lock_exclusive(&lock).is_ok().then_some(()))?;
        File::create(self.path().join(fate::CALM)).expect("the round's directory");
        fs2::FileExt::unlock(&lock).expect("it is ours");
        self.catch_up()?;
        self.stopped.iter_mut().for_each(|(at, _)| *at = Instant::now());
        processes::of(&self.home()).iter().for_each(|process| processes::unlimit(process.pid));
        if !std::mem::take(&mut self.killed).iter().all(Watched::has_ended) {
            return Err("who was killed lives".into());
        }
        self.eventually("all are settled", |round| round.are_settled().then_some(()))
    }

    /// Hears all that was told until now.
    pub(crate) fn catch_up(&mut self) -> Result<(), String> {
        let here = format!("0 here {}", self.log.len());
        self.pipe.write_all(format!("{here}\n").as_bytes()).expect("a pipe");
        self.eventually("what was told is heard", |round| round.has_heard(&here).then_some(()))
    }

    /// Whether somebody told just this.
    pub(crate) fn has_heard(&self, line: &str) -> bool {
        self.said.contains(line)
    }

    /// Waits until it is so; says what, if it never comes true.
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
                return Err(format!("it never came true: {what}"));
            }
            self.hear(TICK);
        }
    }

    pub(crate) fn await_state(&mut self, pid: u32, wanted: impl Fn(&State) -> bool) -> Result<State, String> {
        self.eventually(&format!("{pid} gets on"), |round| {
            let state = &round.started[&pid].state;
            wanted(state).then(|| state.clone())
        })
    }

    /// Asks a client's server who it is; `None` where the connection has ended.
    pub(crate) fn ask(&mut self, pid: u32) -> Result<Option<u32>, String> {
        let started = self.started.get_mut(&pid).expect("it was started here");
        started.asked = None;
        let asked = started.stdin.as_mut().map(|stdin| stdin.write_all(&[program::ASK]));
        if !matches!(asked, Some(Ok(()))) {
            return Ok(None);
        }
        let answer = self.eventually(&format!("{pid} is answered"), |round| {
            let started = &round.started[&pid];
            started.asked.or((started.state == State::Ended).then_some(0))
        })?;
        Ok((answer != 0).then_some(answer))
    }

    /// Lets a client leave.
    pub(crate) fn leaves(&mut self, pid: u32) {
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
        fate::point(self.path())
    }

    pub(crate) fn printed(&self) -> PathBuf {
        self.path().join("printed")
    }

    fn millis(&self) -> u128 {
        self.began.elapsed().as_millis()
    }

    /// Ends a round that was played by hand: what came of it, unless something else was amiss.
    pub(crate) fn over<T>(mut self, came: Result<T, String>) -> Result<T, String> {
        let came = came.and_then(|came| self.nothing_amiss().map(|()| came));
        self.violations.append(&mut self.order.violations);
        let (_, violations, log) = self.end();
        match (came, &violations[..]) {
            (Ok(came), []) => Ok(came),
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
/// How long nothing may be told until the world is looked at again.
const TICK: Duration = Duration::from_millis(5);

fn lines(dooms: &[Doom]) -> Vec<String> {
    dooms.iter().map(Doom::to_string).collect()
}

trait OpenNonblocking {
    fn open_nonblocking(&mut self, path: &Path) -> std::io::Result<File>;
}

impl OpenNonblocking for OpenOptions {
    /// Fails where nobody reads at the other end of a pipe.
    fn open_nonblocking(&mut self, path: &Path) -> std::io::Result<File> {
        use std::os::unix::fs::OpenOptionsExt;
        self.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)
    }
}
