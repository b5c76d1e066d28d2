//! The results that are kept, a file of `tests/mutants` for each source file, and the verdicts of all runs so far.
//!
//! A file of results has the hash of the code that was mutated, the numbers, and a line for each mutant that survived:
//! its name, and after a `|` why no test can tell it from the original.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::copy::{self, Source};
use crate::parallel::Result;
use crate::root;

/// Stands where a reason is missing.
pub const OPEN: &str = "open";

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// By this test.
    Caught(String),
    /// The tests did not end in time.
    TimedOut(String),
    /// All of so many tests that reach it passed.
    Survived(usize),
    /// No test reaches it.
    Unreached,
}

/// The verdicts so far, by file and name.
pub type Verdicts = BTreeMap<(String, String), Verdict>;

/// What a file of results has.
#[derive(Default)]
pub struct Kept {
    pub digest: String,
    pub numbers: String,
    /// The survivors and their reasons.
    pub survivors: BTreeMap<String, String>,
}

fn journal() -> PathBuf {
    copy::dir().join("verdicts")
}

/// Reads the verdicts for the code as it is now.
pub fn verdicts(sources: &[Source]) -> Verdicts {
    let digests: BTreeMap<&str, &str> =
        sources.iter().map(|source| (source.file.as_str(), source.digest.as_str())).collect();
    let mut verdicts = Verdicts::new();
    for line in fs::read_to_string(journal()).unwrap_or_default().lines() {
        let [file, digest, name, what, by] = line.splitn(5, '\t').collect::<Vec<_>>()[..] else { continue };
        if digests.get(file) != Some(&digest) {
            continue;
        }
        let verdict = match what {
            "caught" => Verdict::Caught(by.into()),
            "time-out" => Verdict::TimedOut(by.into()),
            "survived" => Verdict::Survived(by.parse().unwrap_or_default()),
            _ => Verdict::Unreached,
        };
        verdicts.insert((file.into(), name.into()), verdict);
    }
    verdicts
}

/// Adds a verdict to those that later runs read.
pub fn note(source: &Source, name: &str, verdict: &Verdict) -> Result<()> {
    let (what, by) = match verdict {
        Verdict::Caught(by) => ("caught", by.clone()),
        Verdict::TimedOut(by) => ("time-out", by.clone()),
        Verdict::Survived(tests) => ("survived", tests.to_string()),
        Verdict::Unreached => ("unreached", String::new()),
    };
    let mut journal = fs::OpenOptions::new().create(true).append(true).open(journal())?;
    let line = format!("{}\t{}\t{name}\t{what}\t{by}\n", source.file, source.digest);
    Ok(journal.write_all(line.as_bytes())?)
}

/// The file with the results of a source file, or of the sample.
fn path(name: &str) -> PathBuf {
    let name = name.trim_start_matches("src/").trim_end_matches(".rs").replace('/', "-");
    root().join("tests/mutants").join(format!("{name}.txt"))
}

/// Reads what is kept of a source file, or of the sample.
pub fn kept(name: &str) -> Option<Kept> {
    let text = fs::read_to_string(path(name)).ok()?;
    let mut kept = Kept::default();
    for line in text.lines() {
        if let Some(digest) = line.strip_prefix("code ") {
            kept.digest = digest.into();
        } else if let Some(numbers) = line.strip_prefix("numbers ") {
            kept.numbers = numbers.into();
        } else if let Some((name, reason)) = line.rsplit_once(" | ") {
            kept.survivors.insert(name.into(), reason.into());
        }
    }
    Some(kept)
}

/// Writes the results of a file, or of a sample of several. The reasons that were given stay.
pub fn keep<'a>(
    name: &str,
    digest: &str,
    generated: &str,
    mutants: impl Iterator<Item = (String, &'a Verdict)>,
) -> Result<String> {
    let before = kept(name).unwrap_or_default();
    let [mut run, mut caught, mut late, mut alive] = [0; 4];
    let mut survivors = String::new();
    for (name, verdict) in mutants {
        run += 1;
        match verdict {
            Verdict::Caught(_) => caught += 1,
            Verdict::TimedOut(_) => late += 1,
            Verdict::Survived(_) | Verdict::Unreached => {
                alive += 1;
                let reason = before.survivors.get(&name).map_or(OPEN, String::as_str);
                survivors += &format!("{name} | {reason}\n");
            }
        }
    }
    let numbers = format!("{generated}, run {run}, caught {caught}, by time-out {late}, survived {alive}");
    fs::create_dir_all(root().join("tests/mutants"))?;
    fs::write(path(name), format!("of {name}\ncode {digest}\nnumbers {numbers}\n{survivors}"))?;
    Ok(numbers)
}

/// What results are kept of: source files, and the sample.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("tests/mutants")).into_iter().flatten() {
        let text = fs::read_to_string(entry?.path())?;
        names.extend(text.lines().next().and_then(|line| line.strip_prefix("of ")).map(String::from));
    }
    names.sort();
    Ok(names)
}
