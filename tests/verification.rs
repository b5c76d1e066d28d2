//! `docs/verification.md` is true: what it names exists, and its table is what its lists say.
//! `UPDATE=1 cargo test --test verification` writes the table anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/verification.md";

/// A rung's name on the page, and where the names that it gives are to be found.
const RUNGS: [(&str, Named, &[&str]); 10] = [
    ("spec", Named::InTheSpec, &["spec"]),
    ("conformance", Named::InTheModel, &["model/src/property.rs", "model/src/slices.txt"]),
    ("traces", Named::AsFiles, &["spec/traces"]),
    ("machines", Named::AsTests, &["src/proto"]),
    ("loom", Named::AsTests, &["tests/loom"]),
    ("proptest", Named::AsTests, &["tests/proptest"]),
    ("fuzz", Named::AsFiles, &["fuzz/fuzz_targets"]),
    ("scenarios", Named::AsFiles, &["testdata"]),
    ("chaos", Named::AsVerdicts, &["tests/chaos"]),
    ("processes", Named::AsTests, &["tests/process", "tests/rpc.rs", "tests/quickstart.rs", "src"]),
];

enum Named {
    /// Formulas of the spec, and the rules whose removal must be missed.
    InTheSpec,
    /// Properties that are judged in every world, and the slices of them that are explored.
    InTheModel,
    AsTests,
    /// By what a violation is called when it is found, or as tests.
    AsVerdicts,
    /// By the names of files, without what follows the dot.
    AsFiles,
}

/// A property or a trap, and what shows it: the names each rung gives.
struct Row {
    title: String,
    shown: BTreeMap<String, Vec<String>>,
}

#[test]
fn every_name_on_the_page_is_that_of_something_that_is_run() {
    let names: BTreeMap<&str, BTreeSet<String>> =
        RUNGS.iter().map(|(rung, named, places)| (*rung, names(named, places))).collect();
    let mut wrong = Vec::new();
    for row in rows() {
        for (rung, shown) in &row.shown {
            match names.get(rung.as_str()) {
                None => wrong.push(format!("{}: there is no rung `{rung}`", row.title)),
                Some(names) => wrong.extend(
                    shown.iter().filter(|name| !names.contains(*name)).map(|name| format!("{rung} has no `{name}`")),
                ),
            }
        }
    }
    assert!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_is_what_the_lists_say() {
    let page = read(PAGE);
    let begin = page.find("| | spec |").expect("the table begins");
    let end = begin + page[begin..].find("\n\n").expect("the table ends") + 1;
    let table = table();
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(path(PAGE), [&page[..begin], &table, &page[end..]].concat()).expect("the page is written");
    }
    assert!(page[begin..end] == table, "UPDATE=1 cargo test --test verification");
}

#[test]
fn every_promise_of_the_manual_and_every_property_of_the_spec_has_a_row_and_two_rungs_that_show_it() {
    let rows = rows();
    let manual = read("docs/manual/guarantees.md");
    let promised = manual.split("**").skip(1).step_by(2).flat_map(code).map(String::from);
    let configured =
        fs::read_to_string(path("spec/faults.cfg")).expect("a configuration") + &read("spec/live-calm.cfg");
    let properties = configured
        .lines()
        .filter_map(|line| line.trim().strip_prefix("PROPERTIES "))
        .flat_map(str::split_whitespace)
        .map(String::from);
    for name in promised.chain(properties).filter(|name| name.starts_with(char::is_uppercase)) {
        let row = rows
            .iter()
            .find(|row| row.title == format!("`{name}`"))
            .unwrap_or_else(|| panic!("{PAGE} has no row `{name}`"));
        assert!(row.shown.len() >= 2, "`{name}` is shown by {:?} alone", row.shown.keys());
    }
}

#[test]
fn every_test_that_the_docs_name_exists() {
    let tests: BTreeSet<String> =
        ["src", "tests", "interop/tests"].iter().flat_map(|place| names(&Named::AsTests, &[place])).collect();
    for file in files(&["docs"]).into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "md"))
    {
        let page = fs::read_to_string(&file).expect("a page is text");
        // Nothing else has a name that is a sentence.
        let named = page.lines().flat_map(code).filter(|name| name.matches('_').count() > 3);
        let sentences =
            named.filter(|name| name.chars().all(|char| char.is_ascii_lowercase() || "_0123456789".contains(char)));
        for name in sentences {
            assert!(tests.contains(name), "{} names `{name}`", file.display());
        }
    }
}

#[test]
fn no_sample_panics_at_an_argument_that_is_not_utf_8() {
    for file in files(&["README.md", "docs", "examples", "src", "benches"]) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        assert!(!text.contains("env::args()"), "{}: by `args_os`", file.display());
    }
}

#[test]
fn every_error_has_a_test_that_makes_it_happen_and_stands_in_the_manual() {
    let source = read("src/error.rs");
    let page = read(PAGE);
    let manual = read("docs/manual/errors.md");
    let tests = names(&Named::AsTests, &["src", "tests"]);
    for name in ["Error", "StartFailure"] {
        let variants = variants_of(&source, name);
        assert!(variants.len() > 9, "{name} is read");
        for variant in variants {
            let line = page.lines().find_map(|line| line.strip_prefix(&format!("- `{name}::{variant}`: ")));
            let line = line.unwrap_or_else(|| panic!("{PAGE} does not say what shows `{name}::{variant}`"));
            assert!(code(line).next().is_some() && code(line).all(|test| tests.contains(test)), "{name}::{variant}");
            assert!(manual.contains(&format!("[`{variant}`](crate::")), "the manual says nothing of {name}::{variant}");
        }
    }
}

