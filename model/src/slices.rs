//! The slices on which code and spec are compared, state by state. Together they take every action, reach every outcome
//! and include every kind of fault.

use rendezvous_ipc::proto::connect::{Goal, Older};
use rendezvous_ipc::proto::serving::WhenLost;

use crate::fault::Fault;
use crate::world::{Bounds, GOALS, Site};

/// `name | goals | faults | number of faults | connects`, and the site of the second client if it differs, or what it does
/// with servers of the first, which is of an older version then; or `keep` for a service that keeps its sessions when a
/// server is lost.
const SLICES: &str = include_str!("slices.txt");

/// A slice: bounds with a name.
#[derive(Clone, Debug)]
pub struct Slice {
    pub name: &'static str,
    pub bounds: Bounds,
}

/// Returns all slices.
pub fn slices() -> Vec<Slice> {
    SLICES.lines().filter(|line| !line.starts_with('#')).map(slice).collect()
}

fn slice(line: &'static str) -> Slice {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let (columns, differs) = match columns[..] {
        [.., differs] if columns.len() == 6 => (&columns[..5], Some(differs)),
        _ => (&columns[..], None),
    };
    let older = differs.and_then(choice);
    let site = differs.filter(|_| older.is_none());
    let &[name, goals, faults, budget, rounds] = columns else { panic!("expected five or six columns: {line}") };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("expected a number, found {text}: {line}"));
    let bounds = Bounds {
        clients: 2,
        slots: 4,
        goals: list(goals).map(|name| goal(name).unwrap_or_else(|| panic!("unknown goal: {name}"))).collect(),
        faults: list(faults).map(|name| fault(name).unwrap_or_else(|| panic!("unknown fault: {name}"))).collect(),
        budget: number(budget),
        rounds: number(rounds),
        when_lost: if site == Some("keep") { WhenLost::KeepSessions } else { WhenLost::Retire },
        away: site.filter(|name| *name != "keep").map(|name| {
            let known = Site::ALL.into_iter().find(|site| site.name() == name);
            known.unwrap_or_else(|| panic!("unknown site: {name}"))
        }),
        older,
    };
    Slice { name, bounds }
}

fn list(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Returns the name of a choice in the spec.
pub const fn choice_name(older: Older) -> &'static str {
    match older {
        Older::Replace => "Replace",
        Older::Join => "Join",
        Older::Refuse => "Refuse",
    }
}

pub(crate) fn choice(name: &str) -> Option<Older> {
    [Older::Replace, Older::Join, Older::Refuse].into_iter().find(|&older| choice_name(older) == name)
}

pub(crate) fn goal(name: &str) -> Option<Goal> {
    GOALS.into_iter().find(|(_, known)| *known == name).map(|(goal, _)| goal)
}

pub(crate) fn fault(name: &str) -> Option<Fault> {
    Fault::ALL.into_iter().find(|fault| fault.name() == name)
}
