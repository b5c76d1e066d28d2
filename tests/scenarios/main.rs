//! Plays the scenarios of `testdata/`, and compares what happens with what the files say.
//!
//! `SCENARIOS=write cargo test --test scenarios` writes the results into the files, to be reviewed as a diff.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Trial};
use rendezvous_model::script;

fn main() {
    let scenarios = files("testdata", "txt");
    let mut trials = vec![
        Trial::test("every_counterexample_of_the_spec_has_its_scenario", || Ok(all_are_covered()?)),
        Trial::test("a_malformed_scenario_is_refused_with_what_is_wrong", || Ok(malformed()?)),
    ];
    trials.extend(scenarios.into_iter().map(|path| Trial::test(stem(&path), move || Ok(play(&path)?))));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn play(path: &Path) -> Result<(), String> {
    let text = read(path)?;
    let result = script::run(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    if env::var_os("SCENARIOS").is_some_and(|what| what == "write") {
        return fs::write(path, result).map_err(|error| error.to_string());
    }
    match text.lines().zip(result.lines()).position(|(kept, now)| kept != now) {
        None if text == result => Ok(()),
        None => Err(format!("{} does not end as it should; see SCENARIOS=write", path.display())),
        Some(at) => {
            let line = |text: &str| text.lines().nth(at).unwrap_or("").to_owned();
            Err(format!("{}:{}:\nkept {}\nnow  {}", path.display(), at + 1, line(&text), line(&result)))
        }
    }
}

/// Each counterexample has a scenario of its name, or is named in the head of another.
fn all_are_covered() -> Result<(), String> {
    let mut covered = Vec::new();
    for path in files("testdata", "txt") {
        let text = read(&path)?;
        let head: String = text.lines().map_while(|line| line.strip_prefix('#')).collect();
        covered.extend(head.split('`').skip(1).step_by(2).map(String::from));
        covered.push(stem(&path));
    }
    let counterexamples = files("spec/counterexamples", "md");
    let uncovered: Vec<String> =
        counterexamples.iter().map(|path| stem(path)).filter(|name| !covered.contains(name)).collect();
    if uncovered.is_empty() { Ok(()) } else { Err(format!("no scenario covers {}", uncovered.join(", "))) }
}

fn malformed() -> Result<(), String> {
    let wrong = [
        ("", "the first line is"),
        ("# Nothing happens.\n", "the first line is"),
        ("c1 Read\n", "line 1: c1 Read: the first line is"),
        ("given External\n", "1 to 9 clients"),
        ("given 0 clients, External\n", "1 to 9 clients"),
        ("given 10 clients, External\n", "1 to 9 clients"),
        ("given 2 clients, Fame\n", "no goal is called Fame"),
        ("given 2 clients, External; plague\n", "no fault is called plague"),
        ("given 1 client, External\nc1 Read\n", "this move is not possible; possible moves: c1 Begin External"),
        ("given 1 client, External\nc1 Begin Internal\n", "this move is not possible"),
        ("given 1 client, External\nc1 Begin External to Lock\n", "this move is not possible"),
        ("given 1 client, External\n\nc2 until Lock\n", "line 3: c2 until Lock: there is no c2"),
        ("given 1 client, External\nc1, c2 until still\n", "there is no c2"),
        ("given 1 client, External\nc1 until Lock\n", "c1 has no move, and is not at Lock"),
        ("given 1 client, External\nc1 Begin External\nc1 until Home\n", "c1 has no move, and is not at Home"),
        (
            "given 1 client, External; kill client\nc1 Begin External\nc1 until Await\nc1 KillClient\ns1 until Claim\n",
            "there are several moves: s1 Watchdog, s1 Watch",
        ),
        (
            "given 1 client, External; emptied\nc1 Begin External\neverybody until still\nc1 Leave\nEmpty Empty\ns1 Serve\n",
            "the move has several results",
        ),
        ("given 1 client, External\nc1 Begin External\nc1 waits\n", "it does not wait; possible moves: c1 Read"),
        ("given 1 client, External\nnobody waits\n", "there is no nobody"),
        ("given 1 client, External\nexpect c1 pc Read\n", "c1 pc is Out"),
        ("given 1 client, External\nexpect c1 hat red\n", "nothing is called c1 hat"),
        ("given 1 client, External\nexpect Out\n", "expect needs a name and a value"),
        ("given 1 client, External\nexpect\n", "this move is not possible"),
        ("given 1 client, External\nTear\n", "this move is not possible"),
    ];
    let too_many = format!("given 1 client, External; {}\n", ["torn"; 21].join(", "));
    for (text, expected) in wrong.into_iter().chain([(&*too_many, "20 faults at most")]) {
        match script::run(text) {
            Ok(result) => return Err(format!("{text:?} is taken for a scenario:\n{result}")),
            Err(error) if !error.contains(expected) => {
                return Err(format!("{text:?}: {error:?}, instead of: {expected}"));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn files(dir: &str, extension: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
