//! Many clients and the servers that they start, in the modelled world, in any order and with any faults.
//!
//! The model checks its properties after every step. After the script no more faults occur, one more client
//! connects, and all processes go on in an arbitrary order. In the end all connects have ended, and all servers.

use arbitrary::Arbitrary;
use rendezvous_ipc::proto::serving::WhenLost;
use rendezvous_model::{At, Bounds, Fault, GOALS, Move, World, property};

use crate::script;

/// Runs the bytes as a script.
pub fn check(bytes: &[u8]) {
    script::<Script>(bytes).run();
}

/// How many clients there are, and the operations in order.
#[derive(Arbitrary, Clone, Debug)]
pub struct Script {
    pub clients: u8,
    pub operations: Vec<Operation>,
}

/// An operation. Numbers are taken modulo the number of choices.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Operation {
    /// A process that can go on does.
    Step {
        who: u8,
        how: u8,
    },
    Fault(u8),
}

/// More steps than any run needs to end.
const MOST: u32 = 20_000;

impl Script {
    pub fn run(&self) {
        let clients = 1 + usize::from(self.clients % 4);
        let bounds = Bounds {
            away: None,
            older: None,
            when_lost: WhenLost::Retire,
            clients,
            slots: 3 * clients + 3,
            goals: GOALS.iter().map(|(goal, _)| *goal).collect(),
            // Faults that remove a life file weaken the guarantees, so they have slices of their own.
            faults: Fault::ALL.into_iter().filter(|fault| !fault.is_of_life()).collect(),
            budget: 8,
            rounds: 10,
        };
        let mut herd = Herd { world: World::new(&bounds), bounds, trace: Vec::new() };
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
        herd.fails("the run does not end");
    }
}

struct Herd {
    bounds: Bounds,
    world: World,
    trace: Vec<String>,
}

impl Herd {
    /// The possible moves: faults, and all others.
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
        self.trace.push(step.to_string());
        let judged = property::judge(&self.world, Some(&step)).and_then(|()| property::judge(&step.to, None));
        if let Err(wrong) = judged {
            self.fails(&wrong);
        }
        self.world = step.to;
    }

    /// Nothing can happen any more, so no process may be left, and no lock may be held.
    fn is_over(&self) {
        let World { clients, servers, locks, life, .. } = &self.world;
        let over = clients.iter().all(|client| client.at == At::Out) && servers.iter().all(|server| server.is_free());
        if !over || *locks != [None; 2] || !life.unheld() {
            self.fails("no move is possible, but the run is not over");
        }
    }

    fn fails(&self, wrong: &str) -> ! {
        panic!("{wrong}:\n{}", self.trace.join("\n"))
    }
}
