//! The slices on which code and spec are compared, state for state: together they take every action, come to every
//! outcome and know every kind of fault.

use rendezvous_ipc::proto::connect::Goal;

use crate::fault::Fault;
use crate::world::{Bounds, GOALS, Site};

/// `name | what clients want | faults | how many | connects`, and where the second client is, if not with the first.
const SLICES: &str = include_str!("slices.txt");

/// A slice: some bounds, and what they are called.
#[derive(Clone, Debug)]
pub struct Slice {
    pub name: &'static str,
    pub bounds: Bounds,
}

/// All slices.
pub fn slices() -> Vec<Slice> {
    SLICES.lines().filter(|line| !line.starts_with('#')).map(slice).collect()
}

fn slice(line: &'static str) -> Slice {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let (columns, site) = match columns[..] {
        [.., site] if columns.len() == 6 => (&columns[..5], Some(site)),
        _ => (&columns[..], None),
    };
    let &[name, goals, faults, budget, rounds] = columns else { panic!("five columns or six, not: {line}") };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("a number, not {text}: {line}"));
    let bounds = Bounds {
        clients: 2,
        slots: 4,
        goals: list(goals).map(|name| goal(name).unwrap_or_else(|| panic!("no goal: {name}"))).collect(),
        faults: list(faults).map(|name| fault(name).unwrap_or_else(|| panic!("no fault: {name}"))).collect(),
        budget: number(budget),
        rounds: number(rounds),
        away: site.map(|name| {
            let known = Site::ALL.into_iter().find(|site| site.name() == name);
            known.unwrap_or_else(|| panic!("no place: {name}"))
        }),
    };
    Slice { name, bounds }
}

fn list(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

pub(crate) fn goal(name: &str) -> Option<Goal> {
    GOALS.into_iter().find(|(_, known)| *known == name).map(|(goal, _)| goal)
}

pub(crate) fn fault(name: &str) -> Option<Fault> {
    Fault::ALL.into_iter().find(|fault| fault.name() == name)
}
