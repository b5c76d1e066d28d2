//! The second opinion: `tla-checker`, which shares nothing with TLC, and needs no Java.
//!
//! It knows neither symmetry nor views, and looks at some hundred states a second, so it gets what is small. What holds
//! must hold for both, with just as many states; what falls must fall for both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Report, Result, Run, TEMPORAL, dir, told};
use crate::root;

const PACKAGE: &str = "tla-checker";
const VERSION: &str = "0.24.11";
/// What is small: so many states as TLC counts them, with symmetry.
const SMALL: u64 = 2_500;
/// Far more than what is small has, so that it always ends.
const MAX_STATES: &str = "20000";
const MAX_DEPTH: &str = "500";

/// What it found: the property that is violated, if any, and its states.
pub struct Opinion {
    pub found: Option<String>,
    pub states: u64,
}

/// What the other checker finds in all that is small, by name, and what is wrong with that.
pub(super) fn opinions(
    jar: &Path,
    runs: &[Run],
    reports: &[Report],
) -> Result<(BTreeMap<String, Opinion>, Vec<String>)> {
    let checker = checker()?;
    let (mut opinions, mut wrong) = (BTreeMap::new(), Vec::new());
    for (run, report) in runs.iter().flat_map(|run| Some((run, reports.iter().find(|report| report.name == run.name)?)))
    {
        // Of the seed there is nothing to count: its states are few, and each of its properties falls.
        if !report.as_expected() || report.states.parse().map_or(true, |states: u64| states > SMALL) {
            continue;
        }
        let plain = plain(run)?;
        let opinion = opinion(&checker, &plain)?;
        if opinion.found != run.expected {
            let (one, other) = (told(&run.expected), told(&opinion.found));
            wrong.push(format!("{}: TLC found {one}, {PACKAGE} found {other}", run.name));
        } else if run.expected.is_none() {
            let counted = super::check_one(jar, &plain, &Default::default())?.states;
            if counted != opinion.states.to_string() {
                wrong.push(format!("{}: TLC counts {counted} states, {PACKAGE} {}", run.name, opinion.states));
            }
        }
        eprintln!("{}: {PACKAGE} found {} in {} states", run.name, told(&opinion.found), opinion.states);
        opinions.insert(run.name.clone(), opinion);
    }
    Ok((opinions, wrong))
}

/// The same without what only TLC knows.
fn plain(run: &Run) -> Result<Run> {
    let name = format!("both-{}", run.name);
    let config = dir().join(format!("{name}.cfg"));
    let kept: Vec<String> = fs::read_to_string(&run.config)?
        .lines()
        .filter(|line| !["SYMMETRY", "VIEW", "ACTION_CONSTRAINT"].iter().any(|word| line.starts_with(word)))
        .map(String::from)
        .collect();
    fs::write(&config, kept.join("\n") + "\n")?;
    Ok(Run { name, config, module: run.module.clone(), expected: run.expected.clone(), story: None })
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
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = said.lines().find(|line| line.starts_with("{\"status\"")).unwrap_or_default();
    let found = match field(said, "status") {
        Some("ok") => None,
        Some("invariant_violation") => field(said, "invariant_name"),
        Some("property_violation" | "liveness_violation") => field(said, "property"),
        _ => {
            let what = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("{}: {PACKAGE} said: {}\n{what}", run.name, said.get(..300).unwrap_or(said)).into());
        }
    };
    let states =
        said.split("\"states_explored\": ").nth(1).and_then(|rest| rest.split([',', '}']).next()?.parse().ok());
    Ok(Opinion { found: found.map(String::from), states: states.unwrap_or_default() })
}

/// `"NAME": "VALUE"`, the first of that name.
fn field<'a>(said: &'a str, name: &str) -> Option<&'a str> {
    said.split(&format!("\"{name}\": \"")).nth(1)?.split('"').next()
}

/// The program: of this very version, installed once beside what else is built.
pub fn checker() -> Result<PathBuf> {
    let tools = root().join("target/tools");
    let program = tools.join("bin/tla");
    let version = || Command::new(&program).arg("--version").output().ok().map(|output| output.stdout);
    let is_it = |said: Vec<u8>| String::from_utf8_lossy(&said).trim().ends_with(VERSION);
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
