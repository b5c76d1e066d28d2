//! Compares the graph of the real machines in the modelled world with the graph of the spec that TLC dumps.
//!
//! For each slice of `model/src/slices.txt` both graphs must have the same states and the same labelled edges. A digest
//! of each graph is kept in `tests/conformance/digests.txt`, to which plain `cargo test` compares the machines.

mod second;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

use rendezvous_model::graph::{self, Graph, Id, Visited};
use rendezvous_model::property;
use rendezvous_model::slices::{Slice, choice_name, slices};
use rendezvous_model::view::View;
use rendezvous_model::{Bounds, Fault, GOALS, Goal, Site, WhenLost, World, goal_name};

use crate::parallel::{self, Result};
use crate::root;
use crate::tlc::{self, SHORT, fetch, placed, state, versioned};

/// Graphs with more states are not compared.
const MOST: usize = 200_000;

/// Compares all slices, or one.
pub fn check(only: Option<&str>) -> std::result::Result<(), Box<dyn std::error::Error>> {
    check_all(only).map_err(|error| error as Box<dyn std::error::Error>)
}

fn check_all(only: Option<&str>) -> Result<()> {
    let dir = root().join("target/conform");
    let jar = fetch::tlc()?;
    let kept = fs::read_to_string(digests())?;
    let mut slices = slices();
    slices.retain(|slice| only.is_none_or(|only| only == slice.name));
    println!("| slice | states | edges | machines | spec | seconds |");
    println!("| --- | ---: | ---: | --- | --- | ---: |");
    let compared = parallel::map(&slices, |slice| compared(&jar, &dir, slice, &kept))?;
    let wrong: Vec<String> = compared.into_iter().flatten().collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n\n").into()) }
}

/// Compares one slice, and prints a line about it. Returns what differs.
fn compared(jar: &Path, dir: &Path, slice: &Slice, kept: &str) -> Result<Option<String>> {
    let began = Instant::now();
    let machines = machines(slice)?;
    let (spec, states) = dumped(jar, dir, slice, machines.states.len())?;
    println!(
        "| {} | {} | {} | {} | {} | {:.0} |",
        slice.name,
        spec.states.len(),
        spec.edges.len(),
        machines.digest(),
        if spec == machines { "equal".into() } else { spec.digest() },
        began.elapsed().as_secs_f64()
    );
    let line = machines.line(slice.name);
    Ok(if spec != machines {
        Some(difference(slice, &machines, &spec, &states))
    } else if !kept.lines().any(|kept| kept == line) {
        Some(format!("{}: not as in {}; see `conform --accept`", slice.name, digests().display()))
    } else {
        None
    })
}

/// Compares the small slices with the graph of the second checker.
pub fn second() -> std::result::Result<(), Box<dyn std::error::Error>> {
    second::check().map_err(|error| error as Box<dyn std::error::Error>)
}

