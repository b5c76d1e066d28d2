//! Makes a copy of the project with all mutants in it, and builds it once.
//!
//! The crate `switch` of the copy has the function that each mutant asks: it reads once which one is on. A mutant that
//! does not compile is found by the compiler's messages, and dropped before the next round.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::render::{self, Site};
use super::sites;
use crate::parallel::Result;
use crate::{cargo, root};

/// The variables that turn on a mutant, and that have the mutants written down that a test reaches.
pub const ON: &str = "MUTANT";
pub const REACHED: &str = "MUTANTS_REACHED";

const SWITCH: &str = r#"
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

enum Mode { Off, On(usize), Record(std::ffi::OsString) }

static MODE: OnceLock<Mode> = OnceLock::new();
static SEEN: [AtomicU64; 512] = [const { AtomicU64::new(0) }; 512];

#[inline]
pub fn on(number: usize) -> bool {
    match MODE.get_or_init(mode) {
        Mode::Off => false,
        Mode::On(on) => *on == number,
        Mode::Record(dir) => { record(dir, number); false }
    }
}

fn mode() -> Mode {
    if let Some(on) = std::env::var("MUTANT").ok().and_then(|on| on.parse().ok()) { return Mode::On(on); }
    std::env::var_os("MUTANTS_REACHED").map_or(Mode::Off, Mode::Record)
}

fn record(dir: &std::ffi::OsStr, number: usize) {
    let bit = 1 << (number % 64);
    if SEEN[number / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        // A process without a descriptor left, or whose files may not grow, can make a directory.
        let _ = std::fs::create_dir(std::path::Path::new(dir).join(number.to_string()));
    }
}
"#;

/// A mutant, by its number in the copy.
pub struct Mutant {
    pub file: String,
    /// The hash of the file's code.
    pub digest: String,
    pub name: String,
}

/// The lot that a mutant draws, by a seed: a number that says nothing about it.
pub fn lot(seed: u64, mutant: &Mutant) -> Vec<u8> {
    Sha256::digest(format!("{seed} {} {}", mutant.file, mutant.name)).to_vec()
}

/// The hash of several files, by those of their code.
pub fn joint_digest<'a>(sources: impl Iterator<Item = &'a Source>) -> String {
    let mut hash = Sha256::new();
    sources.for_each(|source| hash.update(&source.digest));
    hex(hash)
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A source file and its mutants.
pub struct Source {
    pub file: String,
    pub digest: String,
    pub text: String,
    pub sites: Vec<Site>,
    /// The sites that do not compile.
    pub unviable: BTreeSet<usize>,
}

/// All source files of the crate, but for those that only tests have.
pub fn sources() -> Result<Vec<Source>> {
    let known = known_unviable();
    let mut sources = Vec::new();
    for file in tracked()?.into_iter().filter(|file| is_source(file)) {
        let text = fs::read_to_string(root().join(&file))?;
        let sites = sites::of(&text).map_err(|error| format!("{file}: {error}"))?;
        let digest = digest(&text, &sites);
        let names = known.get(&(file.clone(), digest.clone()));
        let unviable =
            sites.iter().enumerate().filter(|(_, site)| names.is_some_and(|names| names.contains(&site.name)));
        let unviable = unviable.map(|(index, _)| index).collect();
        sources.push(Source { file, digest, text, sites, unviable });
    }
    Ok(sources)
}

fn is_source(file: &str) -> bool {
    // Other systems have the first, and the simulated one the others.
    let elsewhere = ["src/os/unix/no_changes.rs", "src/driver/simulated.rs", "src/sim.rs"];
    file.starts_with("src/")
        && file.ends_with(".rs")
        && !file.ends_with("/tests.rs")
        && !file.contains("/tests/")
        && !file.starts_with("src/os/sim/")
        && !elsewhere.contains(&file)
}

/// The first characters of the hash of the mutants of a file and their places, which is as good as of its code: comments
/// and tests do not count.
fn digest(text: &str, sites: &[Site]) -> String {
    let mut hash = Sha256::new();
    let mut functions: Vec<&Range<usize>> = sites.iter().map(|site| &site.function).collect();
    functions.dedup();
    for function in functions {
        for line in text[function.clone()].lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            hash.update(line);
            hash.update("\n");
        }
    }
    hex(hash)
}

