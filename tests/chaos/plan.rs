//! What happens in a round. The seed and the round's number determine all of it, except how the system schedules.
//!
//! So a round that failed may pass when it is repeated, but it fails again soon.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The steps of a client, by the names that the driver logs. `Leave` is this program's own and comes after the last.
const CONNECT: [&str; 21] = [
    "Read", "Lock", "Reread", "Probe", "Clear", "Spawn", "Await", "Verify", "Write", "Confirm", "Fallback", "Dial",
    "Hello", "Prove", "Welcome", "Kill", "Unlock", "Backoff", "Wait", "Done", "Leave",
];

/// The steps of a server, handshakes included. `Exit` is this program's own and comes after the last.
const SERVE: [&str; 26] = [
    "Watch",
    "Claim",
    "Build",
    "Listen",
    "Ready",
    "Registered",
    "Write",
    "Refuse",
    "Serve",
    "Answer",
    "Admit",
    "Welcome",
    "Check",
    "Lock",
    "Backoff",
    "Recheck",
    "Reclaim",
    "Restore",
    "Look",
    "Withdraw",
    "Close",
    "Unlock",
    "Drain",
    "Release",
    "Done",
    "Exit",
];

/// Steps that one process can reach more than once.
const RECUR: [&str; 13] = [
    "Read", "Lock", "Reread", "Probe", "Dial", "Prove", "Unlock", "Backoff", "Serve", "Check", "Answer", "Admit",
    "Welcome",
];

/// All steps of both roles.
pub fn steps() -> impl Iterator<Item = (Role, &'static str)> {
    let of = |role, steps: &'static [&'static str]| steps.iter().map(move |step| (role, *step));
    of(Role::Connect, &CONNECT).chain(of(Role::Serve, &SERVE))
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    Connect,
    Serve,
}

/// A fault that is injected into a process, or into the point, at a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// The process is killed.
    Kill,
    /// The process is stopped, and continued later.
    Stop,
    /// The handler of the process fails to start.
    Fail,
    /// The handler of the process hangs while it starts.
    Hang,
    /// The process can open no more descriptors.
    Descriptors,
    /// The process can no longer write long files.
    FileSize,
    /// The process can start no more processes or threads.
    Processes,
    /// The connect is dropped at its next await, and the process connects again.
    Cancel,
    /// The point is deleted.
    Delete,
    /// The point is emptied.
    Empty,
    /// The point is truncated in the middle.
    Cut,
    /// A byte of the point is changed.
    Corrupt,
    /// The point is replaced by another file, which holds no record.
    Replace,
    /// The point is overwritten with the record of a server that is gone.
    Old,
    /// The sockets of all servers are removed.
    Unlink,
    /// The life file is removed.
    Vanish,
    /// The disk is full, for all processes, until the faults are over.
    Fill,
}

pub const FAULTS: [Fault; 17] = [
    Fault::Kill,
    Fault::Stop,
    Fault::Fail,
    Fault::Hang,
    Fault::Descriptors,
    Fault::FileSize,
    Fault::Processes,
    Fault::Cancel,
    Fault::Delete,
    Fault::Empty,
    Fault::Cut,
    Fault::Corrupt,
    Fault::Replace,
    Fault::Old,
    Fault::Unlink,
    Fault::Vanish,
    Fault::Fill,
];

const POINT_FAULTS: [Fault; 6] = [Fault::Delete, Fault::Empty, Fault::Cut, Fault::Corrupt, Fault::Replace, Fault::Old];

/// A fault, and when to inject it: just before or just after the n-th step of this name in a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedFault {
    pub fault: Fault,
    pub role: Role,
    pub step: String,
    pub nth: u32,
    pub after: bool,
}

/// What the point holds before the first actor starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Before {
    Nothing,
    DeadRecord,
    Nonsense,
    Server,
}

/// What a process that took a dead server's port does to the clients that connect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stranger {
    Silent,
    HangsUp,
    Talks,
    /// Sends back all that it receives.
    Echoes,
}

#[derive(Clone, Debug)]
pub enum Part {
    Client { robust: bool, stays: bool, version: u32 },
    Server { version: u32 },
    Retirer,
}

