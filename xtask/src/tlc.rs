//! Checks the spec by TLC: every configuration holds, every variant without a rule fails, every action occurs, and the
//! diagrams are correct.
//!
//! `spec/*.cfg` are the configurations that must hold; those named `deep-*` are left to `--deep`. A line of
//! `spec/variants.txt` is a configuration that must fail, and how, and so is one of `spec/handshake-variants.txt`;
//! `--counterexamples` writes its counterexample to `spec/counterexamples`. TLC comes from a Python package, pinned by
//! its hash, or from `TLA2TOOLS_JAR`. `--both` also runs a second checker.

mod counterexample;
mod diagrams;
pub mod fetch;
mod handshake;
pub(crate) mod second;
pub mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::parallel::{self, Result};
use crate::root;

#[derive(Default)]
pub struct Options {
    /// The names of what to run; all if empty.
    pub only: Vec<String>,
    pub deep: bool,
    pub both: bool,
    pub counterexamples: bool,
}

impl Options {
    fn asks_for(&self, name: &str, deep: bool) -> bool {
        if self.only.is_empty() { self.deep || !deep } else { self.only.iter().any(|only| only == name) }
    }
}

/// Runs all, prints a table, and fails unless all results are as expected.
pub fn check(options: Options) -> std::result::Result<(), Box<dyn Error>> {
    check_all(&options).map_err(|error| error as Box<dyn Error>)
}

fn check_all(options: &Options) -> Result<()> {
    let jar = fetch::tlc()?;
    let runs = runs(options)?;
    if let Some(name) = options.only.iter().find(|name| runs.iter().all(|run| run.name != **name)) {
        return Err(format!("nothing in spec/ is named {name}").into());
    }
    let began = Instant::now();
    let reports = run_all(&jar, &runs, options)?;
    let mut wrong: Vec<String> = reports.iter().filter(|report| !report.as_expected()).map(Report::complaint).collect();
    if COUNTED.iter().all(|counted| reports.iter().any(|report| report.name == *counted)) {
        wrong.extend(never_taken(&reports));
    }
    if options.only.is_empty() {
        let ways = reports.iter().flat_map(|report| report.ways.clone()).collect();
        wrong.extend(diagrams::wrong(&fs::read_to_string(spec().join("README.md"))?, &ways));
    }
    if reports.iter().any(|report| report.name == handshake::TABLE) {
        wrong.extend(handshake::wrong()?);
    }
    let mut opinions = BTreeMap::new();
    if options.both {
        let (others, disagreements) = second::opinions(&jar, &runs, &reports)?;
        opinions = others;
        wrong.extend(disagreements);
    }
    print_table(&reports, &opinions);
    println!("{} runs in {:.0} s", reports.len(), began.elapsed().as_secs_f64());
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn dir() -> PathBuf {
    root().join("target/tlc")
}

fn spec() -> PathBuf {
    root().join("spec")
}

/// One run of TLC.
struct Run {
    name: String,
    module: String,
    config: PathBuf,
    /// The property that must be violated, if any.
    expected: Option<String>,
    /// The text above its counterexample.
    heading: Option<String>,
}

impl Run {
    fn is_temporal(&self) -> bool {
        self.name.starts_with("live-") || self.expected.as_deref().is_some_and(|property| TEMPORAL.contains(&property))
    }

    /// Returns whether the run fails, or has few states by `sizes.txt`.
    fn is_short(&self) -> bool {
        let sizes = fs::read_to_string(spec().join("sizes.txt")).unwrap_or_default();
        let mut sizes = sizes.lines().map(|line| line.split_whitespace());
        let states =
            sizes.find_map(|mut words| (words.next()? == self.name).then(|| words.next()?.parse::<usize>().ok())?);
        self.expected.is_some() || (!self.is_temporal() && states.is_some_and(|states| states < SHORT))
    }
}

/// Up to so many states a run of safety is short.
pub const SHORT: usize = 10_000;

/// Returns TLC with one worker, which may stop in any state. `short`: Java compiles with its first compiler alone. A run
/// of less than ten seconds takes half of its time that way, a longer one a fifth more.
pub fn command(jar: &Path, temporary: &Path, short: bool) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-XX:+UseSerialGC", "-Xss8m"])
        .args(short.then_some("-XX:TieredStopAtLevel=1"))
        .arg(format!("-Djava.io.tmpdir={}", temporary.display()))
        .arg("-cp")
        .arg(jar)
        .args(["tlc2.TLC", "-workers", "1", "-deadlock"]);
    command
}

