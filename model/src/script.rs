//! A scenario as text: what happens, line by line, and what it changes, in the words of the spec.
//!
//! ```text
//! # Two clients want a server; one starts it.
//! given 2 clients, External
//! c1 Begin External
//! c1 until Spawn
//!     c1 free: FALSE → TRUE · pc: Read → Spawn
//!     plock 0: none → c1
//! ```
//!
//! A line is a comment (`#`), `given CLIENTS clients, GOAL, …; FAULT, …` (the first one), or something that happens:
//!
//! - `c1 Read`, `s1 Admit c1`, `Tear Torn`: the move of that name, as [`Move`] writes it; where it has several answers,
//!   `c1 Welcome to Lock` is the one after which the actor is there;
//! - `c1 until Spawn`: its moves, as long as there is only one, until it is there;
//! - `c1, s1 until still`, `everybody until still`: their moves, one each in turn, until they have none. A client that
//!   is connected or over stays; a server does not become idle.
//!
//! or something that must be so: `expect c1 out Welcomed, file 0 s1`, in the words of the outcomes, or `c1 waits`: it has
//! no move until somebody else makes one.
//!
//! What is indented tells what changed; it is written by the run. A slot that nothing refers to is used again: what is
//! called `s1` from then on is another server, of another cookie.

use std::collections::BTreeSet;
use std::fmt::Write;

use rendezvous_ipc::proto::serve::Step;

use crate::fault::Fault;
use crate::property;
use crate::slices::{fault, goal};
use crate::view::{View, shown};
use crate::world::{Actor, Bounds, Move, World};

/// How many moves a line makes at most.
const MOST: usize = 1_000;
/// What the first line has to be.
const GIVEN: &str = "the first line is: given CLIENTS clients, GOAL, …; FAULT, …";
/// What says nothing about what happened.
const BOOKKEEPING: [&str; 3] = ["left", "rounds", "clean"];

/// Runs a scenario, and writes it with what each line changed. Every world on the way is judged.
pub fn run(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut stage: Option<Stage> = None;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with(' ') {
            continue;
        }
        let _ = writeln!(out, "{line}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: String| format!("line {}: {line}: {what}", at + 1);
        match &mut stage {
            None => stage = Some(Stage::new(line).map_err(wrong)?),
            Some(stage) => {
                let before = stage.world.view();
                stage.play(line).map_err(wrong)?;
                out.push_str(&outcome(&before, &stage.world.view()));
            }
        }
    }
    stage.map(|_| out).ok_or_else(|| GIVEN.into())
}

/// A line for each whom something happened to.
fn outcome(before: &View, after: &View) -> String {
    let mut out = String::new();
    let mut about = None;
    for (path, change) in before.changed(after).filter(|(path, _)| !BOOKKEEPING.contains(path)) {
        let (whose, what) = path.rsplit_once(' ').unwrap_or(("", path));
        let _ = match about == Some(whose) {
            true => write!(out, " · {what}: {change}"),
            false => write!(out, "\n    {path}: {change}"),
        };
        about = Some(whose);
    }
    if out.is_empty() { out } else { out.split_off(1) + "\n" }
}

struct Stage {
    bounds: Bounds,
    world: World,
}

impl Stage {
    /// `given 2 clients, External, Serve; kill client`
    fn new(line: &str) -> Result<Self, String> {
        let given = line.strip_prefix("given ").ok_or(GIVEN)?;
        let (wants, faults) = given.split_once(';').unwrap_or((given, ""));
        let mut wants = wants.split(',').map(str::trim);
        let clients = wants.next().and_then(|count| count.trim_end_matches('s').strip_suffix(" client")?.parse().ok());
        let clients = clients.filter(|count| (1..=9).contains(count)).ok_or("1 to 9 clients")?;
        let goals = wants.map(|name| goal(name).ok_or(format!("nobody wants {name}"))).collect::<Result<_, _>>()?;
        let faults = faults.split(',').map(str::trim).filter(|name| !name.is_empty());
        let faults: Vec<Fault> =
            faults.map(|name| fault(name).ok_or(format!("no fault is called {name}"))).collect::<Result<_, _>>()?;
        if faults.len() > 20 {
            return Err("20 faults at most".into());
        }
        let bounds = Bounds {
            away: None,
            clients,
            slots: 2 * clients + faults.len() + 2,
            goals,
            budget: faults.len() as u8,
            faults: BTreeSet::from_iter(faults),
            // Limited, so that who begins after the last fault is known, and Convergence judged.
            rounds: u8::MAX,
        };
        Ok(Stage { world: World::new(&bounds), bounds })
    }