/// A process, when it starts, and the faults planned for it and for the servers that it starts.
#[derive(Clone, Debug)]
pub struct Actor {
    pub part: Part,
    pub at: Duration,
    /// A client or a process that requests a retirement blocks its thread.
    pub blocks: bool,
    pub faults: Vec<PlannedFault>,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub before: Before,
    pub actors: Vec<Actor>,
    /// Servers listen at ports, and not at sockets.
    pub tcp: bool,
    /// The home is on a disk of its own, which can be filled.
    pub small: bool,
    /// Servers print to a file that takes nothing.
    pub mute: bool,
    /// How long a server is idle before it retires.
    pub idle: Duration,
    /// How long a stopped process stays stopped.
    pub stopped: Duration,
    /// Which process takes the port of a server that was killed.
    pub stranger: Option<Stranger>,
    /// How long the planned faults may take to occur.
    pub duration: Duration,
}

impl Plan {
    pub fn draw(seed: u64, round: u64) -> Self {
        let mut random = Random::new(seed, round);
        let ms = Duration::from_millis;
        let befores = [Before::Nothing, Before::Nothing, Before::DeadRecord, Before::Nonsense, Before::Server];
        let before = random.one_of(&befores);
        let actors = (0..2 + random.below(5)).map(|number| client(&mut random, number)).collect();
        let calm = random.below(12) == 0;
        let mut plan = Plan {
            before,
            actors,
            tcp: false,
            small: false,
            mute: false,
            idle: if random.below(2) == 0 { ms(50 + random.below(150)) } else { ms(20_000) },
            stopped: ms(if random.below(3) == 0 { 300 + random.below(500) } else { random.below(200) }),
            stranger: (random.below(2) == 0)
                .then(|| random.one_of(&[Stranger::Silent, Stranger::HangsUp, Stranger::Talks, Stranger::Echoes])),
            duration: ms(150 + random.below(200)),
        };
        // A stranger can take a server's TCP port, but not its Unix socket.
        plan.tcp = plan.stranger.is_some() || random.below(4) == 0;
        plan.mute = random.below(8) == 0;
        plan.small = random.below(8) == 0 && crate::disk::can_mount();
        if random.below(4) == 0 {
            let version = version(&mut random);
            plan.add_actor(Part::Server { version }, ms(random.below(60)));
        }
        if random.below(4) == 0 {
            let at = ms(random.below(120));
            plan.add_actor(Part::Retirer, at).blocks = random.below(2) == 0;
        }
        if calm {
            plan.let_clients_leave();
            return plan;
        }
        let steps: Vec<_> = steps().collect();
        let (role, step) = random.one_of(&steps);
        plan.steer_to(role, step, &mut random);
        for _ in 0..random.below(3) {
            let (role, step) = random.one_of(&steps);
            let at = random.below(plan.actors.len() as u64) as usize;
            let planned = draw_fault(role, step, &mut random);
            plan.actors[at].faults.push(planned);
        }
        if plan.is_harmless() {
            plan.let_clients_leave();
        }
        // A connect that blocks its thread cannot be dropped.
        for actor in &mut plan.actors {
            actor.blocks &= actor.faults.iter().all(|planned| planned.fault != Fault::Cancel);
        }
        let fills = plan.faults().any(|planned| planned.fault == Fault::Fill);
        plan.small |= fills;
        plan
    }

    fn faults(&self) -> impl Iterator<Item = &PlannedFault> {
        self.actors.iter().flat_map(|actor| &actor.faults)
    }

    /// Whether no fault can make another client's connect fail: at most, clients are killed, or drop their connects.
    pub fn is_harmless(&self) -> bool {
        self.faults().all(|planned| {
            matches!((planned.fault, planned.role), (Fault::Kill, Role::Connect) | (Fault::Cancel, Role::Connect))
        })
    }

    /// A plan without actors and faults.
    pub fn empty() -> Self {
        Plan {
            before: Before::Nothing,
            actors: Vec::new(),
            tcp: false,
            small: false,
            mute: false,
            idle: Duration::ZERO,
            stopped: Duration::ZERO,
            stranger: None,
            duration: Duration::ZERO,
        }
    }

