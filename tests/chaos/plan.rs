//! What is to happen in a round: all of it is drawn from the seed and the round's number.
//!
//! What the system schedules it does not decide. So a round that failed says its plan, and fails again soon.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The steps of a client, as the driver tells them. `Leave` is this program's own, behind the last.
const CONNECT: [&str; 20] = [
    "Read", "Lock", "Reread", "Probe", "Clear", "Spawn", "Await", "Verify", "Write", "Confirm", "Fallback", "Dial",
    "Hello", "Prove", "Welcome", "Kill", "Unlock", "Backoff", "Done", "Leave",
];

/// The steps of a server, those of a handshake among them. `Exit` is this program's own, behind the last.
const SERVE: [&str; 25] = [
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

/// Steps that one process comes to more than once.
const RECUR: [&str; 13] = [
    "Read", "Lock", "Reread", "Probe", "Dial", "Prove", "Unlock", "Backoff", "Serve", "Check", "Answer", "Admit",
    "Welcome",
];

/// All steps of both, with their roles.
pub fn steps() -> impl Iterator<Item = (Role, &'static str)> {
    let of = |role, steps: &'static [&'static str]| steps.iter().map(move |step| (role, *step));
    of(Role::Connect, &CONNECT).chain(of(Role::Serve, &SERVE))
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    Connect,
    Serve,
}

/// What befalls a process, or the point, at a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fate {
    /// The process is killed.
    Kill,
    /// It is stopped, and continued later.
    Stop,
    /// Its handler cannot be built.
    Fail,
    /// Its handler hangs while it is built.
    Hang,
    /// It can open nothing any more.
    Descriptors,
    /// It can write no long files any more.
    FileSize,
    /// It can start no process and no thread any more.
    Processes,
    /// The point is deleted.
    Delete,
    /// The point is emptied.
    Empty,
    /// The point is cut in the middle.
    Cut,
    /// A byte of the point is changed.
    Corrupt,
    /// The point is replaced by another file, of nonsense.
    Replace,
    /// The point is overwritten by the record of a server that is gone.
    Old,
}

const POINT_FATES: [Fate; 6] = [Fate::Delete, Fate::Empty, Fate::Cut, Fate::Corrupt, Fate::Replace, Fate::Old];

/// A fate, and when: just before a process's n-th step of that name, or just after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doom {
    pub fate: Fate,
    pub role: Role,
    pub step: String,
    pub nth: u32,
    pub after: bool,
}

/// What there is before anybody comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Before {
    Nothing,
    DeadRecord,
    Nonsense,
    Server,
}

/// What one who took a dead server's port does to those who connect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stranger {
    Silent,
    HangsUp,
    Talks,
    /// Says all that it hears.
    Echoes,
}

#[derive(Clone, Debug)]
pub enum Part {
    Client { robust: bool, stays: bool, version: u32 },
    Server,
    Retirer,
}

