//! A scenario as text: what happens, line by line, and what it changes, in the words of the spec.
//!
//! ```text
//! # Two clients want a server; one starts it.
//! given 2 clients, External
//! c1 Begin External
//! c1 until Spawn
//!     c1 pc: Out → Spawn · …
//! ```
//!
//! A line is a comment (`#`), `given CLIENTS clients, GOAL, …; FAULT, …` (the first one), or something that happens:
//!
//! - `c1 Read`, `s1 Admit c1`, `Tear`: the move of that name, as [`Move`] writes it; where it has several answers,
//!   `c1 Welcome to Lock` is the one after which the actor is there;
//! - `c1 until Spawn`: its moves, as long as there is only one, until it is there;
//! - `everybody until still`: all of them, one move each in turn, until nobody has any. A client that is connected or
//!   over stays; a server does not become idle.
//!
//! What is indented tells what changed; it is written by the run.

use std::collections::BTreeSet;
use std::fmt::Write;

use rendezvous_ipc::proto::serve::Step;

use crate::fault::Fault;
use crate::property;
use crate::slices::{fault, goal};
use crate::world::{Actor, Bounds, Move, World};

/// How many moves a line makes at most.
const MOST: usize = 1_000;

/// Runs a scenario, and writes it with what each line changed. Every world on the way is judged.
pub fn run(text: &str) -> Result<String, String> {
    let mut told = String::new();
    let mut stage: Option<Stage> = None;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with(' ') {
            continue;
        }
        let _ = writeln!(told, "{line}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: String| format!("line {}: {line}: {what}", at + 1);
        match &mut stage {
            None => stage = Some(Stage::new(line).map_err(wrong)?),
            Some(stage) => {
                let before = stage.world.view();
                stage.play(line).map_err(wrong)?;
                let changes = before.changes(&stage.world.view());
                let _ = writeln!(told, "    {}", changes.join(" · "));
            }
        }
    }
    Ok(told)
}

struct Stage {
    bounds: Bounds,
    world: World,
}

impl Stage {
    /// `given 2 clients, External, Serve; kill client`
    fn new(line: &str) -> Result<Self, String> {
        let given = line.strip_prefix("given ").ok_or("the first line is: given N clients, GOAL, …; FAULT, …")?;
        let (wants, faults) = given.split_once(';').unwrap_or((given, ""));
        let mut wants = wants.split(',').map(str::trim);
        let clients =
            wants.next().and_then(|count| count.split(' ').next()?.parse().ok()).ok_or("how many clients?")?;
        let faults: Vec<Fault> = faults.split(',').map(str::trim).filter(|name| !name.is_empty()).map(fault).collect();
        let bounds = Bounds {
            clients,
            slots: 6,
            goals: wants.map(goal).collect(),
            budget: faults.len() as u8,
            faults: BTreeSet::from_iter(faults),
            rounds: 0,
        };
        Ok(Stage { world: World::new(&bounds), bounds })
    }

    fn play(&mut self, line: &str) -> Result<(), String> {
        if line == "everybody until still" {
            return self.until_still();
        }
        match line.split_once(" until ") {
            Some((who, pc)) => self.until(who, pc),
            None => self.once(line),
        }
    }

    fn once(&mut self, line: &str) -> Result<(), String> {
        let (name, pc) = line.split_once(" to ").map_or((line, None), |(name, pc)| (name, Some(pc)));
        let fits = |step: &Move| step.to_string() == name && pc.is_none_or(|pc| self.reaches(step, pc));
        let moves = self.world.moves(&self.bounds);
        let can = || moves.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let fitting: Vec<&Move> = moves.iter().filter(|step| fits(step)).collect();
        match fitting[..] {
            [step] => self.take(step.clone()),
            [] => Err(format!("that cannot happen here; this can: {}", can())),
            _ => Err("say where it leads: there are several answers".into()),
        }
    }

    fn until(&mut self, who: &str, pc: &str) -> Result<(), String> {
        for _ in 0..MOST {
            if self.world.view().0.get(&format!("{who} pc")).is_some_and(|now| now == pc) {
                return Ok(());
            }
            let moves = self.own(|actor| actor.to_string() == who);
            match &moves[..] {
                [step] => self.take(step.clone())?,
                [] => return Err(format!("{who} cannot go on, and is not at {pc}")),
                several => {
                    let names: Vec<String> = several.iter().map(ToString::to_string).collect();
                    return Err(format!("there are several ways: {}", names.join(", ")));
                }
            }
        }
        Err(format!("{who} never comes to {pc}"))
    }

    /// In turn, so that nobody is left behind.
    fn until_still(&mut self) -> Result<(), String> {
        for _ in 0..MOST {
            let mut still = true;
            let actors = (0..self.bounds.clients).map(Actor::Client).chain((0..self.bounds.slots).map(Actor::Server));
            for actor in actors {
                if let Some(step) = self.own(|who| who == actor).into_iter().next() {
                    self.take(step)?;
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
        let mut moves = self.world.moves(&Bounds { faults: BTreeSet::new(), ..self.bounds.clone() });
        moves.retain(|step| {
            let decided = matches!(step.action, "Begin" | "Leave") || step.goes_idle(&self.world);
            !decided && step.who.is_some_and(&whose)
        });
        moves
    }

    fn reaches(&self, step: &Move, pc: &str) -> bool {
        step.who.is_some_and(|who| step.to.view().0.get(&format!("{who} pc")).is_some_and(|now| now == pc))
    }

    fn take(&mut self, step: Move) -> Result<(), String> {
        property::judge(&self.world, Some(&step))?;
        property::judge(&step.to, None)?;
        self.world = step.to;
        Ok(())
    }
}

impl Move {
    /// An idle server begins to retire.
    fn goes_idle(&self, from: &World) -> bool {
        let Some(Actor::Server(s)) = self.who.filter(|_| self.action == "Serve") else { return false };
        let idle = |step: &Step| step.facts().purpose == "Idle";
        !from.servers[s].told && self.to.servers[s].step.as_ref().is_some_and(idle)
    }
}
