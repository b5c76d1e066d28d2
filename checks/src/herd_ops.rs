//! A herd of clients and the servers that they start, in the modelled world, in any order and with any faults.
//!
//! What must be true is said by the model. When the script is over no fault happens any more, one more client comes,
//! everybody goes on in no particular order, and in the end all connects are over, and all servers gone.

use arbitrary::Arbitrary;
use rendezvous_model::{At, Bounds, Fault, GOALS, Move, World, property};

use crate::script;

/// Runs the bytes as a script.
pub fn check(bytes: &[u8]) {
    script::<Script>(bytes).run();
}

/// How many clients there are, and what happens one after the other.
#[derive(Arbitrary, Clone, Debug)]
pub struct Script {
    pub clients: u8,
    pub operations: Vec<Operation>,
}

/// Something that can happen then. Numbers are taken modulo how many there are.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Operation {
    /// Somebody who can go on does.
    Step {
        who: u8,
        how: u8,
    },
    Fault(u8),
}

/// Longer than it takes all to end.
const MOST: u32 = 20_000;

impl Script {
    pub fn run(&self) {
        let clients = 1 + usize::from(self.clients % 4);
        let bounds = Bounds {
            away: None,
            clients,
            slots: 3 * clients + 3,
            goals: GOALS.iter().map(|(goal, _)| *goal).collect(),
            // What is promised where a life file is removed holds of that fault alone: it has slices of its own.
            faults: Fault::ALL.into_iter().filter(|fault| !fault.is_of_life()).collect(),
            budget: 8,
            rounds: 10,
        };
        let mut herd = Herd { world: World::new(&bounds), bounds, story: Vec::new() };
        for operation in self.operations.iter().take(500) {
            let (faults, steps) = herd.moves();
            match *operation {
                Operation::Step { who, how } => herd.step(steps, who, how),
                Operation::Fault(which) if !faults.is_empty() => herd.goes(faults, which.into()),
                Operation::Fault(_) => {}
            }
        }
        herd.world.left = 0;
        herd.world.rounds = herd.world.rounds.min(1);
        let mut random = 1_u32;
        for _ in 0..MOST {
            let (_, steps) = herd.moves();
            if steps.is_empty() {
                return herd.is_over();
            }
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            herd.step(steps, (random >> 24) as u8, (random >> 16) as u8);
        }
        herd.fails("it does not end");
    }
}

struct Herd {
    bounds: Bounds,
    world: World,
    story: Vec<String>,
}

impl Herd {
    /// What can happen: faults, and all else.
    fn moves(&self) -> (Vec<Move>, Vec<Move>) {
        self.world.moves(&self.bounds).into_iter().partition(|step| step.to.left < self.world.left)
    }

    fn step(&mut self, mut steps: Vec<Move>, who: u8, how: u8) {
        let mut all: Vec<_> = steps.iter().map(|step| step.who).collect();
        all.sort();
        all.dedup();
        if !all.is_empty() {
            let who = all[usize::from(who) % all.len()];
            steps.retain(|step| step.who == who);
            self.goes(steps, how.into());
        }
    }

    fn goes(&mut self, mut moves: Vec<Move>, which: usize) {
        let step = moves.swap_remove(which % moves.len());
        self.story.push(step.to_string());
        let judged = property::judge(&self.world, Some(&step)).and_then(|()| property::judge(&step.to, None));
        if let Err(wrong) = judged {
            self.fails(&wrong);
        }
        self.world = step.to;
    }

    /// Nothing can happen any more: so nobody is there, and nothing is held.
    fn is_over(&self) {
        let World { clients, servers, locks, life, .. } = &self.world;
        let over = clients.iter().all(|client| client.at == At::Out) && servers.iter().all(|server| server.is_free());
        if !over || *locks != [None; 2] || !life.unheld() {
            self.fails("nothing can happen any more");
        }
    }

    fn fails(&self, wrong: &str) -> ! {
        panic!("{wrong}:\n{}", self.story.join("\n"))
    }
}
