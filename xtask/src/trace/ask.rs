//! Writes runs as a module of the spec, and reads TLC's answer.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::log::{Event, Run};
use crate::parallel::Result;
use crate::root;
use crate::tlc::{self, placed, versioned};

/// The result for a run.
pub enum Verdict {
    Accepted,
    /// The number of events of each actor in the longest part that the spec allows.
    Refused(Vec<usize>),
}

/// Asks TLC about several runs at once; `dir` is for its files.
pub fn ask(jar: &Path, dir: &Path, runs: &[Run]) -> Result<Vec<Verdict>> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    for module in ["rendezvous.tla", "Trace.tla"] {
        fs::copy(root().join("spec").join(module), dir.join(module))?;
    }
    fs::write(dir.join("Recorded.tla"), module(runs))?;
    fs::write(dir.join("Trace.cfg"), config(runs))?;
    let output = tlc::command(jar, dir, true)
        .arg("-metadir")
        .arg(dir)
        .args(["-config", "Trace.cfg", "Trace"])
        .current_dir(dir)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !text.contains("No error has been found.") {
        let text: Vec<&str> = text.lines().filter(|line| !line.contains("\"reached\"")).take(80).collect();
        return Err(format!("TLC printed:\n{}", text.join("\n")).into());
    }
    runs.iter().enumerate().map(|(index, run)| verdict(&text, index + 1, run)).collect()
}

fn verdict(text: &str, number: usize, run: &Run) -> Result<Verdict> {
    if text.lines().any(|line| line == format!("<<\"accepted\", {number}>>")) {
        return Ok(Verdict::Accepted);
    }
    let mut reached = vec![0; run.actors.len()];
    let head = format!("<<\"reached\", {number}, <<");
    // TLC wraps long lines.
    let joined = text.replace("\n  ", " ").replace("<< ", "<<").replace(" >>", ">>");
    if let Some(last) = joined.lines().filter_map(|line| line.strip_prefix(&head)).next_back() {
        let counts = last.trim_end_matches('>').split(',').map(|count| count.trim().parse::<usize>());
        reached = counts.collect::<std::result::Result<_, _>>()?;
    }
    Ok(Verdict::Refused(reached))
}

fn config(runs: &[Run]) -> String {
    let clients: BTreeSet<String> = runs.iter().flat_map(|run| &run.clients).map(|client| quoted(client)).collect();
    let slots = runs.iter().map(|run| run.servers).max().unwrap_or(0) + 3;
    let slots: Vec<String> = (1..=slots).map(|slot| format!("\"s{slot}\"")).collect();
    let mut faults: BTreeSet<&str> = FAULTS.into();
    if !runs.iter().flat_map(|run| &run.actors).flat_map(|actor| &actor.events).any(|event| event.does == "old copy") {
        faults.remove("old copy");
    }
    let faults: Vec<String> = faults.into_iter().map(quoted).collect();
    let clients: Vec<String> = clients.into_iter().collect();
    format!(
        "SPECIFICATION TraceSpec\nCONSTRAINT Explore\nCONSTANTS\n    Clients = {{{}}}\n    Slots = {{{}}}\n    None = none\n    \
         Goals = {{\"External\", \"Internal\", \"Robust\", \"Serve\", \"Retire\", \"Join\"}}\n    Faults = {{{}}}\n    \
         Budget = 1000\n    Rounds = 0\n    {}\n    {}\n",
        clients.join(", "),
        slots.join(", "),
        faults.join(", "),
        placed(None),
        versioned(None),
    )
}

const FAULTS: [&str; 21] = [
    "kill client",
    "kill server",
    "stop client",
    "stop server",
    "torn",
    "emptied",
    "deleted",
    "old copy",
    "foreign",
    "unlinked",
    "stranger",
    "mute client",
    "backlog",
    "shortage",
    "deadline",
    "cannot start",
    "fails",
    "hangs",
    "nonsense",
    "pipe kept",
    "none",
];

fn module(runs: &[Run]) -> String {
    let runs: Vec<String> = runs.iter().map(module_of).collect();
    format!("---- MODULE Recorded ----\nEXTENDS Sequences\nRuns == <<\n{}\n>>\n====\n", runs.join(",\n"))
}

fn module_of(run: &Run) -> String {
    let actors: Vec<String> = run
        .actors
        .iter()
        .map(|actor| {
            let mut before = vec![0; run.actors.len()];
            let events: Vec<String> = actor.events.iter().map(|event| event_of(run, event, &mut before)).collect();
            format!(" [must |-> {}, events |-> <<\n{}>>]", actor.must, events.join(",\n"))
        })
        .collect();
    let odd: Vec<String> = run.odd.iter().map(|kind| quoted(kind)).collect();
    format!("[odd |-> {{{}}}, actors |-> <<\n{}>>]", odd.join(", "), actors.join(",\n"))
}

/// Writes an event. `before` is the number of events of each actor that the actor's last event depended on.
fn event_of(run: &Run, event: &Event, before: &mut [usize]) -> String {
    let mut needs = Vec::new();
    for (number, count) in run.needs(event).enumerate() {
        if count > before[number] {
            before[number] = count;
            needs.push(format!("<<{}, {count}>>", number + 1));
        }
    }
    let Event { does, who, at, to, of, is, over, .. } = event;
    let late = if event.late { "TRUE" } else { "FALSE" };
    let mut text = String::new();
    let _ = write!(
        text,
        "  [do |-> \"{does}\", who |-> \"{who}\", at |-> \"{at}\", to |-> \"{to}\", of |-> \"{of}\", is |-> \"{is}\", \
         late |-> {late}, over |-> <<{}, {}>>, needs |-> {{{}}}]",
        over.0,
        over.1,
        needs.join(", ")
    );
    text
}

fn quoted(word: &str) -> String {
    format!("\"{word}\"")
}
