//! Checks the documentation: each name and reference in it exists, and its tables have the same entries as the code.
//! `UPDATE=1 cargo test --test verification` regenerates `docs/tests-by-property.txt`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The only list of what shows each property.
const LIST: &str = "tests/properties.txt";
/// The number of tests of each rung for each property, counted from the list.
const PAGE: &str = "docs/tests-by-property.txt";
/// The pages outside of a directory.
const PAGES: [&str; 4] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];

/// A rung's name in the list, how its items are named, and the files where these names are defined.
const RUNGS: [(&str, Named, &[&str]); 14] = [
    ("spec", Named::InTheSpec, &["spec"]),
    ("conformance", Named::InTheModel, &["model/src/property.rs", "model/src/slices.txt"]),
    ("traces", Named::AsFiles, &["spec/traces"]),
    ("machines", Named::AsTests, &["src/proto"]),
    ("wire", Named::AsTests, &["tests/wire.rs"]),
    ("loom", Named::AsTests, &["tests/loom"]),
    ("proptest", Named::AsTests, &["tests/proptest"]),
    ("fuzz", Named::AsFiles, &["fuzz/fuzz_targets"]),
    ("scenarios", Named::AsFiles, &["testdata"]),
    ("chaos", Named::AsVerdicts, &["tests/chaos"]),
    ("simulation", Named::AsVerdicts, &["src/sim.rs", "sim/tests"]),
    ("processes", Named::AsTests, &["tests/process", "tests/rpc.rs", "tests/quickstart.rs", "src", "examples"]),
    ("python", Named::AsTests, &["tests/process/python.rs"]),
    ("interop", Named::AsTests, &["interop/tests"]),
];

enum Named {
    /// Formulas of the spec, and the rules whose removal TLC must detect.
    InTheSpec,
    /// Properties checked in every world, and the slices that are explored.
    InTheModel,
    AsTests,
    /// The prefix of a violation's message, or a test's name.
    AsVerdicts,
    /// File names without their extension.
    AsFiles,
}

/// A property, a trap or an error, and the items that show it, each a rung and a name.
struct Row {
    section: String,
    title: String,
    shown: Vec<(String, String)>,
}

impl Row {
    /// The rungs that show this row, in order, and the number of items of each.
    fn counts(&self) -> Vec<(&'static str, usize)> {
        let count = |rung| self.shown.iter().filter(|(shown, _)| shown == rung).count();
        RUNGS.iter().map(|(rung, ..)| (*rung, count(rung))).filter(|(_, count)| *count > 0).collect()
    }
}

