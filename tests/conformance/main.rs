//! Compares the code with the spec: the graph of the real machines in the modelled world has the kept digest, and every
//! property holds in it. `cargo xtask conform` compares that graph with the spec's, and keeps the digests.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, OnceLock};

use libtest_mimic::{Arguments, Trial};
use rendezvous_model::graph::explore;
use rendezvous_model::slices::{Slice, slices};
use rendezvous_model::{At, World, property};

const DIGESTS: &str = include_str!("digests.txt");
const SPEC: &str = include_str!("../../spec/rendezvous.tla");
/// Far more states than any slice has, so that a mistake that makes a slice endless is soon reported.
const MOST: usize = 200_000;

/// The result of exploring a slice.
struct Seen {
    line: String,
    actions: BTreeSet<String>,
    ends: BTreeSet<&'static str>,
}

type Exploration = OnceLock<Result<Seen, String>>;

static SLICES: LazyLock<Vec<(Slice, Exploration)>> =
    LazyLock::new(|| slices().into_iter().map(|slice| (slice, OnceLock::new())).collect());

fn main() {
    let mut trials: Vec<Trial> = (0..SLICES.len())
        .map(|at| Trial::test(SLICES[at].0.name, move || Ok(is_as_kept(SLICES[at].0.name, seen(at)?)?)))
        .collect();
    trials.push(Trial::test("together_they_take_every_action_and_come_to_every_end", || Ok(all_is_covered()?)));
    trials.push(Trial::test("a_removed_socket_of_a_live_server_is_a_violation", || Ok(cut_off()?)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn seen(at: usize) -> Result<&'static Seen, String> {
    let (slice, seen) = &SLICES[at];
    seen.get_or_init(|| explored(slice)).as_ref().map_err(Clone::clone)
}

fn explored(slice: &Slice) -> Result<Seen, String> {
    let ends = Mutex::new(BTreeSet::new());
    let explored = explore(&slice.bounds, MOST, |world, step| {
        if let (None, Ok(mut ends)) = (step, ends.lock()) {
            ends.extend(over(world));
        }
        property::judge(world, step)
    });
    let graph = explored.map_err(|stopped| stopped.to_string())?.graph;
    Ok(Seen {
        line: graph.line(slice.name),
        actions: graph.edges.iter().map(|(_, action, _)| action.to_string()).collect(),
        ends: ends.into_inner().map_err(|_| "a property panicked")?,
    })
}

fn over(world: &World) -> impl Iterator<Item = &'static str> {
    world.clients.iter().filter_map(|client| match client.at {
        At::Over(how) => Some(how),
        At::Out | At::Step(_) => None,
    })
}

fn is_as_kept(name: &str, seen: &Seen) -> Result<(), String> {
    let kept = DIGESTS.lines().find(|line| line.split(" | ").next() == Some(name)).unwrap_or("not kept");
    let found = &seen.line;
    match kept == found {
        true => Ok(()),
        false => Err(format!("it was {kept}\nand is {found}\n`cargo xtask conform {name}` compares it with the spec")),
    }
}

fn all_is_covered() -> Result<(), String> {
    let mut actions = BTreeSet::new();
    let mut ends = BTreeSet::new();
    for at in 0..SLICES.len() {
        let seen = seen(at)?;
        actions.extend(seen.actions.iter().cloned());
        ends.extend(seen.ends.iter().copied());
    }
    let never: Vec<String> = spec_actions().difference(&actions).cloned().collect();
    let unknown: Vec<String> = actions.difference(&spec_actions()).cloned().collect();
    let missing: Vec<&str> = ENDS.into_iter().filter(|end| !ends.contains(end)).collect();
    match (&never[..], &unknown[..], &missing[..]) {
        ([], [], []) => Ok(()),
        _ => Err(format!("never taken: {never:?}; not in the spec: {unknown:?}; never an outcome: {missing:?}")),
    }
}

/// The fault `removed`, without its exemption from the property.
fn cut_off() -> Result<(), String> {
    let (slice, _) =
        SLICES.iter().find(|(slice, _)| slice.name == "both-removed").ok_or("no slice is named both-removed")?;
    let cuts = Cell::new(0);
    let explored = explore(&slice.bounds, MOST, |world, step| {
        let Some(step) = step.filter(|step| step.action == "Unlink") else { return Ok(()) };
        let mut cut = step.clone();
        cut.to.left = world.left;
        cuts.set(cuts.get() + 1);
        match property::judge(world, Some(&cut)) {
            Err(error) if error == "NoCutOff does not hold" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    explored.map_err(|stopped| stopped.to_string())?;
    if cuts.get() > 0 { Ok(()) } else { Err("the slice removes no socket".into()) }
}

/// The outcomes of a connect, without the two that need servers of a newer version, which the spec does not model.
const ENDS: [&str; 14] = [
    "Welcomed",
    "Start",
    "Absent",
    "Internal",
    "Incompatible",
    "OtherDialect",
    "ForeignScope",
    "CannotTell",
    "Failed",
    "Unverified",
    "TooLate",
    "Trouble",
    "Deadline",
    "TooOld",
];

/// The actions that make up the spec's `Next`.
fn spec_actions() -> BTreeSet<String> {
    const GROUPS: [&str; 7] = ["Client", "Process", "Greeting", "ClientFault", "ServerFault", "FileFault", "Next"];
    let next = SPEC.split("\nClient(c) ==").nth(1).and_then(|rest| rest.split("\nSafe ==").next()).unwrap_or("");
    next.split(|c: char| !c.is_alphanumeric())
        .filter(|word| {
            word.starts_with(char::is_uppercase) && !GROUPS.contains(word) && !["Clients", "Slots", "E"].contains(word)
        })
        .map(String::from)
        .collect()
}