struct Report {
    name: String,
    expected: Option<String>,
    /// The property that was violated, if any; `Err` is TLC's output instead.
    found: std::result::Result<Option<String>, String>,
    states: String,
    depth: String,
    took: Duration,
    /// The actions that occurred, and those that did not.
    taken: BTreeSet<String>,
    never: BTreeSet<String>,
    ways: BTreeSet<diagrams::Way>,
}

impl Report {
    fn as_expected(&self) -> bool {
        self.found.as_ref() == Ok(&self.expected)
    }

    fn complaint(&self) -> String {
        let expected = name_of(&self.expected);
        match &self.found {
            Ok(found) => format!("{}: expected {expected}, found {}", self.name, name_of(found)),
            Err(text) => format!("{}: expected {expected}, but TLC printed:\n{text}", self.name),
        }
    }
}

fn name_of(property: &Option<String>) -> &str {
    property.as_deref().unwrap_or("nothing")
}

/// Lists what to run.
fn runs(options: &Options) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(spec())? {
        let config = entry?.path();
        let Some(name) = config.file_name().and_then(|name| name.to_str()?.strip_suffix(".cfg").map(String::from))
        else {
            continue;
        };
        if options.asks_for(&name, name.starts_with("deep-")) {
            let module = match name.as_str() {
                name if name.starts_with("core") => "MCcore",
                name if handshake::has(name) => handshake::MODULE,
                _ => "MCrendezvous",
            };
            let run = Run { module: module.into(), name, config, expected: None, heading: None };
            let refines = options.deep || !options.only.is_empty() || run.is_short();
            runs.push(if refines && module == "MCrendezvous" { refining(run)? } else { run });
        }
    }
    runs.sort_by(|one, other| one.name.cmp(&other.name));
    for line in fs::read_to_string(spec().join("variants.txt"))?.lines() {
        if !line.starts_with('#') && !line.trim().is_empty() {
            let deep = line.strip_suffix("| deep");
            let run = variant(deep.unwrap_or(line))?;
            if options.asks_for(&run.name, deep.is_some()) {
                runs.push(run);
            }
        }
    }
    runs.extend(handshake::variants()?.into_iter().filter(|run| options.asks_for(&run.name, false)));
    for (name, expected) in SEED {
        if !options.asks_for(name, false) {
            continue;
        }
        let config = dir().join(format!("{name}.cfg"));
        fs::write(&config, format!("SPECIFICATION Spec\nCONSTANT Clients = {{c1, c2}}\nINVARIANT {expected}\n"))?;
        runs.push(Run {
            name: name.into(),
            module: "seed".into(),
            config,
            expected: Some(expected.into()),
            heading: Some(format!("The protocol of 2018. `{expected}` is violated:\n")),
        });
    }
    Ok(runs)
}

/// The module with the mapping to the core.
const REFINES: &str = "Refines";

/// Adds to a run that checks only safety that the spec refines its core. That doubles the time.
fn refining(run: Run) -> Result<Run> {
    let text = fs::read_to_string(&run.config)?;
    if !text.contains("SPECIFICATION Safe\n") {
        return Ok(run);
    }
    let config = dir().join(format!("{}.cfg", run.name));
    let text = text.replace("\nINVARIANTS ", "\nINVARIANTS Proved ").replace("\nPROPERTIES ", "\nPROPERTIES Refines ");
    fs::write(&config, text)?;
    Ok(Run { module: REFINES.into(), config, ..run })
}

/// The properties that the protocol of 2018 violates.
const SEED: [(&str, &str); 3] =
    [("seed-leak", "CookieSecrecy"), ("seed-stranger", "Authenticity"), ("seed-hijack", "OwnCookie")];

const TEMPORAL: [&str; 10] = [
    "NoOrphan",
    "Termination",
    "Alone",
    "Convergence",
    "LifeRestored",
    "RecordRestored",
    "HoldEnds",
    "RetiredExits",
    "RequestEnds",
    "IdleEnds",
];
const ACTION: [&str; 12] = [
    "NoLiveInvalidation",
    "ClearOnlyIfFree",
    "NoCutOff",
    "Authenticity",
    "NoLostConnect",
    "LockDiscipline",
    "NoChildLeft",
    "JoinChangesNothing",
    "AbsentIsTrue",
    "NoReplacementUnlessChosen",
    "TooOldIsTrue",
    "NeverRevived",
];