#[test]
fn every_name_in_the_list_is_that_of_something_that_is_run() {
    let rungs: Vec<(&str, BTreeSet<String>)> =
        RUNGS.iter().map(|(rung, named, places)| (*rung, names(named, places))).collect();
    let mut wrong = Vec::new();
    for row in rows() {
        for (rung, name) in &row.shown {
            match rungs.iter().find(|(known, _)| known == rung) {
                None => wrong.push(format!("{}: no rung is named `{rung}`", row.title)),
                Some((_, names)) if !names.contains(name) => wrong.push(format!("{rung} has no `{name}`")),
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{LIST}:\n{}", wrong.join("\n"));
}

#[test]
fn the_page_of_tests_by_property_is_counted_from_the_list() {
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(path(PAGE), page).expect("a writable page");
    }
    assert!(read(PAGE) == page, "UPDATE=1 cargo test --test verification");
}

#[test]
fn every_guarantee_and_every_property_of_the_spec_is_shown_by_two_rungs() {
    let rows = rows();
    let manual = read("docs/manual/guarantees.md");
    let promised = manual.split("**").skip(1).step_by(2).flat_map(code).map(String::from);
    let configured = read("spec/faults.cfg") + &read("spec/live-calm.cfg");
    let properties = configured
        .lines()
        .filter_map(|line| line.trim().strip_prefix("PROPERTIES "))
        .flat_map(str::split_whitespace)
        .map(String::from);
    for name in promised.chain(properties).filter(|name| name.starts_with(char::is_uppercase)) {
        let row = rows.iter().find(|row| row.title == name).unwrap_or_else(|| panic!("{LIST} has no row `{name}`"));
        assert!(row.counts().len() >= 2, "`{name}` is shown by {:?} alone", row.counts());
    }
}

#[test]
fn the_protocol_page_has_every_step_record_lock_and_outcome() {
    let page = read("docs/protocol.md");
    for (section, source, name) in [
        ("## Steps of a client", "connect", "Step"),
        ("## Steps of a server", "serv", "Step"),
        ("## Record and lifetime lock", "connect", "Row"),
        ("## Dial outcomes", "connect", "DialFailure"),
    ] {
        let (_, text) = page.split_once(&format!("{section}\n")).unwrap_or_else(|| panic!("{section}"));
        let text = text.split("\n## ").next().unwrap_or_default();
        let table = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let on_page: BTreeSet<&str> = table.flat_map(code_in_first_cell).collect();
        let sources = protocol_sources(source, name);
        // A variant that only enters another machine is no step.
        let enters = |variant: &str| {
            let entry = format!("{variant}({}::Step)", variant.to_lowercase());
            sources.iter().any(|source| source.contains(&entry))
        };
        let variants = sources.iter().flat_map(|source| variants_of(source, name));
        let in_code: BTreeSet<&str> = variants.filter(|variant| !enters(variant)).collect();
        assert_eq!(on_page, in_code, "docs/protocol.md, {section}, and `{name}` in the code");
    }
}

#[test]
fn every_reference_to_a_page_or_to_a_section_leads_somewhere() {
    let mut wrong = Vec::new();
    let sources = ["src", "spec", "checks/src", "model/src", "xtask/src", "tests", "docs"];
    for file in files(&[&PAGES[..], &sources].concat()) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        for (at, _) in text.match_indices("docs/") {
            let rest = &text[at..];
            let name = rest.split(|char: char| !(char.is_ascii_alphanumeric() || "/-_.".contains(char))).next();
            let name = name.unwrap_or_default().trim_end_matches('.');
            // A page of this project, not the end of a longer path or of an address.
            if !(name.ends_with(".md") || name.ends_with(".txt"))
                || text[..at].ends_with(|char: char| char.is_ascii_alphanumeric() || char == '/')
            {
                continue;
            }
            let Ok(page) = fs::read_to_string(path(name)) else {
                wrong.push(format!("{}: {name} does not exist", file.display()));
                continue;
            };
            let Some(title) = rest[name.len()..].strip_prefix("`, \"").and_then(|rest| rest.split('"').next()) else {
                continue;
            };
            if !page.lines().any(|line| line.starts_with('#') && line.trim_start_matches(['#', ' ']) == title) {
                wrong.push(format!("{}: {name} has no section \"{title}\"", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_link_of_a_page_leads_to_a_file() {
    let pages =
        files(&[&PAGES[..], &["docs", "spec/README.md", "interop/README.md", "interop/python/README.md"]].concat());
    for file in pages.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(&file).expect("a page is text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let ours = !(target.is_empty() || target.contains("::") || target.contains("://") || !target.contains('.'));
            let folder = file.parent().expect("a page is in a folder");
            assert!(!ours || folder.join(target).exists(), "{}: {link}", file.display());
        }
    }
}

#[test]
fn every_test_that_the_docs_name_exists() {
    let tests: BTreeSet<String> =
        ["src", "tests", "interop/tests"].iter().flat_map(|place| names(&Named::AsTests, &[place])).collect();
    for file in files(&["docs"]).into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "md"))
    {
        let page = fs::read_to_string(&file).expect("a page is text");
        // Only tests have names with so many underscores.
        let named = page.lines().flat_map(code).filter(|name| name.matches('_').count() > 3);
        let sentences =
            named.filter(|name| name.chars().all(|char| char.is_ascii_lowercase() || "_0123456789".contains(char)));
        for name in sentences {
            assert!(tests.contains(name), "{} names `{name}`", file.display());
        }
    }
}

#[test]
fn what_a_page_shows_of_an_example_is_in_the_example() {
    let mut shown = 0;
    for page in files(&["docs/manual"]) {
        let text = fs::read_to_string(&page).expect("a page is text");
        // The other code of the pages is compiled, or run, as a test of the documentation.
        for block in text.split("```rust,ignore\n").skip(1) {
            let code = unindented(block.split("```").next().unwrap_or_default());
            let (source, code) = code
                .strip_prefix("// ")
                .and_then(|code| code.split_once('\n'))
                .unwrap_or_else(|| panic!("{}: a sample has its file in its first line", page.display()));
            assert!(unindented(&read(source)).contains(code), "{}: {source} has not:\n{code}", page.display());
            shown += 1;
        }
    }
    assert!(shown > 0, "the pages are parsed");
}

#[test]
fn no_sample_panics_at_an_argument_that_is_not_utf_8() {
    for file in files(&["README.md", "docs", "examples", "src", "benches"]) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        assert!(!text.contains("env::args()"), "{}: use `args_os`", file.display());
    }
}

#[test]
fn every_error_has_a_test_that_makes_it_happen_and_stands_in_the_manual() {
    let source = read("src/error.rs") + &read("src/error/start.rs");
    let rows = rows();
    let manual = read("docs/manual/errors.md");
    for name in ["Error", "StartFailure"] {
        let variants = variants_of(&source, name);
        assert!(variants.len() > 9, "the variants of {name} are parsed");
        for variant in variants {
            let shown = rows.iter().find(|row| row.title == format!("{name}::{variant}"));
            assert!(shown.is_some_and(|row| !row.shown.is_empty()), "{LIST} shows nothing for `{name}::{variant}`");
            assert!(
                manual.contains(&format!("[`{variant}`](crate::")),
                "the manual does not describe {name}::{variant}"
            );
        }
    }
}

#[test]
fn every_attack_has_a_test_that_shows_what_stops_it() {
    let page = read("docs/threats.md");
    let rows = rows();
    let attacks: Vec<&str> = page
        .split("\n# ")
        .filter(|part| part.starts_with("Attacks"))
        .flat_map(|part| part.lines().filter_map(|line| line.strip_prefix("| ")).skip(2))
        .filter_map(|row| row.split(" | ").next())
        .collect();
    assert!(attacks.len() > 20, "the tables are parsed");
    for attack in attacks {
        let shown = rows.iter().find(|row| row.section == "Attacks" && row.title == attack);
        assert!(shown.is_some_and(|row| !row.shown.is_empty()), "{LIST} has nothing for the attack: {attack}");
    }
}

#[test]
fn the_front_page_says_which_feature_each_item_needs() {
    let page = read("docs/manual/front.md");
    let mut marked = 0;
    for file in files(&["src"]) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        for mark in text.split("doc(cfg(feature = \"").skip(1) {
            let (feature, rest) = mark.split_once('"').expect("the name of a feature");
            let row = page.lines().find(|line| line.starts_with(&format!("| `{feature}` |")));
            let row = row.unwrap_or_else(|| panic!("the front page has no row `{feature}`"));
            // The item is on the first line that is no attribute. `tokio` is for all items that no other feature marks.
            let item = rest.lines().skip(1).map(str::trim).find(|line| !line.starts_with('#')).unwrap_or_default();
            let Some(item) = item.strip_prefix("pub ").filter(|_| feature != "tokio") else { continue };
            let item = item.split(['(', '<', ';']).next().unwrap_or_default().rsplit("::").next().unwrap_or_default();
            for name in item.trim_matches(['{', '}']).split(", ").filter_map(|item| item.split(' ').next_back()) {
                assert!(
                    row.contains(name),
                    "{}: the front page does not say that {name} needs `{feature}`",
                    file.display()
                );
                marked += 1;
            }
        }
    }
    assert!(marked > 6, "the marks are parsed");
}

/// The lines of a text without what they begin with.
fn unindented(text: &str) -> String {
    text.trim_end().lines().flat_map(|line| [line.trim_start(), "\n"]).collect()
}

/// The variants of an enum, as spelled in its source.
fn variants_of<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).expect("the enum");
    let (body, _) = body.split_once("\n}").expect("its end");
    let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = variants.filter(|line| line.starts_with(|char: char| char.is_ascii_uppercase()));
    variants.map(|line| line.split(|char: char| !char.is_ascii_alphanumeric()).next().unwrap_or(line)).collect()
}

