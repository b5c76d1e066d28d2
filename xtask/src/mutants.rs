//! Mutation testing of `proto`: each small change of it must make a fast test fail, or be listed with a reason.
//!
//! `mutants.txt` lists the mutants that survive, one a line: the name as cargo-mutants has it, without line and column,
//! and after a `|` why no test can tell it from the original. Only `--all` checks the whole list.

mod copy;
mod render;
mod results;
mod select;
pub mod shell;
mod sites;
mod tests;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{root, tool};

/// The surviving mutants, and why they survive.
const REASONS: &str = include_str!("mutants.txt");

/// The unit tests catch most mutants, and slower tests the rest. None starts a process. The model is built at each
/// mutant, but the unit tests do not run it, so their build does not optimise it.
const STAGES: [&[&str]; 3] = [
    &["--lib", "--config=profile.dev.package.rendezvous-model.opt-level=0", "--config=profile.dev.debug=0"],
    &["--test=scenarios"],
    &["--test=conformance", "--test=corpus", "--test=proptest"],
];

/// Mutates what differs from the branch `main`, or everything.
pub fn check(all: bool) -> Result<(), Box<dyn Error>> {
    let dir = root().join("target/mutants");
    fs::remove_dir_all(dir.join("mutants.out")).ok();
    fs::create_dir_all(&dir)?;
    if !all {
        let diff = Command::new("git").current_dir(root()).args(["diff", "main", "--", "src/proto"]).output()?;
        if diff.stdout.is_empty() {
            println!("`proto` does not differ from the branch main; `--all` mutates all of it");
            return Ok(());
        }
        fs::write(dir.join("diff"), diff.stdout)?;
    }
    for stage in STAGES {
        let mut mutants = Command::new(tool("cargo-mutants", "27.1.0")?);
        mutants.current_dir(root()).args(["mutants", "--no-default-features", "--cap-lints=true", "--iterate"]);
        mutants.args(["--file", "src/proto/**", "--output"]).arg(&dir);
        if !all {
            mutants.arg("--in-diff").arg(dir.join("diff"));
        }
        // Each mutant is built in a copy of the project, with a target directory of its own.
        mutants.args(stage.iter().map(|arg| format!("--cargo-arg={arg}")));
        match mutants.env_remove("CARGO_TARGET_DIR").status()?.code() {
            // Every mutant is caught, some survive, or some run without end.
            Some(0 | 2 | 3) => {}
            _ => return Err("cargo-mutants was interrupted, or the tests fail without a mutant".into()),
        }
    }
    judge(&dir.join("mutants.out"), all)
}

fn judge(out: &Path, all: bool) -> Result<(), Box<dyn Error>> {
    let names = |list: &str| -> Vec<String> {
        fs::read_to_string(out.join(list)).unwrap_or_default().lines().map(name).collect()
    };
    let missed = names("missed.txt");
    let caught = names("caught.txt").len() + names("previously_caught.txt").len();
    println!("{caught} caught, {} timed out, {} survive", names("timeout.txt").len(), missed.len());
    let reasons: BTreeMap<&str, &str> = REASONS.lines().filter_map(|line| line.rsplit_once(" | ")).collect();
    let without = missed.iter().filter(|name| !reasons.contains_key(name.as_str()));
    let mut wrong: Vec<String> = without.map(|name| format!("survives: {name}")).collect();
    if all {
        let stale = reasons.keys().filter(|name| !missed.iter().any(|missed| missed == *name));
        wrong.extend(stale.map(|name| format!("is listed, but does not survive or no longer exists: {name}")));
    }
    if caught == 0 && all {
        wrong.push("no mutant was caught: the tests did not run".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// `FILE: MUTATION`, without the line and the column, which change.
fn name(line: &str) -> String {
    match line.splitn(4, ':').collect::<Vec<_>>()[..] {
        [file, _, _, what] => format!("{file}:{what}"),
        _ => line.into(),
    }
}