    fn add_actor(&mut self, part: Part, at: Duration) -> &mut Actor {
        self.actors.push(Actor { part, at, blocks: false, faults: Vec::new() });
        self.actors.last_mut().expect("the actor was just pushed")
    }

    /// Whether a client may ask a server to retire: because that is its part, or to replace it by a newer version.
    pub fn retires(&self) -> bool {
        let versions: Vec<u32> = self
            .actors
            .iter()
            .filter_map(|actor| match actor.part {
                Part::Client { version, .. } | Part::Server { version } => Some(version),
                Part::Retirer => None,
            })
            .collect();
        let before = (self.before == Before::Server).then_some(7);
        versions.len() < self.actors.len() || before.iter().chain(&versions).any(|version| *version != versions[0])
    }

    /// Lets no client stay that a retiring server would wait for: a few drains in a row take longer than a connect.
    fn let_clients_leave(&mut self) {
        let retires = self.retires();
        for actor in &mut self.actors {
            if let Part::Client { stays, .. } = &mut actor.part {
                *stays &= !retires;
            }
        }
    }

    /// Plans a fault at this step, and arranges that a process reaches it.
    fn steer_to(&mut self, role: Role, step: &str, random: &mut Random) {
        let ms = Duration::from_millis;
        let planned = draw_fault(role, step, random);
        if role == Role::Serve && self.before == Before::Server {
            // No fault is planned for that server.
            self.before = Before::Nothing;
        }
        match (role, step) {
            (Role::Connect, "Read" | "Dial" | "Hello" | "Prove" | "Welcome" | "Done" | "Leave" | "Backoff") => {}
            (Role::Connect, "Kill" | "Fallback") | (Role::Serve, "Refuse") => {
                self.before = Before::Nothing;
                self.actors[0].part = Part::Client { robust: true, stays: true, version: 7 };
                self.actors[0].faults.push(at_step(Fault::Fail, Role::Serve, "Build"));
            }
            (Role::Connect, _) if self.before == Before::Server => self.before = Before::DeadRecord,
            (Role::Serve, "Write") => {
                self.before = Before::Nothing;
                self.actors.iter_mut().for_each(|client| client.at += ms(60));
                self.add_actor(Part::Server { version: 7 }, ms(0)).faults.push(planned);
                return;
            }
            (Role::Connect, "Wait") => {
                self.before = Before::Nothing;
                self.duration = ms(700);
                self.idle = ms(20_000);
                self.actors.iter_mut().for_each(|client| client.at += ms(60));
                // The server is killed, so there are a record and no life file.
                let (kill, vanish) =
                    (at_step(Fault::Kill, Role::Serve, "Check"), at_step(Fault::Vanish, Role::Serve, "Check"));
                let first = client(random, 0);
                self.actors.push(Actor { faults: vec![vanish, kill], ..first });
                let last = client(random, 1);
                self.actors.push(Actor { at: ms(250), faults: vec![planned], ..last });
                return;
            }
            (Role::Serve, "Reclaim") => {
                self.duration = ms(700);
                self.idle = ms(20_000);
                self.leave_with(Fault::Vanish);
            }
            (Role::Serve, "Check" | "Recheck" | "Restore") => self.damage_point(random),
            (Role::Serve, "Lock" | "Backoff" | "Unlock") if random.below(2) == 0 => {
                self.damage_point(random);
                if step == "Backoff" {
                    // A later client finds the damaged point, locks it, and is stopped while it holds the lock.
                    self.stopped = ms(400);
                    let stop = at_step(Fault::Stop, Role::Connect, "Probe");
                    let late = client(random, 1);
                    self.actors.push(Actor { at: ms(130), faults: vec![stop], ..late });
                }
            }
            (
                Role::Serve,
                "Lock" | "Backoff" | "Look" | "Withdraw" | "Close" | "Unlock" | "Drain" | "Release" | "Done" | "Exit",
            ) => {
                self.duration = ms(700);
                if random.below(2) == 0 {
                    self.add_actor(Part::Retirer, ms(80 + random.below(80)));
                } else {
                    self.idle = ms(50);
                    for actor in &mut self.actors {
                        if let Part::Client { stays, .. } = &mut actor.part {
                            *stays = false;
                        }
                    }
                }
            }
            _ => {}
        }
        self.actors[0].at = ms(0);
        // Any client may start the server, so all of them carry the fault.
        let faulted = if role == Role::Serve { self.actors.len() } else { 1 };
        for actor in &mut self.actors[..faulted] {
            actor.faults.push(planned.clone());
        }
    }