/// A line of `variants.txt`: a configuration in which another definition takes the place of a rule, and the property that
/// it must violate.
fn variant(line: &str) -> Result<Run> {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let (columns, differs) = match columns[..] {
        [.., differs] if columns.len() == 8 => (&columns[..7], Some(differs)),
        _ => (&columns[..], None),
    };
    let (place, choice) = match differs {
        Some(choice) if CHOICES.contains(&choice) => (None, Some(choice)),
        place => (place, None),
    };
    let &[name, rules, property, goals, faults, budget, rounds] = columns else {
        return Err(format!("variants.txt: seven columns or eight, not: {line}").into());
    };
    let (placed, versioned) = (placed(place), versioned(choice));
    let temporal = TEMPORAL.contains(&property);
    let specification = match (temporal, differs) {
        (false, None) => "Safe\nSYMMETRY Symmetry\nVIEW View",
        (false, Some(_)) => "Safe\nVIEW View",
        (true, _) => "Spec",
    };
    let kind = if temporal || ACTION.contains(&property) { "PROPERTY" } else { "INVARIANT" };
    // Fairness gets more expensive with each slot.
    let slots = if temporal { "s1, s2, s3" } else { "s1, s2, s3, s4" };
    let [goals, faults] = [goals, faults].map(quoted);
    let replaced: String = rules.split_terminator(", ").map(|rule| format!("    {rule}\n")).collect();
    let config = dir().join(format!("{name}.cfg"));
    fs::write(
        &config,
        format!(
            "SPECIFICATION {specification}\n{kind} {property}\nCONSTANTS\n    Clients = {{c1, c2}}\n    \
             Slots = {{{slots}}}\n    None = none\n    Goals = {goals}\n    Faults = {faults}\n    \
             Budget = {budget}\n    Rounds = {rounds}\n    {placed}\n    {versioned}\n{replaced}"
        ),
    )?;
    let heading = (!rules.is_empty()).then(|| format!("With `{rules}`, `{property}` is violated:\n"));
    Ok(Run { name: name.into(), module: "Variants".into(), config, expected: Some(property.into()), heading })
}

