//! A scenario as text: the moves, line by line, and the changes that they make, in the words of the spec.
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
//! A line is a comment (`#`), `given CLIENTS clients, GOAL, …; FAULT, …; CHOICE` (the first one), one or more moves:
//!
//! - `c1 Read`, `s1 Admit c1`, `Tear Torn`: the move of that name, as [`Move`] displays it; if it has several results,
//!   `c1 Welcome to Lock` is the one that leads the actor to that step;
//! - `c1 until Spawn`: the actor's moves until it is at that step; at each step it must have only one;
//! - `c1, s1 until still`, `everybody until still`: the actors' moves, one each in turn, until they have none. A
//!   client that is connected or has ended stays; a server does not become idle.
//!
//! or an assertion: `expect c1 out Welcomed, file 0 s1`, in the words of the changes, or `c1 waits`: the actor has no
//! move until another actor makes one.
//!
//! With a `CHOICE` the first client is of an older version of the service, as are the servers that it starts, and the other
//! clients do that with older servers.
//!
//! The run writes the indented lines, which list the changes. A slot that nothing refers to is reused: `s1` is then the
//! name of another server, with another cookie.

use std::collections::BTreeSet;
use std::fmt::Write;

use rendezvous_ipc::proto::serve::Step;
use rendezvous_ipc::proto::serving::WhenLost;

use crate::fault::Fault;
use crate::property;
use crate::slices::{choice, fault, goal};
use crate::view::{View, shown};
use crate::world::{Actor, Bounds, Move, World};

/// The highest number of moves of one line.
const MOST: usize = 1_000;
/// The error for a wrong first line.
const GIVEN: &str = "the first line is: given CLIENTS clients, GOAL, …; FAULT, …; CHOICE";
/// The variables that are left out of the changes: they only count.
const BOOKKEEPING: [&str; 3] = ["left", "rounds", "clean"];

/// Runs a scenario, checks every world on the way, and returns the text with the changes that each line makes.
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

/// Returns a line of changes for each actor or file that changed.
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
    /// `given 2 clients, External, Serve; kill client`; or `given 2 clients, External; ; Join`, where the first client is
    /// of an older version, and the others make this choice.
    fn new(line: &str) -> Result<Self, String> {
        let given = line.strip_prefix("given ").ok_or(GIVEN)?;
        let (wants, rest) = given.split_once(';').unwrap_or((given, ""));
        let (faults, older) = rest.split_once(';').unwrap_or((rest, ""));
        let older = match older.trim() {
            "" => None,
            name => Some(choice(name).ok_or(format!("no choice is called {name}"))?),
        };
        let mut wants = wants.split(',').map(str::trim);
        let clients = wants.next().and_then(|count| count.trim_end_matches('s').strip_suffix(" client")?.parse().ok());
        let clients = clients.filter(|count| (1..=9).contains(count)).ok_or("1 to 9 clients")?;
        let goals =
            wants.map(|name| goal(name).ok_or(format!("no goal is called {name}"))).collect::<Result<_, _>>()?;
        let faults = faults.split(',').map(str::trim).filter(|name| !name.is_empty());
        let faults: Vec<Fault> =
            faults.map(|name| fault(name).ok_or(format!("no fault is called {name}"))).collect::<Result<_, _>>()?;
        if faults.len() > 20 {
            return Err("20 faults at most".into());
        }
        let bounds = Bounds {
            away: None,
            older,
            when_lost: WhenLost::Retire,
            clients,
            slots: 2 * clients + faults.len() + 2,
            goals,
            budget: faults.len() as u8,
            faults: BTreeSet::from_iter(faults),
            // With a limit, the world records which clients began after the last fault, which Convergence needs.
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
        let (path, value) = expected.rsplit_once(' ').ok_or("expect needs a name and a value")?;
        let now = view.get(path).ok_or(format!("nothing is called {path}"))?;
        if shown(now) == value { Ok(()) } else { Err(format!("{path} is {}", shown(now))) }
    }

    fn waits(&self, who: &str) -> Result<(), String> {
        let who = self.actor(who)?;
        let moves = self.own(|actor| actor == who);
        if moves.is_empty() { Ok(()) } else { Err(format!("it does not wait; possible moves: {}", names(&moves))) }
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
            [] => Err(format!("this move is not possible; possible moves: {}", names(&moves))),
            [step, ref more @ ..] if more.iter().all(|other| other.to == step.to) => self.take(step.clone()),
            _ => Err("the move has several results: name the next step".into()),
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
                [] => return Err(format!("{who} has no move, and is not at {pc}")),
                several => return Err(format!("there are several moves: {}", names(several))),
            }
        }
        Err(format!("{who} does not reach {pc}"))
    }

    /// Makes the actors' moves in turn, so that each of them advances.
    fn until_still(&mut self, who: &str) -> Result<(), String> {
        let actors: Vec<Actor> = match who {
            "everybody" => self.actors().collect(),
            named => named.split(", ").map(|name| self.actor(name)).collect::<Result<_, _>>()?,
        };
        for _ in 0..MOST {
            let mut still = true;
            for &actor in &actors {
                let moves = self.own(|who| who == actor);
                // Messages of handshakes come first: a server that tries a lock again and again would never answer.
                let message = moves.iter().find(|step| !step.about.is_empty());
                if let Some(step) = message.or(moves.first()) {
                    self.take(step.clone())?;
                    still = false;
                }
            }
            if still {
                return Ok(());
            }
        }
        Err("the actors do not come to rest".into())
    }

    /// Returns the moves of an actor that a scenario need not name.
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
    /// Returns whether an idle server begins to retire in this move.
    fn goes_idle(&self, from: &World) -> bool {
        let Some(Actor::Server(s)) = self.who.filter(|_| self.action == "Serve") else { return false };
        let idle = |step: &Step| step.facts().purpose == "Idle";
        !from.servers[s].requested && self.to.servers[s].step.as_ref().is_some_and(idle)
    }
}
