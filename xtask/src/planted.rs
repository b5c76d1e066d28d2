//! Plants known mistakes, one at a time, and checks that the tests that are named for each see it.
//!
//! `tests/planted.txt` lists the mistakes ([`list`]). All of them are written into one copy of the project, each behind a
//! look at the environment, so that one build has them all. Every named test must pass without a mistake, and fail with
//! its own.

mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use self::list::{PROGRAMS, Plant, Seen};
use crate::{cargo, parallel, root};

const LIST: &str = "tests/planted.txt";
const PAGE: &str = "docs/planted.md";
/// Selects the mistake, by its title, in the copy.
const VARIABLE: &str = "PLANTED";
/// No test takes longer, whatever is planted.
const LONGEST: Duration = Duration::from_secs(120);

/// Checks all mistakes and writes the page, or checks those whose title contains `only`.
pub fn check(only: Option<&str>) -> Result<(), Box<dyn Error>> {
    let all = list::read(&fs::read_to_string(root().join(LIST))?)?;
    let plants: Vec<&Plant> = all.iter().filter(|plant| plant.title.contains(only.unwrap_or_default())).collect();
    let (began, programs) = (Instant::now(), build(&all)?);
    println!("built in {:.0} s", began.elapsed().as_secs_f64());
    let tests: BTreeSet<&Seen> = plants.iter().flat_map(|plant| &plant.seen).collect();
    let (count, began) = (tests.len(), Instant::now());
    let clean: Vec<(&Seen, Option<&str>)> = tests.into_iter().map(|seen| (seen, None)).collect();
    let planted = plants.iter().flat_map(|plant| plant.seen.iter().map(|seen| (seen, Some(plant.title.as_str()))));
    let mut wrong = Vec::new();
    for (runs, what) in [(clean, "fails without a mistake"), (planted.collect(), "does not see")] {
        let passed = parallel::map(&runs, |(seen, title)| Ok(passes(&programs, seen, *title)?))
            .map_err(|error| error as Box<dyn Error>)?;
        let odd = runs.iter().zip(passed).filter(|((_, title), passed)| *passed == title.is_some());
        wrong.extend(odd.map(|((seen, title), _)| format!("{} {what} {}", seen.test, title.unwrap_or_default())));
    }
    println!("{} mistakes, {count} tests, {:.0} s", plants.len(), began.elapsed().as_secs_f64());
    if !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    if only.is_none() {
        fs::write(root().join(PAGE), list::page(&all))?;
    }
    Ok(())
}

/// Builds the test programs of a copy of the project in which every mistake can be switched on. Returns their paths.
fn build(plants: &[Plant]) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let copy = root().join("target/planted/tree");
    let target = root().join("target/planted/target");
    write_copy(&copy, plants)?;
    let mut cargo = cargo();
    cargo.current_dir(&copy).env_remove("CARGO_TARGET_DIR").args(["test", "--no-run", "--locked", "--target-dir"]);
    cargo.arg(&target).args([
        "--config",
        "build.rustflags=[\"--cap-lints=allow\"]",
        "--message-format=json-render-diagnostics",
    ]);
    let used: BTreeSet<&str> =
        plants.iter().flat_map(|plant| plant.seen.iter().map(|seen| seen.rung.as_str())).collect();
    for (_, program, _) in PROGRAMS.iter().filter(|(rung, ..)| used.contains(rung)) {
        match program.strip_prefix("rendezvous_ipc") {
            Some(_) => cargo.arg("--lib"),
            None => cargo.args(["--test", program]),
        };
    }
    let output = cargo.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the project with the mistakes does not build".into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let paths = text.split("\"executable\":\"").skip(1).filter_map(|rest| rest.split('"').next()).map(PathBuf::from);
    let named = paths.filter_map(|path| {
        let (name, _) = path.file_name()?.to_str()?.rsplit_once('-')?;
        Some((name.to_owned(), path))
    });
    Ok(named.collect())
}

