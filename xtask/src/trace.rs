//! Checks that the spec allows what real processes did.
//!
//! `tests/process` records runs: real processes, some of which are killed, stopped or misled, write their steps to one
//! log. `spec/Trace.tla` reads a log in every order in which its events may have happened, and TLC searches for an
//! order that the spec allows. `spec/traces` holds recorded runs. Each of them must be refused after it was tampered
//! with in one place.

mod ask;
mod log;
mod tamper;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use self::ask::{Verdict, ask};
use self::log::Run;
use self::tamper::{How, Tampered, tampered};
use crate::parallel::Result;
use crate::root;
use crate::tlc::fetch;

/// At how many places a quick check tampers with a kept log, in each way.
const PLACES: usize = 4;
/// How many runs of each kind a quick check records.
const SEEDS: u64 = 3;

pub enum What<'a> {
    /// The corpus, tampered with at some places, and some runs of each kind.
    Quick,
    /// The corpus, tampered with at every place.
    Corpus,
    /// This many runs of each kind.
    Record(u64),
    /// Records the corpus anew.
    Keep,
    /// These logs.
    Logs(&'a [&'a str]),
}

pub fn check(what: What) -> std::result::Result<(), Box<dyn Error>> {
    check_all(what).map_err(|error| error as Box<dyn Error>)
}

fn check_all(what: What) -> Result<()> {
    let jar = fetch::tlc()?;
    match what {
        What::Quick => {
            let corpus = corpus(&jar, Some(PLACES));
            corpus.and(runs(&jar, &record(&dir().join("runs"), SEEDS)?))
        }
        What::Corpus => corpus(&jar, None),
        What::Record(seeds) => runs(&jar, &record(&dir().join("runs"), seeds)?),
        What::Keep => record(&traces(), 1).map(drop),
        What::Logs(files) => runs(&jar, &files.iter().map(PathBuf::from).collect::<Vec<_>>()),
    }
}

fn dir() -> PathBuf {
    root().join("target/trace")
}

fn traces() -> PathBuf {
    root().join("spec/traces")
}

/// Records runs of each kind, with seeds from 1 on.
fn record(directory: &Path, seeds: u64) -> Result<Vec<PathBuf>> {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory)?;
    let began = Instant::now();
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "--locked", "--test", "process", "--", "@record"]).arg(directory);
    crate::run(cargo.args(["1", &seeds.to_string()])).map_err(|error| error.to_string())?;
    let logs = logs(directory)?;
    println!("{} runs recorded in {:.0} s", logs.len(), began.elapsed().as_secs_f64());
    Ok(logs)
}

fn logs(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut logs: Vec<PathBuf> = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    logs.sort();
    Ok(logs)
}

/// Checks that all of these are accepted.
fn runs(jar: &Path, logs: &[PathBuf]) -> Result<()> {
    let began = Instant::now();
    let texts = logs.iter().map(fs::read_to_string).collect::<std::result::Result<Vec<_>, _>>()?;
    let names = logs.iter().map(|log| log.display().to_string());
    let runs = names.zip(&texts).map(|(name, text)| Run::read(&name, text)).collect::<Result<Vec<_>>>()?;
    let mut refused = Vec::new();
    for ((run, text), verdict) in runs.iter().zip(&texts).zip(ask_all(jar, &runs)?) {
        if let Verdict::Refused(reached) = verdict {
            refused.push(format!(
                "{}: refused. The spec allows none of the next events:\n{}",
                run.name,
                stuck(run, &reached, text)
            ));
        }
    }
    let events: usize = runs.iter().map(Run::events).sum();
    let accepted = runs.len() - refused.len();
    println!("{} runs, {events} events: {accepted} accepted, {:.0} s", runs.len(), began.elapsed().as_secs_f64());
    if refused.is_empty() { Ok(()) } else { Err(refused.join("\n").into()) }
}

/// A kept run, and its copies that were tampered with.
struct Kept {
    name: String,
    events: usize,
    tampered: Vec<Tampered>,
}

/// Checks that the kept runs are accepted, and refused after any tampering. TLC is asked about many at once, since its
/// start takes longer than most answers.
fn corpus(jar: &Path, places: Option<usize>) -> Result<()> {
    let began = Instant::now();
    let (mut kept, mut asked, mut asks) = (Vec::new(), Vec::new(), Vec::new());
    for log in logs(&traces())? {
        let name = log.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let text = fs::read_to_string(&log)?;
        let run = Run::read(&name, &text)?;
        let tampered = tampered(&text, places);
        // A log that cannot be read counts as refused.
        for (copy, one) in tampered.iter().enumerate() {
            if let Ok(run) = Run::read(&name, &one.text) {
                asked.push(run);
                asks.push((kept.len(), Some(copy)));
            }
        }
        let events = run.events();
        asked.push(run);
        asks.push((kept.len(), None));
        kept.push(Kept { name, events, tampered });
    }
    let verdicts = ask_all(jar, &asked)?;
    let accepted: BTreeSet<_> = asks
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| matches!(verdict, Verdict::Accepted))
        .map(|(ask, _)| *ask)
        .collect();
    let mut wrong = Vec::new();
    println!("| run | events | accepted | removed, refused | swapped, refused | altered, refused |");
    println!("| --- | ---: | --- | ---: | ---: | ---: |");
    for (number, Kept { name, events, tampered }) in kept.iter().enumerate() {
        let is_accepted = accepted.contains(&(number, None));
        let missed: Vec<_> = (0..tampered.len())
            .filter(|copy| accepted.contains(&(number, Some(*copy))))
            .map(|copy| &tampered[copy])
            .collect();
        let [removed, swapped, altered] = How::ALL.map(|how| {
            let all = tampered.iter().filter(|one| one.how == how).count();
            format!("{} of {all}", all - missed.iter().filter(|one| one.how == how).count())
        });
        println!(
            "| {name} | {events} | {} | {removed} | {swapped} | {altered} |",
            if is_accepted { "yes" } else { "NO" }
        );
        wrong.extend((!is_accepted).then(|| format!("{name}: refused")));
        wrong.extend(missed.iter().map(|one| format!("{name}, {}: accepted", one.what)));
    }
    println!("{} kept runs, {} copies, {:.0} s", kept.len(), asked.len() - kept.len(), began.elapsed().as_secs_f64());
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Asks about the runs in batches that TLC parses quickly.
fn ask_all(jar: &Path, runs: &[Run]) -> Result<Vec<Verdict>> {
    let verdicts = runs.chunks(50).map(|some| ask(jar, &dir().join("tlc"), some)).collect::<Result<Vec<_>>>()?;
    Ok(verdicts.into_iter().flatten().collect())
}

/// The events that the spec did not allow after the longest accepted part.
fn stuck(run: &Run, reached: &[usize], text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let next = run.actors.iter().zip(reached).filter_map(|(actor, taken)| actor.events.get(*taken));
    let due = next.filter(|event| run.is_due(event, reached));
    due.map(|event| format!("  line {}: {} → {}\n", event.line + 1, lines[event.line], event.to)).collect()
}
