//! Counts what happened in all rounds together.

use std::collections::BTreeMap;
use std::fmt;

use crate::plan::{self, Fault, PlannedFault, Role};

#[derive(Default)]
pub struct Tally {
    pub rounds: u64,
    pub connects: u64,
    pub orphans: u64,
    /// Failures that no fault explains.
    pub unexplained: u64,
    /// Rounds that were repeated, since the machine stood still.
    pub repeated: u64,
    /// Kills and stops, before a step and after it.
    steps: BTreeMap<(Role, String), Hits>,
    faults: BTreeMap<Fault, u64>,
    strangers: BTreeMap<plan::Stranger, u64>,
    failures: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Hits {
    killed: [u64; 2],
    stopped: [u64; 2],
}

impl Tally {
    pub fn record_fault(&mut self, planned: &PlannedFault) {
        *self.faults.entry(planned.fault).or_default() += 1;
        let hits = self.steps.entry((planned.role, planned.step.clone())).or_default();
        match planned.fault {
            Fault::Kill => hits.killed[usize::from(planned.after)] += 1,
            Fault::Stop => hits.stopped[usize::from(planned.after)] += 1,
            _ => {}
        }
    }

    pub fn record_stranger(&mut self, stranger: plan::Stranger) {
        *self.strangers.entry(stranger).or_default() += 1;
    }

    /// Records a failure, and what explains it.
    pub fn record_failure(&mut self, how: String) {
        *self.failures.entry(how).or_default() += 1;
    }

    pub fn add(&mut self, other: Tally) {
        self.rounds += other.rounds;
        self.connects += other.connects;
        self.orphans += other.orphans;
        self.unexplained += other.unexplained;
        self.repeated += other.repeated;
        for (step, hits) in other.steps {
            let sum = self.steps.entry(step).or_default();
            for side in 0..2 {
                sum.killed[side] += hits.killed[side];
                sum.stopped[side] += hits.stopped[side];
            }
        }
        add(&mut self.faults, other.faults);
        add(&mut self.strangers, other.strangers);
        add(&mut self.failures, other.failures);
    }

    /// The steps at which no process was killed.
    pub fn never_killed(&self) -> Vec<String> {
        let killed = |role, step: &str| {
            self.steps.get(&(role, step.to_owned())).is_some_and(|hits| hits.killed.iter().sum::<u64>() > 0)
        };
        let never = plan::steps().filter(|(role, step)| !killed(*role, step));
        never.map(|(role, step)| format!("{role:?} {step}")).collect()
    }
}

fn add<K: Ord>(sum: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (key, number) in more {
        *sum.entry(key).or_default() += number;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:20} {:>15} {:>15}", "step", "killed", "stopped")?;
        writeln!(f, "{:20} {:>7} {:>7} {:>7} {:>7}", "", "before", "after", "before", "after")?;
        for (role, step) in plan::steps() {
            let none = Hits::default();
            let Hits { killed, stopped } = self.steps.get(&(role, step.to_owned())).unwrap_or(&none);
            let name = format!("{role:?} {step}");
            writeln!(f, "{name:20} {:>7} {:>7} {:>7} {:>7}", killed[0], killed[1], stopped[0], stopped[1])?;
        }
        let list = |names: Vec<(String, u64)>| {
            names.iter().map(|(name, number)| format!("{name} {number}")).collect::<Vec<_>>().join(", ")
        };
        let faults = self.faults.iter().map(|(fault, number)| (format!("{fault:?}"), *number)).collect();
        writeln!(f, "faults: {}", list(faults))?;
        let strangers = self.strangers.iter().map(|(how, number)| (format!("{how:?}"), *number)).collect();
        writeln!(f, "strangers: {}", list(strangers))?;
        writeln!(f, "connects {}; failures, by what explains them:", self.connects)?;
        self.failures.iter().try_for_each(|(how, number)| writeln!(f, "{number:>7} {how}"))
    }
}
