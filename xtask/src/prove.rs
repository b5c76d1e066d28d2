//! Proves the core of the protocol for any number of clients, servers and files, by Ivy, and compares the proof with
//! `spec/core.tla`.
//!
//! `spec/core.ivy` has the steps of `spec/core.tla` and a conjunct for each of its invariants, in the same order under
//! the same names. Each block of `spec/core-variants.txt` takes out a rule, and the proof must then fail. Ivy comes
//! from a Python package, and so does what it imports; all are pinned by their hashes.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::parallel::{self, Result};
use crate::{need, root, wheel};

/// Ivy. Its wheel says Python 3.10 and runs with newer versions, so pip does not install it by itself.
const IVY: &str = "ms-ivy==1.8.26";
const SHA256: &str = "2a71da0bb2ce6314ddb40b6d76c6d734b8102db51c158477c2ef85b45da65dc1";
/// What Ivy imports, with hashes.
const IMPORTS: &str = "xtask/src/ivy.txt";

/// A rule of the proof that is taken out: the text that is replaced, and what must fail to be proved.
struct Variant {
    name: String,
    rule: String,
    instead: String,
    falls: Vec<String>,
}

/// Proves all and prints a table. Fails unless the proof succeeds, and the proof of each variant fails where it must.
pub fn check(only: &[&str]) -> std::result::Result<(), Box<dyn Error>> {
    check_all(only).map_err(|error| error as Box<dyn Error>)
}

fn check_all(only: &[&str]) -> Result<()> {
    let proof = fs::read_to_string(root().join("spec/core.ivy"))?;
    let spec = fs::read_to_string(root().join("spec/core.tla"))?;
    let refinement = fs::read_to_string(root().join("spec/Refines.tla"))?;
    let mut wrong = differences(&proof, &spec, &refinement)?;
    let ivy = ivy()?;
    let plain = Variant { name: "core".into(), rule: String::new(), instead: String::new(), falls: Vec::new() };
    let variants = variants(&fs::read_to_string(root().join("spec/core-variants.txt"))?)?;
    let runs: Vec<Variant> = [plain]
        .into_iter()
        .chain(variants)
        .filter(|run| only.is_empty() || only.contains(&run.name.as_str()))
        .collect();
    if let Some(name) = only.iter().find(|name| runs.iter().all(|run| run.name != **name)) {
        return Err(format!("no proof is named {name}").into());
    }
    let began = Instant::now();
    let found = parallel::map(&runs, |run| failures(&ivy, &run.name, &run.apply(&proof)?))?;
    println!("| proof | what is not proved | expected |\n| --- | --- | --- |");
    for (run, found) in runs.iter().zip(&found) {
        println!("| {} | {} | {} |", run.name, found.join(", "), run.falls.join(", "));
        if *found != run.falls {
            wrong.push(format!("{}: expected {:?}, found {found:?}", run.name, run.falls));
        }
    }
    println!("{} proofs in {:.0} s", runs.len(), began.elapsed().as_secs_f64());
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

impl Variant {
    /// Returns the proof without the rule, which must stand in exactly one place. Only the steps that this changes are
    /// left in it: the proof itself shows the same of all others, and takes five times as long.
    fn apply(&self, proof: &str) -> Result<String> {
        match proof.matches(&self.rule).count() {
            _ if self.rule.is_empty() => return Ok(proof.into()),
            1 => {}
            count => return Err(format!("{}: its rule stands {count} times in core.ivy", self.name).into()),
        }
        let without = proof.replace(&self.rule, &self.instead);
        let same: Vec<&str> = actions(proof).filter(|action| actions(&without).any(|other| other == *action)).collect();
        let is_same = |line: &str| {
            line.strip_prefix("export ").is_some_and(|name| same.iter().any(|action| heads(action) == name))
        };
        Ok(without.lines().filter(|line| !is_same(line)).map(|line| format!("{line}\n")).collect())
    }
}

/// The texts of the actions of a proof, each from its name to its last line.
fn actions(proof: &str) -> impl Iterator<Item = &str> {
    proof.split("\naction ").skip(1).filter_map(|rest| rest.split("\n}").next())
}

/// The name at the head of an action.
fn heads(action: &str) -> &str {
    action.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")
}

/// Reads the variants: blocks between empty lines, of a name with what falls, the lines of the rule, `becomes`, and the
/// lines that stand there instead.
fn variants(text: &str) -> Result<Vec<Variant>> {
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    text.split(|line| line.is_empty())
        .filter(|block| !block.is_empty())
        .map(|block| {
            let becomes = block.iter().position(|line| *line == "becomes").ok_or("a variant without `becomes`")?;
            let (name, falls) = block[0].split_once(": ").ok_or("a variant without a name")?;
            Ok(Variant {
                name: name.into(),
                rule: block[1..becomes].join("\n"),
                instead: block[becomes + 1..].join("\n"),
                falls: falls.split(", ").map(String::from).collect(),
            })
        })
        .collect()
}

/// Compares steps and invariants of the proof and of the spec, and what the model checker is asked of both specs.
fn differences(proof: &str, spec: &str, refinement: &str) -> Result<Vec<String>> {
    let steps =
        |text: &str| text.lines().filter_map(|line| line.strip_prefix("export ")).map(camel).collect::<Vec<_>>();
    let (exported, next) = (steps(proof), next(spec));
    let proved: Vec<String> = labels(proof).map(camel).collect();
    let claims: Vec<String> = spec
        .split_once("What is claimed.")
        .map_or("", |(_, claims)| claims)
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_uppercase()) && !line.contains("== [][")) // of a step
        .filter_map(|line| Some(line.split_once("==")?.0.trim().to_owned()))
        .filter(|name| !name.contains('('))
        .collect();
    let refined: Vec<String> = refinement
        .split_once("\nProved ==")
        .map_or("", |(_, names)| names)
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("Core!").map(String::from))
        .collect();
    let mut pairs = vec![
        ("steps of core.ivy and Next of core.tla".into(), exported, next),
        ("invariants of core.ivy and core.tla".into(), proved.clone(), claims),
        ("invariants of core.ivy and Proved of Refines.tla".into(), proved.clone(), refined),
    ];
    for config in fs::read_dir(root().join("spec"))? {
        let config = config?;
        let name = config.file_name().to_string_lossy().into_owned();
        if name.starts_with("core") && name.ends_with(".cfg") {
            let asked = invariants(&fs::read_to_string(config.path())?);
            pairs.push((format!("invariants of core.ivy and {name}"), proved.clone(), asked));
        }
    }
    let differ = pairs.into_iter().filter(|(_, one, other)| one != other);
    Ok(differ.map(|(what, one, other)| format!("{what} differ: {one:?}, {other:?}")).collect())
}

