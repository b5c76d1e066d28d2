//! The graph of the second checker, which needs no Java. It labels an edge with the group of the spec's `Next` that the
//! action is in. It explores some hundred states a second, so it runs the small slices only.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use rendezvous_model::graph::{self, Graph, Id};
use rendezvous_model::slices::{Slice, slices};

use super::{configuration, end_of, machines, unescaped};
use crate::parallel::Result;
use crate::root;
use crate::tlc::{second, state};

/// The most states of a small slice.
const SMALL: usize = 3_500;

/// Compares the small slices.
pub fn check() -> Result<()> {
    let checker = second::checker()?;
    let groups = groups(&fs::read_to_string(root().join("spec/rendezvous.tla"))?);
    println!("| slice | states | edges | the second checker |");
    println!("| --- | ---: | ---: | --- |");
    let mut wrong = Vec::new();
    for slice in slices() {
        let machines = machines(&slice)?;
        if machines.states.len() > SMALL {
            continue;
        }
        let grouped = machines.edges.iter().map(|(from, action, to)| {
            let group = groups.get(action.as_ref()).cloned().unwrap_or(action.to_string());
            (*from, group.into(), *to)
        });
        let machines = Graph { edges: grouped.collect(), ..machines };
        let other = dumped(&checker, &slice)?;
        let verdict = if other == machines { "equal" } else { "DIFFERS" };
        println!("| {} | {} | {} | {verdict} |", slice.name, other.states.len(), other.edges.len());
        if other != machines {
            wrong.push(slice.name);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("not the machines' graph: {}", wrong.join(", ")).into()) }
}

/// The group of the spec's `Next` of each action: `Client(c) == Read(c) \/ …`, up to an empty line.
fn groups(spec: &str) -> HashMap<String, String> {
    let mut groups = HashMap::new();
    for group in ["Client(c)", "Process(s)", "Greeting(s, c)", "ClientFault(c)", "ServerFault(s)"] {
        let body = spec.split(&format!("\n{group} ==")).nth(1).and_then(|rest| rest.split("\n\n").next());
        let name = group.split('(').next().unwrap_or(group);
        for action in body.unwrap_or_default().split("\\/") {
            let action = action.trim().split('(').next().unwrap_or_default();
            groups.insert(action.to_owned(), name.to_owned());
        }
    }
    groups
}

fn dumped(checker: &Path, slice: &Slice) -> Result<Graph> {
    let dir = root().join("target/conform").join(format!("second-{}", slice.name));
    fs::create_dir_all(&dir)?;
    let (config, dot) = (dir.join("slice.cfg"), dir.join("graph.dot"));
    fs::write(&config, configuration(slice))?;
    let mut command = Command::new(checker);
    command.args(["MCrendezvous.tla", "--allow-deadlock", "--max-states", "100000", "--max-depth", "10000"]);
    command.args(["--dot-mode", "full", "--export-dot"]).arg(&dot).arg("--config").arg(&config);
    let output = command.current_dir(root().join("spec")).output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", slice.name, String::from_utf8_lossy(&output.stdout)).into());
    }
    let graph = read(&dot)?;
    fs::remove_dir_all(&dir)?;
    Ok(graph)
}

/// A line is a state, `s1 [label="cl=…\nsv=…"];`, or an edge, `s1 -> s2 [label="Client"];`.
fn read(dot: &Path) -> Result<Graph> {
    let mut graph = Graph::default();
    let mut nodes: HashMap<String, Id> = HashMap::new();
    let mut edges = HashSet::new();
    for line in BufReader::new(File::open(dot)?).lines() {
        let line = line?;
        let Some((head, label)) = line.trim().split_once(" [label=\"") else { continue };
        let Some(end) = end_of(label) else { continue };
        let label = unescaped(&label[..end]);
        match head.split_once(" -> ") {
            Some((from, to)) => drop(edges.insert((from.to_owned(), label, to.to_owned()))),
            None => {
                let variables = label.lines().filter_map(|line| line.split_once('='));
                let id = graph::id(&state::of(variables)?);
                nodes.insert(head.to_owned(), id);
                graph.states.insert(id);
            }
        }
    }
    for (from, group, to) in edges {
        let node = |name: String| nodes.get(&name).copied().ok_or("an edge leads to no state");
        graph.edges.insert((node(from)?, group.into(), node(to)?));
    }
    Ok(graph)
}