/// The sources of the native protocol whose path contains `part` and that define this enum.
fn protocol_sources(part: &str, name: &str) -> Vec<String> {
    let begins = format!("pub enum {name} {{\n");
    let files = files(&["src/proto"]).into_iter().filter(|file| {
        let path = file.strip_prefix(path("src/proto")).unwrap_or(file).to_string_lossy();
        path.contains(part) && !path.contains("sequoia")
    });
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    let sources: Vec<String> = texts.filter(|text| text.contains(&begins)).collect();
    assert!(!sources.is_empty(), "{part} has no enum {name}");
    sources
}

/// The names in backticks in the first cell of a row, whose first backtick was consumed.
fn code_in_first_cell(row: &str) -> impl Iterator<Item = &str> {
    row.split(" | ").next().unwrap_or_default().split('`').step_by(2)
}

/// Generates the page: for each row of the list, how many items each rung has.
fn page() -> String {
    let mut page = String::from(
        "# How many names of each rung show a property or a trap, counted from tests/properties.txt, which names them.\n\
         # UPDATE=1 cargo test --test verification\n",
    );
    let mut section = String::new();
    for row in rows().into_iter().filter(|row| !["Errors", "Seed"].contains(&&row.section[..])) {
        if row.section != section {
            page += &format!("\n== {}\n", row.section);
        }
        let counts: Vec<String> = row.counts().iter().map(|(rung, count)| format!("{rung} {count}")).collect();
        page += &format!("{}: {}\n", row.title, counts.join(", "));
        section = row.section;
    }
    page
}

