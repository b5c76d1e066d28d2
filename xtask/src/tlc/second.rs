//! The second checker: `tla-checker`, which shares no code with TLC and needs no Java.
//!
//! It has neither symmetry nor views, and explores some hundred states a second, so it runs only small configurations.
//! Both checkers must agree on each result, and on the number of states where no property is violated.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Report, Result, Run, TEMPORAL, dir, handshake, name_of};
use crate::root;

const PACKAGE: &str = "tla-checker";
const VERSION: &str = "0.24.11";
/// The most states, as TLC counts them with symmetry, of a small configuration.
const SMALL: u64 = 2_500;
/// The same of the handshake, whose terms take this checker longer.
const SMALL_HANDSHAKE: u64 = 700;
/// Far more than a small configuration has, so that every run ends.
const MAX_STATES: &str = "20000";
const MAX_DEPTH: &str = "500";

/// What the checker found: the violated property, if any, and the number of states.
pub struct Opinion {
    pub found: Option<String>,
    pub states: u64,
}

/// The second checker's results for all small configurations, by name, and where it disagrees with TLC.
pub(super) fn opinions(
    jar: &Path,
    runs: &[Run],
    reports: &[Report],
) -> Result<(BTreeMap<String, Opinion>, Vec<String>)> {
    let checker = checker()?;
    let (mut opinions, mut wrong) = (BTreeMap::new(), Vec::new());
    for (run, report) in runs.iter().flat_map(|run| Some((run, reports.iter().find(|report| report.name == run.name)?)))
    {
        let small = if run.module == handshake::MODULE { SMALL_HANDSHAKE } else { SMALL };
        // The protocol of 2018 has nothing to count: its state space is small, and it violates each of its properties.
        if !report.as_expected() || report.states.parse().map_or(true, |states: u64| states > small) {
            continue;
        }
        let plain = plain(run)?;
        let opinion = opinion(&checker, &plain)?;
        if opinion.found != run.expected {
            let (one, other) = (name_of(&run.expected), name_of(&opinion.found));
            wrong.push(format!("{}: TLC found {one}, {PACKAGE} found {other}", run.name));
        } else if run.expected.is_none() {
            let counted = super::check_one(jar, &plain, &Default::default())?.states;
            if counted != opinion.states.to_string() {
                wrong.push(format!("{}: TLC counts {counted} states, {PACKAGE} {}", run.name, opinion.states));
            }
        }
        eprintln!("{}: {PACKAGE} found {} in {} states", run.name, name_of(&opinion.found), opinion.states);
        opinions.insert(run.name.clone(), opinion);
    }
    Ok((opinions, wrong))
}

/// The run without what only TLC supports.
fn plain(run: &Run) -> Result<Run> {
    let name = format!("both-{}", run.name);
    let config = dir().join(format!("{name}.cfg"));
    let kept: Vec<String> = fs::read_to_string(&run.config)?
        .lines()
        .filter(|line| !["SYMMETRY", "VIEW", "ACTION_CONSTRAINT"].iter().any(|word| line.starts_with(word)))
        .map(String::from)
        .collect();
    // It has no refinement either.
    let (module, text) = match run.module.as_str() {
        super::REFINES => ("MCrendezvous".into(), kept.join("\n").replace(" Proved ", " ").replace(" Refines ", " ")),
        _ => (run.module.clone(), kept.join("\n")),
    };
    fs::write(&config, text + "\n")?;
    Ok(Run { name, config, module, expected: run.expected.clone(), heading: None })
}

fn opinion(checker: &Path, run: &Run) -> Result<Opinion> {
    let mut command = Command::new(checker);
    command.arg(format!("{}.tla", run.module)).arg("--config").arg(&run.config);
    command.args(["--allow-deadlock", "--json", "--max-states", MAX_STATES, "--max-depth", MAX_DEPTH]);
    let config = fs::read_to_string(&run.config)?;
    if config.contains("SPECIFICATION Spec") && TEMPORAL.iter().any(|property| config.contains(property)) {
        command.arg("--check-liveness");
    }
    let output = command.current_dir(super::spec()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = text.lines().find(|line| line.starts_with("{\"status\"")).unwrap_or_default();
    let found = match field(text, "status") {
        Some("ok") => None,
        Some("invariant_violation") => field(text, "invariant_name"),
        Some("property_violation" | "liveness_violation") => field(text, "property"),
        _ => {
            let what = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("{}: {PACKAGE} printed: {}\n{what}", run.name, text.get(..300).unwrap_or(text)).into());
        }
    };
    let states =
        text.split("\"states_explored\": ").nth(1).and_then(|rest| rest.split([',', '}']).next()?.parse().ok());
    Ok(Opinion { found: found.map(String::from), states: states.unwrap_or_default() })
}

/// Reads the first `"NAME": "VALUE"` of this name.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(&format!("\"{name}\": \"")).nth(1)?.split('"').next()
}

/// The path of the program, of this exact version, which is installed once beside the build's other output.
pub fn checker() -> Result<PathBuf> {
    let tools = root().join("target/tools");
    let program = tools.join("bin/tla");
    let version = || Command::new(&program).arg("--version").output().ok().map(|output| output.stdout);
    let is_it = |text: Vec<u8>| String::from_utf8_lossy(&text).trim().ends_with(VERSION);
    if !version().is_some_and(is_it) {
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        crate::run(
            Command::new(cargo)
                .args(["install", "--locked", "--force", "--version", VERSION, "--root"])
                .arg(&tools)
                .arg(PACKAGE),
        )
        .map_err(|error| error.to_string())?;
    }
    Ok(program)
}