/// Returns where clients and servers are, as constants of the spec: all in one place, or the last client in another.
/// `keep`: all in one place, and a server whose life file is lost keeps its sessions.
pub(crate) fn placed(away: Option<&str>) -> String {
    match away {
        None => r#"Transport = "socket" Away = {} Place = "here" WhenLost = "retire""#.into(),
        Some("keep") => r#"Transport = "socket" Away = {} Place = "here" WhenLost = "keep""#.into(),
        Some(place) => format!(r#"Transport = "port" Away = {{c2}} Place = "{place}" WhenLost = "retire""#),
    }
}

/// What a client does with a server of an older version.
const CHOICES: [&str; 3] = ["Replace", "Join", "Refuse"];

/// Returns which clients are of an older version, as constants of the spec: none; or the first client, with half of the
/// slots, where the second client makes this choice.
pub(crate) fn versioned(choice: Option<&str>) -> String {
    match choice {
        None => r#"Old = {} Choice = "Replace""#.into(),
        Some(choice) => format!(r#"Old = {{c1, s1, s2}} Choice = "{choice}""#),
    }
}

/// Reads `a, b` as a set of strings.
fn quoted(list: &str) -> String {
    let items: Vec<String> =
        list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(|item| format!("\"{item}\"")).collect();
    format!("{{{}}}", items.join(", "))
}

fn run_all(jar: &Path, runs: &[Run], options: &Options) -> Result<Vec<Report>> {
    // The longest runs start first: deep ones, then temporal properties, then invariants.
    let mut order: Vec<&Run> = runs.iter().collect();
    order.sort_by_key(|run| (!run.name.starts_with("deep-"), !run.is_temporal(), run.expected.is_some()));
    let done = AtomicUsize::new(0);
    let mut reports = parallel::map(&order, |run| {
        let report = check_one(jar, run, options)?;
        let verdict = if report.as_expected() { "as expected" } else { "NOT AS EXPECTED" };
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        eprintln!("{done:>3}/{} {}: {verdict}", order.len(), report.name);
        Ok(report)
    })?;
    reports.sort_by_key(|report| runs.iter().position(|run| run.name == report.name));
    Ok(reports)
}

fn check_one(jar: &Path, run: &Run, options: &Options) -> Result<Report> {
    let began = Instant::now();
    let output = tlc(jar, run)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    fs::write(dir().join(&run.name).join("output.txt"), &text)?;
    let report = report(run, &text, began.elapsed());
    if let (true, true, Some(about)) = (options.counterexamples, report.as_expected(), &run.heading) {
        let folder = if run.module == handshake::MODULE { "counterexamples/handshake" } else { "counterexamples" };
        let path = spec().join(folder).join(format!("{}.md", run.name));
        fs::write(path, counterexample::render(&run.name, about, &text)?)?;
    }
    Ok(report)
}

/// The configurations in which, together, every action occurs.
const COUNTED: [&str; 6] = ["alone", "copied", "faults", "life", "life-short", "live-unlinked"];

fn tlc(jar: &Path, run: &Run) -> Result<Output> {
    // Runs that share a directory for states or temporary files delete each other's.
    let dir = dir().join(&run.name);
    let temporary = dir.join("tmp");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&temporary)?;
    let mut tlc = command(jar, &temporary, run.is_short());
    tlc.args(["-lncheck", "final", "-metadir"]).arg(&dir);
    // Coverage doubles the time of a run.
    if COUNTED.contains(&run.name.as_str()) {
        tlc.args(["-coverage", "60"]);
    }
    Ok(tlc.arg("-config").arg(&run.config).arg(&run.module).current_dir(spec()).output()?)
}

fn report(run: &Run, text: &str, took: Duration) -> Report {
    let found = text.lines().find_map(|line| {
        let violated = line.strip_prefix("Error: ")?.strip_suffix(" is violated.")?;
        violated.rsplit(' ').next().map(String::from)
    });
    let found = if found.is_some() {
        Ok(found)
    } else if text.contains("Error: Temporal properties were violated.") {
        // TLC does not name the property; a variant has only one.
        Ok(Some(run.expected.clone().unwrap_or("a temporal property".into())))
    } else if text.contains("No error has been found.") {
        Ok(None)
    } else {
        Err(text.lines().filter(|line| !line.starts_with("Pars")).take(60).collect::<Vec<_>>().join("\n"))
    };
    let mut words = text.lines().rev().filter(|line| line.contains(" distinct states found, "));
    let states = words.next().and_then(|line| line.split(", ").nth(1)?.split(' ').next()).unwrap_or("?").into();
    let depth = text.lines().find_map(|line| line.strip_prefix("The depth of the complete state graph search is "));
    let depth = depth.map_or("?", |depth| depth.trim_end_matches('.')).into();
    let (mut taken, mut never) = (BTreeSet::new(), BTreeSet::new());
    for (action, states) in text.lines().filter_map(coverage) {
        if states == 0 {
            never.insert(action)
        } else {
            taken.insert(action)
        };
    }
    let ways = text.lines().filter_map(diagrams::transition).collect();
    Report { name: run.name.clone(), expected: run.expected.clone(), found, states, depth, took, taken, never, ways }
}

/// `<Read line 150, col 1 to line 150, col 7 of module rendezvous>: 12:345`: an action, and how many states it reached.
fn coverage(line: &str) -> Option<(String, u64)> {
    let (action, counts) = line.strip_prefix('<')?.split_once(" of module rendezvous>: ")?;
    let states = counts.rsplit(':').next()?.parse().ok()?;
    Some((action.split(' ').next()?.into(), states))
}

/// The actions that occur in no configuration, so that nothing is shown about them.
fn never_taken(reports: &[Report]) -> Option<String> {
    let taken: BTreeSet<&String> = reports.iter().flat_map(|report| &report.taken).collect();
    let never: BTreeSet<&String> = reports.iter().flat_map(|report| &report.never).collect();
    let never: Vec<&str> = never.difference(&taken).map(|action| action.as_str()).collect();
    (!never.is_empty()).then(|| format!("these actions never occur: {}", never.join(", ")))
}

fn print_table(reports: &[Report], opinions: &BTreeMap<String, second::Opinion>) {
    let both = !opinions.is_empty();
    println!(
        "| configuration | distinct states | depth | seconds | expected | found |{}",
        if both { " second opinion |" } else { "" }
    );
    println!("| --- | ---: | ---: | ---: | --- | --- |{}", if both { " --- |" } else { "" });
    for report in reports {
        let found = report.found.as_ref().map_or("an error", name_of);
        let Report { name, expected, states, depth, took, .. } = report;
        let second = match opinions.get(name) {
            Some(opinion) => format!(" {}, {} states |", name_of(&opinion.found), opinion.states),
            None if both => " |".into(),
            None => String::new(),
        };
        let seconds = took.as_secs_f64();
        println!("| {name} | {states} | {depth} | {seconds:.0} | {} | {found} |{second}", name_of(expected));
    }
}