/// Explores everything at once, in the machines' world only: all goals and all faults; pairs of faults; and each pair of
/// a fault that makes states many ([`PAIRED`]) with any other. Or those of one fault, or of the named pair.
pub fn explore(only: &[&str]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let all = |left_out: &[Fault]| Fault::ALL.into_iter().filter(|fault| !left_out.contains(fault)).collect();
    let everything = GOALS.map(|(goal, _)| goal);
    let mut bounds =
        vec![within(&everything, all(&[Fault::OldCopy, Fault::Deleted]), 1), within(&everything[..1], all(&PAIRED), 2)];
    bounds.extend(pairs().into_iter().map(|pair| within(&everything[..1], pair, 2)));
    bounds.retain(|bounds| {
        let names: BTreeSet<&str> = bounds.faults.iter().map(|fault| fault.name()).collect();
        match *only {
            [] => true,
            [one] => names.len() <= 2 && names.contains(one),
            _ => names == only.iter().copied().collect(),
        }
    });
    println!("| clients want | faults | worlds | moves | depth | seconds |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let explored =
        parallel::map(&bounds, |bounds| Ok(explored(bounds))).map_err(|error| error as Box<dyn std::error::Error>)?;
    let wrong: Vec<String> = explored.into_iter().flatten().collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n\n").into()) }
}

/// The kinds of fault that are explored with one other kind at a time.
const PAIRED: [Fault; 4] = [Fault::OldCopy, Fault::Deleted, Fault::LifeRemoved, Fault::LifeReplaced];

fn pairs() -> BTreeSet<BTreeSet<Fault>> {
    PAIRED.into_iter().flat_map(|one| Fault::ALL.map(|other| BTreeSet::from([one, other]))).collect()
}

fn within(goals: &[Goal], faults: BTreeSet<Fault>, budget: u8) -> Bounds {
    Bounds {
        clients: 2,
        slots: 6,
        goals: goals.to_vec(),
        faults,
        budget,
        rounds: 2,
        away: None,
        older: None,
        when_lost: WhenLost::Retire,
    }
}

/// Explores within these bounds, and prints a line about it. Returns what is wrong.
fn explored(bounds: &Bounds) -> Option<String> {
    let began = Instant::now();
    let Bounds { goals, faults, budget, .. } = bounds;
    let faults = match faults.len() {
        ..=2 => faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", "),
        kinds => format!("{budget} of {kinds} kinds"),
    };
    let (found, wrong) = match graph::visit(bounds, 10_000_000, property::judge) {
        Ok(Visited { worlds, moves, depth }) => (format!("{worlds} | {moves} | {depth}"), None),
        Err(stopped) => ("wrong | | ".into(), Some(format!("{faults}: {stopped}"))),
    };
    println!(
        "| {} | {faults} | {found} | {:.0} |",
        goals.iter().copied().map(goal_name).collect::<Vec<_>>().join(", "),
        began.elapsed().as_secs_f64()
    );
    wrong
}

/// Regenerates the digests.
pub fn accept() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut text = String::from("# slice | states | edges | digest\n");
    for slice in slices() {
        let graph = machines(&slice).map_err(|error| error as Box<dyn std::error::Error>)?;
        writeln!(text, "{}", graph.line(slice.name))?;
    }
    fs::write(digests(), text)?;
    Ok(())
}

fn digests() -> std::path::PathBuf {
    root().join("tests/conformance/digests.txt")
}

fn machines(slice: &Slice) -> Result<Graph> {
    let explored =
        graph::explore(&slice.bounds, MOST, property::judge).map_err(|stopped| format!("{}: {stopped}", slice.name))?;
    Ok(explored.graph)
}