    fn play(&mut self, line: &str) -> Result<(), String> {
        if let Some(expected) = line.strip_prefix("expect ") {
            return expected.split(", ").try_for_each(|expected| self.expect(expected));
        }
        if let Some(who) = line.strip_suffix(" waits") {
            return self.waits(who);
        }
        match line.split_once(" until ") {
            Some((who, "still")) => self.until_still(who),
            Some((who, pc)) => self.until(self.actor(who)?, pc),
            None => self.once(line),
        }
    }

    /// `c1 pc Done`
    fn expect(&self, expected: &str) -> Result<(), String> {
        let view = self.world.view().0;
        let (path, value) = expected.rsplit_once(' ').ok_or("of what?")?;
        let now = view.get(path).ok_or(format!("nothing is called {path}"))?;
        if shown(now) == value { Ok(()) } else { Err(format!("{path} is {}", shown(now))) }
    }

    fn waits(&self, who: &str) -> Result<(), String> {
        let who = self.actor(who)?;
        let moves = self.own(|actor| actor == who);
        if moves.is_empty() { Ok(()) } else { Err(format!("it does not: {}", names(&moves))) }
    }

    fn actors(&self) -> impl Iterator<Item = Actor> {
        (0..self.bounds.clients).map(Actor::Client).chain((0..self.bounds.slots).map(Actor::Server))
    }

    fn actor(&self, name: &str) -> Result<Actor, String> {
        self.actors().find(|actor| actor.to_string() == name).ok_or(format!("there is no {name}"))
    }

    fn once(&mut self, line: &str) -> Result<(), String> {
        let (name, pc) = line.split_once(" to ").map_or((line, None), |(name, pc)| (name, Some(pc)));
        let moves = self.world.moves(&self.bounds);
        let fits = |step: &Move| {
            step.to_string() == name && pc.is_none_or(|pc| step.who.is_some_and(|who| is_at(&step.to, who, pc)))
        };
        let fitting: Vec<&Move> = moves.iter().filter(|step| fits(step)).collect();
        match fitting[..] {
            [] => Err(format!("that cannot happen here; this can: {}", names(&moves))),
            [step, ref more @ ..] if more.iter().all(|other| other.to == step.to) => self.take(step.clone()),
            _ => Err("say where it leads: there are several answers".into()),
        }
    }

    fn until(&mut self, who: Actor, pc: &str) -> Result<(), String> {
        for _ in 0..MOST {
            if is_at(&self.world, who, pc) {
                return Ok(());
            }
            let moves = self.own(|actor| actor == who);
            match &moves[..] {
                [step] => self.take(step.clone())?,
                [] => return Err(format!("{who} cannot go on, and is not at {pc}")),
                several => return Err(format!("there are several ways: {}", names(several))),
            }
        }
        Err(format!("{who} never comes to {pc}"))
    }

    /// In turn, so that nobody is left behind.
    fn until_still(&mut self, who: &str) -> Result<(), String> {
        let actors: Vec<Actor> = match who {
            "everybody" => self.actors().collect(),
            named => named.split(", ").map(|name| self.actor(name)).collect::<Result<_, _>>()?,
        };
        for _ in 0..MOST {
            let mut still = true;
            for &actor in &actors {
                let moves = self.own(|who| who == actor);
                // Who is greeted answers first, however long it tries to get a lock.
                let greeting = moves.iter().find(|step| !step.about.is_empty());
                if let Some(step) = greeting.or(moves.first()) {
                    self.take(step.clone())?;
                    still = false;
                }
            }
            if still {
                return Ok(());
            }
        }
        Err("there is no end to it".into())
    }

    /// The moves of an actor that nobody has to decide on.
    fn own(&self, whose: impl Fn(Actor) -> bool) -> Vec<Move> {
        let mut moves = self.world.moves(&self.bounds);
        moves.retain(|step| {
            let fault = step.to.left < self.world.left;
            let decided = fault || matches!(step.action, "Begin" | "Leave") || step.goes_idle(&self.world);
            !decided && step.who.is_some_and(&whose)
        });
        moves
    }

    fn take(&mut self, step: Move) -> Result<(), String> {
        property::judge(&self.world, Some(&step))?;
        property::judge(&step.to, None)?;
        self.world = step.to;
        Ok(())
    }
}

fn is_at(world: &World, who: Actor, pc: &str) -> bool {
    world.view().0.get(&format!("{who} pc")).is_some_and(|now| now == pc)
}

fn names(moves: &[Move]) -> String {
    moves.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Move {
    /// An idle server begins to retire.
    fn goes_idle(&self, from: &World) -> bool {
        let Some(Actor::Server(s)) = self.who.filter(|_| self.action == "Serve") else { return false };
        let idle = |step: &Step| step.facts().purpose == "Idle";
        !from.servers[s].requested && self.to.servers[s].step.as_ref().is_some_and(idle)
    }
}