/// Reads the list: `== SECTION`, titles, and indented below each title one rung and name a line.
fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut section = String::new();
    for line in read(LIST).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix("== ") {
            section = title.into();
        } else if let Some(shown) = line.strip_prefix("    ") {
            let (rung, name) = shown.split_once(' ').unwrap_or_else(|| panic!("{LIST}: a rung and a name: {line}"));
            let row = rows.last_mut().unwrap_or_else(|| panic!("{LIST}: a title comes first: {line}"));
            row.shown.push((rung.into(), name.trim().into()));
        } else {
            rows.push(Row { section: section.clone(), title: line.into(), shown: Vec::new() });
        }
    }
    assert!(rows.len() > 40, "the list is parsed");
    rows
}

/// The text in backticks in a line.
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

/// The names defined by `Name == …` in TLA+.
fn defined(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.split_once(" ==")).map(|(name, _)| name.trim_end().into()).collect()
}

/// The names in `("Name", function),` in a list of properties, and in `name | …` in a list of slices.
fn modelled(text: &str) -> Vec<String> {
    let property = |line: &str| line.trim().strip_prefix("(\"")?.split('"').next().map(String::from);
    let slice = |line: &str| line.split_once(" | ").map(|(name, _)| name.trim().to_owned());
    text.lines().filter_map(|line| property(line).or_else(|| slice(line))).collect()
}

fn variants() -> Vec<String> {
    let variants = read("spec/variants.txt") + &read("spec/handshake-variants.txt");
    variants.lines().filter_map(|line| line.split_once('|')).map(|(name, _)| name.trim().into()).collect()
}

/// The names in `"Name: …"`, the prefix of a violation's message.
fn verdicts(text: &str) -> Vec<String> {
    let names = text.split('"').filter_map(|text| Some(text.split_once(": ")?.0));
    names
        .filter(|name| name.chars().all(char::is_alphabetic) && name.starts_with(char::is_uppercase))
        .map(String::from)
        .collect()
}

/// Functions marked as tests, and those listed as trials.
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

/// All files in these places that exist.
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