/// The files of the project, new ones too.
fn tracked() -> Result<Vec<String>> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").current_dir(root()).args(list).output()?;
    let files = String::from_utf8(output.stdout)?;
    Ok(files.lines().filter(|file| root().join(file).is_file()).map(String::from).collect())
}

pub fn dir() -> PathBuf {
    root().join("target/mutants")
}

/// The copy.
pub fn tree() -> PathBuf {
    dir().join("tree")
}

/// The copy, built: its mutants in the order of their numbers, and its test programs by name.
pub struct Built {
    pub mutants: Vec<Mutant>,
    pub programs: BTreeMap<String, PathBuf>,
}

/// Copies the project with all mutants, drops those that do not compile, and builds the tests.
pub fn build(sources: &mut [Source], tests: &[&str]) -> Result<Built> {
    copy()?;
    let mut round = 0;
    let mutants = loop {
        let (mutants, rendered) = write(sources)?;
        round += 1;
        let errors = errors()?;
        println!("round {round}: {} mutants, {} errors of the compiler", mutants.len(), errors.len());
        if errors.is_empty() {
            break mutants;
        }
        if !drop_unviable(sources, &rendered, &errors) {
            return Err(format!("no mutant explains these errors: {errors:?}").into());
        }
        keep_unviable(sources)?;
    };
    Ok(Built { mutants, programs: programs(tests)? })
}

fn copy() -> Result<()> {
    let files: BTreeSet<String> = tracked()?.into_iter().collect();
    for file in files.iter().filter(|file| !is_source(file)) {
        let text = fs::read(root().join(file))?;
        let text = match file.as_str() {
            "Cargo.toml" => {
                let text = String::from_utf8(text)?;
                let switch = "[dependencies]\nswitch = { path = \"switch\" }\n";
                // What a mutant computes wrongly is found as it runs.
                let lints =
                    "[workspace.lints.rust]\narithmetic_overflow = \"allow\"\nunconditional_panic = \"allow\"\n";
                text.replacen("[dependencies]\n", switch, 1).replacen("[workspace.lints.rust]\n", lints, 1).into_bytes()
            }
            _ => text,
        };
        update(&tree().join(file), &text)?;
    }
    let manifest = "[package]\nname = \"switch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n";
    update(&tree().join("switch/Cargo.toml"), manifest.as_bytes())?;
    update(&tree().join("switch/src/lib.rs"), SWITCH.as_bytes())
}

/// Writes a file if it has to change, so that nothing is built again for nothing.
fn update(path: &Path, text: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().ok_or("a file without a directory")?)?;
    Ok(fs::write(path, text)?)
}

/// Where the text of a mutant stands in a file of the copy, and which of the file's mutants it is.
type Place = (Range<usize>, usize);

type Places = BTreeMap<String, Vec<Place>>;

fn write(sources: &[Source]) -> Result<(Vec<Mutant>, Places)> {
    let mut mutants = Vec::new();
    let mut places = Places::new();
    for source in sources {
        let begin = mutants.len();
        let mut numbers = BTreeMap::new();
        for (index, site) in source.sites.iter().enumerate() {
            if !source.unviable.contains(&index) {
                numbers.insert(index, begin + numbers.len());
                let (file, digest) = (source.file.clone(), source.digest.clone());
                mutants.push(Mutant { file, digest, name: site.name.clone() });
            }
        }
        let rendered = render::render(&source.text, &source.sites, &|index| numbers.get(&index).copied());
        update(&tree().join(&source.file), rendered.text.as_bytes())?;
        places.insert(source.file.clone(), rendered.places);
    }
    Ok((mutants, places))
}

/// An error of the compiler: the places that it names, the one where it happens first.
#[derive(Debug)]
struct CompileError {
    message: String,
    places: Vec<(String, usize)>,
}

fn cargo_in_copy() -> Command {
    let mut command = cargo();
    command.current_dir(tree()).env("CARGO_TARGET_DIR", root().join("target"));
    command
}