/// Returns the graph of the spec, of about `size` states, and each of its states.
fn dumped(jar: &Path, dir: &Path, slice: &Slice, size: usize) -> Result<(Graph, HashMap<Id, View>)> {
    let dir = dir.join(slice.name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    let config = dir.join("slice.cfg");
    fs::write(&config, configuration(slice))?;
    let dot = dir.join("graph.dot");
    let output = tlc::command(jar, &dir, size < SHORT)
        .args(["-dump", "dot,actionlabels"])
        .arg(&dot)
        .arg("-metadir")
        .arg(dir.join("states"))
        .arg("-config")
        .arg(&config)
        .arg("MCrendezvous")
        .current_dir(root().join("spec"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !text.contains("No error has been found.") {
        return Err(format!("{}: TLC printed:\n{text}", slice.name).into());
    }
    let graph = read(&dot)?;
    // It is over a hundred megabytes.
    fs::remove_dir_all(&dir)?;
    Ok(graph)
}

fn configuration(slice: &Slice) -> String {
    let bounds = &slice.bounds;
    let names = |letter: char, count: usize| (1..=count).map(|n| format!("{letter}{n}")).collect::<Vec<_>>().join(", ");
    let quoted = |names: Vec<&str>| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "SPECIFICATION Safe\nINVARIANTS TypeOK SlotsSuffice\nCONSTANTS\n    Clients = {{{}}}\n    Slots = {{{}}}\n    \
         None = none\n    Goals = {{{}}}\n    Faults = {{{}}}\n    Budget = {}\n    Rounds = {}\n    {}\n    {}\n",
        names('c', bounds.clients),
        names('s', bounds.slots),
        quoted(bounds.goals.iter().copied().map(goal_name).collect()),
        quoted(bounds.faults.iter().copied().map(Fault::name).collect()),
        bounds.budget,
        bounds.rounds,
        placed(match bounds.when_lost {
            WhenLost::Retire => bounds.away.map(Site::name),
            WhenLost::KeepSessions => Some("keep"),
        }),
        versioned(bounds.older.map(choice_name)),
    )
}

/// Reads TLC's dump. A line is a state, `12 [label="…"…]`, or an edge, `12 -> 13 [label="Read"…]`.
fn read(dot: &Path) -> Result<(Graph, HashMap<Id, View>)> {
    let mut graph = Graph::default();
    let mut nodes: HashMap<i64, Id> = HashMap::new();
    let mut states = HashMap::new();
    let mut edges = Vec::new();
    for line in BufReader::new(File::open(dot)?).lines() {
        let line = line?;
        let Some((head, label)) = line.split_once(" [label=\"") else { continue };
        let Some(end) = end_of(label) else { continue };
        match head.split_once(" -> ") {
            Some((from, to)) => edges.push((from.parse::<i64>()?, label[..end].to_owned(), to.parse::<i64>()?)),
            None => {
                let view = state::read(&unescaped(&label[..end]))?;
                let id = graph::id(&view);
                nodes.insert(head.parse()?, id);
                graph.states.insert(id);
                states.insert(id, view);
            }
        }
    }
    for (from, action, to) in edges {
        let node = |number| nodes.get(&number).copied().ok_or("an edge leads to no state");
        graph.edges.insert((node(from)?, action.into(), node(to)?));
    }
    Ok((graph, states))
}

fn unescaped(label: &str) -> String {
    label.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\")
}

/// The end of a label: its first quote that is not escaped.
fn end_of(label: &str) -> Option<usize> {
    let mut escaped = false;
    label.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// The shortest path to a state from which the two graphs differ, and how.
fn difference(slice: &Slice, machines: &Graph, spec: &Graph, states: &HashMap<Id, View>) -> String {
    let stopped = graph::explore(&slice.bounds, MOST, |world, step| match step {
        Some(_) => Ok(()),
        None => compare(slice, world, machines, spec, states),
    });
    match stopped {
        Err(stopped) => format!("{}: {stopped}", slice.name),
        Ok(_) => {
            format!("{}: every edge of the spec is one of the machines', but it has states that they lack", slice.name)
        }
    }
}

fn compare(
    slice: &Slice,
    world: &World,
    machines: &Graph,
    spec: &Graph,
    states: &HashMap<Id, View>,
) -> std::result::Result<(), String> {
    let here = world.view();
    let id = graph::id(&here);
    let from = |graph: &Graph| -> Vec<(Id, Cow<'static, str>, Id)> {
        graph.edges.range((id, Cow::default(), Id::default())..).take_while(|edge| edge.0 == id).cloned().collect()
    };
    let (ours, theirs) = (from(machines), from(spec));
    if ours == theirs {
        return Ok(());
    }
    let mut text = format!("the two differ from this state on:\n{here}\n");
    let moves = world.moves(&slice.bounds);
    for edge in ours.iter().filter(|edge| !theirs.contains(edge)) {
        let to = moves.iter().map(|step| step.to.view()).find(|view| graph::id(view) == edge.2);
        let changes = to.map_or(Vec::new(), |to| here.changes(&to));
        let _ = writeln!(text, "only the machines: {} ({})", edge.1, changes.join(", "));
    }
    for edge in theirs.iter().filter(|edge| !ours.contains(edge)) {
        let changes = states.get(&edge.2).map_or(Vec::new(), |to| here.changes(to));
        let _ = writeln!(text, "only the spec: {} ({})", edge.1, changes.join(", "));
    }
    Err(text)
}