/// The invariants that a configuration names.
fn invariants(config: &str) -> Vec<String> {
    let (_, names) = config.split_once("INVARIANTS").unwrap_or_default();
    names.split_whitespace().take_while(|word| *word != "PROPERTIES").map(String::from).collect()
}

/// The labels of the invariants of a proof.
fn labels(proof: &str) -> impl Iterator<Item = &str> {
    proof.lines().filter_map(|line| line.strip_prefix("invariant [")?.split(']').next())
}

/// The steps of the spec's next-state relation, in the order in which they are defined.
fn next(spec: &str) -> Vec<String> {
    let (before, next) = spec.split_once("\nNext ==").unwrap_or((spec, ""));
    let next = next.split("\n\n").next().unwrap_or("");
    before
        .lines()
        .filter_map(|line| line.split_once(" ==")?.0.split('(').next().map(String::from))
        .filter(|name| next.split(|c: char| !c.is_alphanumeric()).any(|word| word == name))
        .collect()
}

/// `single_serving` as `SingleServing`.
fn camel(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// Runs Ivy and returns what it could not prove: labels of invariants, and `guarantee` for an assertion in a step.
fn failures(ivy: &Path, name: &str, proof: &str) -> Result<Vec<String>> {
    let file = ivy.join(format!("{name}.ivy"));
    fs::write(&file, proof)?;
    let output = Command::new("python3")
        .args(["-c", "import sys; from ivy.ivy_check import main; main()"])
        .arg(&file)
        .env("PYTHONPATH", ivy)
        .current_dir(ivy)
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // `core.ivy: line 354: nobody ... FAIL`
    let mut failures: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_suffix(" ... FAIL")?.rsplit([' ', '.']).next().map(String::from))
        .collect();
    failures.dedup();
    let proved = text.trim_end().ends_with("OK");
    if output.status.success() != proved || proved != failures.is_empty() || !text.contains(" ... PASS") {
        return Err(format!("{name}: Ivy printed\n{text}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(failures)
}

/// Returns the directory with Ivy, which is fetched once.
fn ivy() -> Result<PathBuf> {
    need::all(&[&need::PIP])?;
    let dir = root().join("target/ivy");
    let imports = root().join(IMPORTS);
    let (done, what) = (dir.join("fetched"), format!("{IVY}\n{}", fs::read_to_string(&imports)?));
    if fs::read_to_string(&done).is_ok_and(|fetched| fetched == what) {
        return Ok(dir);
    }
    let _ = fs::remove_dir_all(&dir);
    let wheel = wheel::download(IVY, &["--only-binary=:all:", "--python-version=3.10"], &dir)?;
    wheel::check(&wheel, SHA256)?;
    wheel::unpack(&wheel, &dir)?;
    fs::rename(dir.join("ms_ivy-1.8.26.data/purelib/ivy"), dir.join("ivy"))?;
    wheel::install(&imports, &dir)?;
    fs::write(done, what)?;
    Ok(dir)
}