fn errors() -> Result<Vec<CompileError>> {
    let mut check = cargo_in_copy();
    check.args(["check", "--quiet", "--offline", "--lib", "--test=loom", "--message-format=json"]);
    let output = check.stderr(Stdio::inherit()).output()?;
    let mut errors = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let message: Value = serde_json::from_str(line)?;
        let message = &message["message"];
        if message["level"] != "error" {
            continue;
        }
        let spans: Vec<&Value> = message["spans"].as_array().into_iter().flatten().collect();
        let (first, other): (Vec<&Value>, Vec<&Value>) = spans.iter().partition(|span| span["is_primary"] == true);
        let places: Vec<(String, usize)> = first.iter().chain(&other).filter_map(|span| place(span)).collect();
        if !places.is_empty() {
            errors.push(CompileError { message: message["message"].to_string(), places });
        }
    }
    match errors.is_empty() && !output.status.success() {
        true => Err("the copy does not compile".into()),
        false => Ok(errors),
    }
}

/// The file and the byte of a span. Where a macro is expanded, the call in the source is what counts.
fn place(mut span: &Value) -> Option<(String, usize)> {
    while span["expansion"].is_object() && !span["file_name"].as_str()?.starts_with("src/") {
        span = &span["expansion"]["span"];
    }
    let file = span["file_name"].as_str()?;
    let file = &file[file.find("src/")?..];
    Some((file.into(), usize::try_from(span["byte_start"].as_u64()?).ok()?))
}

/// Drops the innermost mutant at each error, or one nearby where none is around it.
fn drop_unviable(sources: &mut [Source], places: &Places, errors: &[CompileError]) -> bool {
    let mut dropped = false;
    for error in errors {
        let here = |choose: fn(&[Place], usize) -> Option<usize>| {
            error.places.iter().find_map(|(file, byte)| Some((file, choose(places.get(file)?, *byte)?)))
        };
        let found = here(innermost).or_else(|| here(before)).or_else(|| here(after));
        let Some((file, index)) = found else {
            eprintln!("no mutant is near {}: {:?}", error.message, error.places);
            continue;
        };
        if let Some(source) = sources.iter_mut().find(|source| source.file == *file) {
            dropped |= source.unviable.insert(index);
        }
    }
    dropped
}

fn innermost(places: &[Place], byte: usize) -> Option<usize> {
    let around = places.iter().filter(|(range, _)| range.contains(&byte));
    around.min_by_key(|(range, _)| range.len()).map(|(_, index)| *index)
}

fn before(places: &[Place], byte: usize) -> Option<usize> {
    let before = places.iter().filter(|(range, _)| range.end <= byte);
    before.max_by_key(|(range, _)| range.end).map(|(_, index)| *index)
}

fn after(places: &[Place], byte: usize) -> Option<usize> {
    let after = places.iter().filter(|(range, _)| range.start >= byte);
    after.min_by_key(|(range, _)| range.start).map(|(_, index)| *index)
}

type Unviable = BTreeMap<(String, String), BTreeSet<String>>;

/// What did not compile in earlier runs, by file and digest.
fn known_unviable() -> Unviable {
    let mut known = Unviable::new();
    for line in fs::read_to_string(dir().join("unviable")).unwrap_or_default().lines() {
        if let [file, digest, name] = line.splitn(3, '\t').collect::<Vec<_>>()[..] {
            known.entry((file.into(), digest.into())).or_default().insert(name.into());
        }
    }
    known
}

fn keep_unviable(sources: &[Source]) -> Result<()> {
    let mut text = String::new();
    for source in sources {
        for index in &source.unviable {
            text += &format!("{}\t{}\t{}\n", source.file, source.digest, source.sites[*index].name);
        }
    }
    fs::create_dir_all(dir())?;
    Ok(fs::write(dir().join("unviable"), text)?)
}

fn programs(tests: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let mut build = cargo_in_copy();
    build.args(["test", "--no-run", "--quiet", "--offline", "--message-format=json"]);
    build.args(tests);
    let output = build.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("the tests of the copy do not build".into());
    }
    let mut programs = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let message: Value = serde_json::from_str(line)?;
        if let (Some(path), true) = (message["executable"].as_str(), message["profile"]["test"] == true) {
            let name = match message["target"]["kind"][0].as_str() {
                Some("lib") => "lib",
                _ => message["target"]["name"].as_str().unwrap_or_default(),
            };
            programs.insert(name.into(), path.into());
        }
    }
    Ok(programs)
}