/// A process: when it begins, and what is to befall it and the servers that it starts.
#[derive(Clone, Debug)]
pub struct Actor {
    pub part: Part,
    pub at: Duration,
    pub dooms: Vec<Doom>,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub before: Before,
    pub actors: Vec<Actor>,
    /// After how long a server retires.
    pub idle: Duration,
    /// For how long who is stopped stays so.
    pub stopped: Duration,
    /// Who takes the port of a server that was killed.
    pub stranger: Option<Stranger>,
    /// How long what was planned may take to happen.
    pub lasts: Duration,
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
            idle: if random.below(2) == 0 { ms(50 + random.below(150)) } else { ms(20_000) },
            stopped: ms(if random.below(3) == 0 { 300 + random.below(500) } else { random.below(200) }),
            stranger: (random.below(2) == 0)
                .then(|| random.one_of(&[Stranger::Silent, Stranger::HangsUp, Stranger::Talks, Stranger::Echoes])),
            lasts: ms(150 + random.below(200)),
        };
        if random.below(4) == 0 {
            plan.joins(Part::Server, ms(random.below(60)));
        }
        if random.below(4) == 0 {
            plan.joins(Part::Retirer, ms(random.below(120)));
        }
        if calm {
            plan.hurries();
            return plan;
        }
        let steps: Vec<_> = steps().collect();
        let (role, step) = random.one_of(&steps);
        plan.leads_to(role, step, &mut random);
        for _ in 0..random.below(3) {
            let (role, step) = random.one_of(&steps);
            let at = random.below(plan.actors.len() as u64) as usize;
            let doom = doom(role, step, &mut random);
            plan.actors[at].dooms.push(doom);
        }
        if plan.explains_nothing() {
            plan.hurries();
        }
        plan
    }

    /// Nothing happens that another connect could fail for: clients are killed at most.
    pub fn explains_nothing(&self) -> bool {
        let mut dooms = self.actors.iter().flat_map(|actor| &actor.dooms);
        dooms.all(|doom| (doom.fate, doom.role) == (Fate::Kill, Role::Connect))
    }

    /// Nobody comes, and nothing happens to anybody.
    pub fn calm() -> Self {
        Plan {
            before: Before::Nothing,
            actors: Vec::new(),
            idle: Duration::ZERO,
            stopped: Duration::ZERO,
            stranger: None,
            lasts: Duration::ZERO,
        }
    }

    fn joins(&mut self, part: Part, at: Duration) -> &mut Actor {
        self.actors.push(Actor { part, at, dooms: Vec::new() });
        self.actors.last_mut().expect("it was pushed")
    }

    /// Whether a server may be told to retire.
    pub fn retires(&self) -> bool {
        self.actors.iter().any(|actor| matches!(actor.part, Part::Retirer | Part::Client { version: 8, .. }))
    }

    /// Nobody stays whom a server that retires would wait for: a few drains after each other are longer than a connect.
    fn hurries(&mut self) {
        let retires = self.retires();
        for actor in &mut self.actors {
            if let Part::Client { stays, .. } = &mut actor.part {
                *stays &= !retires;
            }
        }
    }

    /// Dooms a process at this step, and arranges that one comes to it.
    fn leads_to(&mut self, role: Role, step: &str, random: &mut Random) {
        let ms = Duration::from_millis;
        let doom = doom(role, step, random);
        if role == Role::Serve && self.before == Before::Server {
            // That one is doomed to nothing.
            self.before = Before::Nothing;
        }
        match (role, step) {
            (Role::Connect, "Read" | "Dial" | "Hello" | "Prove" | "Welcome" | "Done" | "Leave" | "Backoff") => {}
            (Role::Connect, "Kill" | "Fallback") | (Role::Serve, "Refuse") => {
                self.before = Before::Nothing;
                self.actors[0].part = Part::Client { robust: true, stays: true, version: 7 };
                self.actors[0].dooms.push(at_step(Fate::Fail, Role::Serve, "Build"));
            }
            (Role::Connect, _) if self.before == Before::Server => self.before = Before::DeadRecord,
            (Role::Serve, "Write") => {
                self.before = Before::Nothing;
                self.actors.iter_mut().for_each(|client| client.at += ms(60));
                self.joins(Part::Server, ms(0)).dooms.push(doom);
                return;
            }
            (Role::Serve, "Check" | "Recheck" | "Restore") => self.damages(random),
            (Role::Serve, "Lock" | "Backoff" | "Unlock") if random.below(2) == 0 => {
                self.damages(random);
                if step == "Backoff" {
                    // Who comes to the damaged point is stopped when it has locked it.
                    self.stopped = ms(400);
                    let stop = at_step(Fate::Stop, Role::Connect, "Probe");
                    let late = client(random, 1);
                    self.actors.push(Actor { at: ms(130), dooms: vec![stop], ..late });
                }
            }
            (
                Role::Serve,
                "Lock" | "Backoff" | "Look" | "Withdraw" | "Close" | "Unlock" | "Drain" | "Release" | "Done" | "Exit",
            ) => {
                self.lasts = ms(700);
                if random.below(2) == 0 {
                    self.joins(Part::Retirer, ms(80 + random.below(80)));
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
        // Whoever starts the server, it is the one that was meant.
        let doomed = if role == Role::Serve { self.actors.len() } else { 1 };
        for actor in &mut self.actors[..doomed] {
            actor.dooms.push(doom.clone());
        }
    }

    /// The point is damaged when the last client is connected, and there is time to look after it.
    fn damages(&mut self, random: &mut Random) {
        self.lasts = Duration::from_millis(700);
        self.idle = Duration::from_millis(20_000);
        let damage = random.one_of(&POINT_FATES);
        if let Some(last) = self.actors.iter_mut().rfind(|actor| matches!(actor.part, Part::Client { .. })) {
            last.dooms.push(at_step(damage, Role::Connect, "Leave"));
        }
    }
}

fn client(random: &mut Random, number: u64) -> Actor {
    let at = Duration::from_millis(if number == 0 { 0 } else { random.below(80) });
    let part = Part::Client {
        robust: random.below(8) == 0,
        stays: random.below(3) > 0,
        version: if random.below(8) == 0 { 8 } else { 7 },
    };
    Actor { part, at, dooms: Vec::new() }
}

fn at_step(fate: Fate, role: Role, step: &str) -> Doom {
    Doom { fate, role, step: step.to_owned(), nth: 1, after: false }
}

fn doom(role: Role, step: &str, random: &mut Random) -> Doom {
    let early = role == Role::Serve && ["Watch", "Claim", "Build"].contains(&step);
    let fate = match random.below(10) {
        0..=5 => Fate::Kill,
        6 | 7 => Fate::Stop,
        8 => random.one_of(&POINT_FATES),
        _ if early => random.one_of(&[Fate::Fail, Fate::Hang]),
        // Nobody limits root's processes.
        _ if rustix::process::geteuid().is_root() => random.one_of(&[Fate::Descriptors, Fate::FileSize]),
        _ => random.one_of(&[Fate::Descriptors, Fate::FileSize, Fate::Processes]),
    };
    let nth = if random.below(4) == 0 && RECUR.contains(&step) { 2 } else { 1 };
    Doom { fate, role, step: step.to_owned(), nth, after: random.below(2) == 0 && !["Leave", "Exit"].contains(&step) }
}

impl fmt::Display for Doom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Doom { fate, role, step, nth, after } = self;
        let when = if *after { "after" } else { "before" };
        write!(f, "{fate:?} {when} {role:?} {step} {nth}")
    }
}

impl FromStr for Doom {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(());
        let (fate, when, role, step, nth) = (word()?, word()?, word()?, word()?, word()?);
        Ok(Doom {
            fate: FATES.into_iter().find(|known| format!("{known:?}") == fate).ok_or(())?,
            role: [Role::Connect, Role::Serve].into_iter().find(|known| format!("{known:?}") == role).ok_or(())?,
            step: step.to_owned(),
            nth: nth.parse().map_err(|_| ())?,
            after: when == "after",
        })
    }
}

const FATES: [Fate; 13] = [
    Fate::Kill,
    Fate::Stop,
    Fate::Fail,
    Fate::Hang,
    Fate::Descriptors,
    Fate::FileSize,
    Fate::Processes,
    Fate::Delete,
    Fate::Empty,
    Fate::Cut,
    Fate::Corrupt,
    Fate::Replace,
    Fate::Old,
];

/// Splitmix: small, and good enough to choose by.
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