    /// Damages the point after the last client has connected, and leaves the server time to check it.
    fn damage_point(&mut self, random: &mut Random) {
        self.duration = Duration::from_millis(700);
        self.idle = Duration::from_millis(20_000);
        self.leave_with(random.one_of(&POINT_FAULTS));
    }

    /// Has the last client do this once it has connected.
    fn leave_with(&mut self, damage: Fault) {
        if let Some(last) = self.actors.iter_mut().rfind(|actor| matches!(actor.part, Part::Client { .. })) {
            last.faults.push(at_step(damage, Role::Connect, "Leave"));
        }
    }
}

fn client(random: &mut Random, number: u64) -> Actor {
    let at = Duration::from_millis(if number == 0 { 0 } else { random.below(80) });
    let part = Part::Client { robust: random.below(8) == 0, stays: random.below(3) > 0, version: version(random) };
    Actor { part, at, blocks: random.below(2) == 0, faults: Vec::new() }
}

/// Most processes are of one version. A newer client replaces an older server.
fn version(random: &mut Random) -> u32 {
    random.one_of(&[7, 7, 7, 7, 7, 7, 6, 8])
}

fn at_step(fault: Fault, role: Role, step: &str) -> PlannedFault {
    PlannedFault { fault, role, step: step.to_owned(), nth: 1, after: false }
}

fn draw_fault(role: Role, step: &str, random: &mut Random) -> PlannedFault {
    let early = role == Role::Serve && ["Watch", "Claim", "Build"].contains(&step);
    let fault = match random.below(16) {
        0..=5 => Fault::Kill,
        6 | 7 => Fault::Stop,
        8 => random.one_of(&POINT_FAULTS),
        9 => random.one_of(&[Fault::Unlink, Fault::Vanish]),
        10..=12 if role == Role::Connect && !["Done", "Leave"].contains(&step) => Fault::Cancel,
        10..=12 => random.one_of(&[Fault::Kill, Fault::Stop, Fault::Unlink]),
        13 if crate::disk::can_mount() => Fault::Fill,
        _ if early => random.one_of(&[Fault::Fail, Fault::Hang]),
        // The limit on processes does not bind root.
        _ if rustix::process::geteuid().is_root() => random.one_of(&[Fault::Descriptors, Fault::FileSize]),
        _ => random.one_of(&[Fault::Descriptors, Fault::FileSize, Fault::Processes]),
    };
    let nth = if random.below(4) == 0 && RECUR.contains(&step) { 2 } else { 1 };
    PlannedFault {
        fault,
        role,
        step: step.to_owned(),
        nth,
        after: random.below(2) == 0 && !["Leave", "Exit"].contains(&step),
    }
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlannedFault { fault, role, step, nth, after } = self;
        let when = if *after { "after" } else { "before" };
        write!(f, "{fault:?} {when} {role:?} {step} {nth}")
    }
}

impl FromStr for PlannedFault {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(());
        let (fault, when, role, step, nth) = (word()?, word()?, word()?, word()?, word()?);
        Ok(PlannedFault {
            fault: FAULTS.into_iter().find(|known| format!("{known:?}") == fault).ok_or(())?,
            role: [Role::Connect, Role::Serve].into_iter().find(|known| format!("{known:?}") == role).ok_or(())?,
            step: step.to_owned(),
            nth: nth.parse().map_err(|_| ())?,
            after: when == "after",
        })
    }
}

/// Splitmix64: short, and good enough for drawing plans.
pub struct Random(u64);

impl Random {
    fn new(seed: u64, round: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ round.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len() as u64) as usize]
    }
}