#[test]
fn every_attack_names_tests_that_show_what_stops_it() {
    let page = read("docs/threats.md");
    let tests = names(&Named::AsTests, &["src", "tests"]);
    let attacks: Vec<&str> = page
        .split("\n# ")
        .filter(|part| part.starts_with("Attacks"))
        .flat_map(|part| part.lines().filter(|line| line.starts_with("| ")).skip(2))
        .collect();
    assert!(attacks.len() > 20, "the tables are there");
    for attack in attacks {
        let shown = attack.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        assert!(code(shown).next().is_some(), "nothing shows: {attack}");
        code(shown).for_each(|test| assert!(tests.contains(test), "there is no `{test}`: {attack}"));
    }
}

/// The variants of an enum, as they are spelled in its source.
fn variants_of<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).expect("the enum");
    let (body, _) = body.split_once("\n}").expect("its end");
    let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = variants.filter(|line| line.starts_with(|char: char| char.is_ascii_uppercase()));
    variants.map(|line| line.split(|char: char| !char.is_ascii_alphanumeric()).next().unwrap_or(line)).collect()
}

/// The table: for each row, how much each rung has to show. A rung that shows nothing has no column.
fn table() -> String {
    let rows = rows();
    let rungs: Vec<&str> = RUNGS
        .iter()
        .map(|(rung, ..)| *rung)
        .filter(|rung| rows.iter().any(|row| row.shown.contains_key(*rung)))
        .collect();
    let mut table = format!("| | {} |\n| ---", rungs.join(" | "));
    table += &" | ---:".repeat(rungs.len());
    for row in rows {
        table += &format!(" |\n| {}", row.title);
        for rung in &rungs {
            table += &row.shown.get(*rung).map_or(" |".into(), |shown| format!(" | {}", shown.len()));
        }
    }
    table + " |\n"
}

/// The lists of the page: `### ROW`, and below it `- RUNG: NAME, NAME`, the names as code.
fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let page = read(PAGE);
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            rows.push(Row { title: title.into(), shown: BTreeMap::new() });
        } else if let (Some(row), Some((rung, shown))) =
            (rows.last_mut(), line.strip_prefix("- ").and_then(|line| line.split_once(": ")))
        {
            let before = row.shown.insert(rung.into(), code(shown).map(String::from).collect());
            assert!(before.is_none(), "{}: `{rung}` stands there twice", row.title);
        }
    }
    assert!(rows.len() > 40, "the lists are there");
    rows
}

/// What stands in backticks in a line.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn names(named: &Named, places: &[&str]) -> BTreeSet<String> {
    let files = files(places);
    let texts = || files.iter().filter_map(|file| fs::read_to_string(file).ok());
    match named {
        Named::InTheSpec => texts().flat_map(|text| defined(&text)).chain(variants()).collect(),
        Named::InTheModel => texts().flat_map(|text| modelled(&text)).collect(),
        Named::AsTests => texts().flat_map(|text| tests(&text)).collect(),
        Named::AsVerdicts => texts().flat_map(|text| [verdicts(&text), tests(&text)].concat()).collect(),
        Named::AsFiles => {
            files.iter().filter_map(|file| Some(file.file_stem()?.to_str()?.split('.').next()?.into())).collect()
        }
    }
}

/// `Name == …`, in TLA+.
fn defined(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.split_once(" ==")).map(|(name, _)| name.trim_end().into()).collect()
}

/// `("Name", function),` in a list of properties; `name | …` in one of slices.
fn modelled(text: &str) -> Vec<String> {
    let property = |line: &str| line.trim().strip_prefix("(\"")?.split('"').next().map(String::from);
    let slice = |line: &str| line.split_once(" | ").map(|(name, _)| name.trim().to_owned());
    text.lines().filter_map(|line| property(line).or_else(|| slice(line))).collect()
}

fn variants() -> Vec<String> {
    let variants = read("spec/variants.txt");
    variants.lines().filter_map(|line| line.split_once('|')).map(|(name, _)| name.trim().into()).collect()
}

/// `"Name: …"`, in what a judge says.
fn verdicts(text: &str) -> Vec<String> {
    let names = text.split('"').filter_map(|said| Some(said.split_once(": ")?.0));
    names
        .filter(|name| name.chars().all(char::is_alphabetic) && name.starts_with(char::is_uppercase))
        .map(String::from)
        .collect()
}

/// The functions that are marked as tests, and those that are listed as trials.
fn tests(text: &str) -> Vec<String> {
    let mut marked = false;
    let mut tests = Vec::new();
    for line in text.lines().map(str::trim) {
        let function = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|line| line.split('(').next());
        match function {
            Some(name) if marked => tests.push(name.into()),
            _ => {}
        }
        marked = line == "#[test]" || line.starts_with("#[tokio::test") || marked && line.starts_with("#[");
    }
    if let Some((_, trials)) = text.split_once("trials![") {
        let trials = trials.split_once(']').map_or("", |(trials, _)| trials);
        tests.extend(trials.split(',').map(|name| name.trim().into()));
    }
    tests
}

/// All files in these places, as far as there are any.
fn files(places: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut places: Vec<PathBuf> = places.iter().map(|place| path(place)).collect();
    while let Some(place) = places.pop() {
        match fs::read_dir(&place) {
            Ok(entries) => places.extend(entries.map(|entry| entry.expect("a directory").path())),
            Err(_) if place.is_file() => files.push(place),
            Err(_) => {}
        }
    }
    files
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