/// Writes what differs from the copy, so that cargo builds no more than that again.
fn write_copy(copy: &Path, plants: &[Plant]) -> Result<(), Box<dyn Error>> {
    let listed = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let files: Vec<&str> = listed.split_terminator('\0').filter(|file| root().join(file).is_file()).collect();
    for file in &files {
        let bytes = fs::read(root().join(file))?;
        let edits: Vec<_> = plants.iter().flat_map(|plant| plant.edits_of(file)).collect();
        let bytes = if edits.is_empty() { bytes } else { list::planted(&String::from_utf8(bytes)?, &edits)?.into() };
        let path = copy.join(file);
        if fs::read(&path).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(path.parent().unwrap_or(copy))?;
            fs::write(path, bytes)?;
        }
    }
    Ok(())
}

/// Runs one test, with a mistake or without, and returns whether it passes.
fn passes(programs: &BTreeMap<String, PathBuf>, seen: &Seen, title: Option<&str>) -> Result<bool, String> {
    let program = programs.get(seen.program()).ok_or_else(|| format!("{} was not built", seen.program()))?;
    let mut test = Command::new("timeout");
    test.arg(LONGEST.as_secs().to_string()).arg(program).arg(&seen.test);
    test.current_dir(root().join("target/planted/tree")).stdin(Stdio::null());
    test.envs(title.map(|title| (VARIABLE, title)));
    let output = test.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !text.contains("\nrunning 1 test\n") {
        return Err(format!("{} has not one test `{}`", seen.program(), seen.test));
    }
    if output.status.code() == Some(124) {
        return Err(format!("`{}` runs without end with {title:?}", seen.test));
    }
    let (passed, how) = (output.status.success(), if title.is_some() { "planted" } else { "clean" });
    println!("{} {how} {} {}", if passed { "green" } else { "red  " }, seen.test, title.unwrap_or_default());
    if title.is_none() && !passed {
        println!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plants() -> Vec<Plant> {
        list::read(&fs::read_to_string(root().join(LIST)).unwrap()).unwrap()
    }

    #[test]
    fn every_mistake_can_be_planted_and_names_tests_that_exist() {
        let plants = plants();
        let files: BTreeSet<&str> = plants.iter().flat_map(Plant::files).collect();
        for file in files {
            let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let edits: Vec<_> = plants.iter().flat_map(|plant| plant.edits_of(file)).collect();
            list::planted(&text, &edits).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
        for plant in &plants {
            assert!(!plant.seen.is_empty(), "nothing sees: {}", plant.title);
            for seen in &plant.seen {
                assert!(seen.exists(root()), "{}: {} has no `{}`", plant.title, seen.rung, seen.test);
            }
        }
    }

    #[test]
    fn a_test_that_sees_a_mistake_stands_where_its_property_is_listed() {
        let list = fs::read_to_string(root().join("tests/properties.txt")).unwrap();
        for plant in plants() {
            for row in &plant.shows {
                let title = format!("\n{row}\n");
                let (_, shown) = list.split_once(&title).unwrap_or_else(|| panic!("there is no row {row}"));
                let shown = shown.lines().take_while(|line| line.starts_with("    "));
                let shown: Vec<&str> = shown.filter_map(|line| line.split_whitespace().last()).collect();
                let stands = plant.seen.iter().any(|seen| shown.contains(&seen.test.as_str()));
                assert!(stands, "{row} lists no test that sees: {}", plant.title);
            }
        }
    }

    #[test]
    fn the_page_of_mistakes_is_that_of_the_list() {
        let page = fs::read_to_string(root().join(PAGE)).unwrap();
        assert!(page == list::page(&plants()), "cargo xtask planted");
    }

    #[test]
    fn a_mistake_replaces_one_text_and_only_where_it_is_chosen() {
        let read = |list| list::read(list).unwrap();
        let plants = read(
            "== S\none\n    in f\n    - a + b\n    + a\n    units t\ntwo\n    in f\n    - a + b\n    + b\n    units t\n",
        );
        let edits: Vec<_> = plants.iter().flat_map(|plant| plant.edits_of("f")).collect();
        let planted = list::planted("let c = a + b;", &edits).unwrap();
        let chosen = |title| format!("if std::env::var_os(\"PLANTED\").is_some_and(|plant| plant == \"{title}\")");
        assert_eq!(
            planted,
            format!("let c = ({} {{ a }} else {} {{ b }} else {{ a + b }});", chosen("one"), chosen("two"))
        );
        for text in ["let c = a;", "let c = (a + b, a + b);"] {
            assert!(list::planted(text, &edits).is_err(), "{text}");
        }
    }
}
