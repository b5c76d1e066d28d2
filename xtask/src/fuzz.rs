//! Runs each target of the fuzzer for a while. New inputs are kept in `target/fuzz/corpus/`.
//!
//! No sanitizer is used: the crate has no unsafe code, and without one the stable compiler builds the targets.
//! `fuzz/corpus/` holds few files that together cover all edges ever covered. Choose them anew after a long run by
//! `cargo fuzz run -s none T NEW fuzz/corpus/T target/fuzz/corpus/T -- -set_cover_merge=1 -use_counters=0`.

use std::error::Error;
use std::fs;
use std::process::Command;

use crate::{need, root, run, tool};

/// Runs all targets, or one, each for this many seconds, and fails if one of them failed.
pub fn check(args: &[&str]) -> Result<(), Box<dyn Error>> {
    let (seconds, only) = match *args {
        [] => ("60", None),
        ["--seconds", seconds] => (seconds, None),
        ["--seconds", seconds, target] => (seconds, Some(target)),
        [target] => ("60", Some(target)),
        _ => return Err(crate::USAGE.into()),
    };
    let seconds: u32 = seconds.parse().map_err(|_| crate::USAGE)?;
    let targets: Vec<_> = targets()?.into_iter().filter(|name| only.is_none_or(|only| name == only)).collect();
    if targets.is_empty() {
        return Err("no target in fuzz/fuzz_targets has this name".into());
    }
    need::all(&[&need::CPP])?;
    run(cargo_fuzz("build")?.args(only))?;
    println!("{:12} {:>12} {:>8} {:>8} {:>8}", "target", "runs/s", "edges", "features", "corpus");
    let mut crashes = Vec::new();
    for target in targets {
        match fuzz(&target, seconds)? {
            Ok(Report { runs, edges, features, corpus }) => {
                println!("{target:12} {runs:>12} {edges:>8} {features:>8} {corpus:>8}");
            }
            Err(text) => crashes.push(format!("{target} fails:\n{text}")),
        }
    }
    if crashes.is_empty() { Ok(()) } else { Err(crashes.join("\n").into()) }
}

/// Lists the targets, one a file.
fn targets() -> Result<Vec<String>, Box<dyn Error>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        targets.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    targets.sort();
    Ok(targets)
}

/// What libFuzzer reports at the end.
struct Report {
    runs: String,
    edges: String,
    features: String,
    corpus: String,
}

/// Fuzzes one target. If it failed, returns its output from the panic on, which has the path of the input.
fn fuzz(target: &str, seconds: u32) -> Result<Result<Report, String>, Box<dyn Error>> {
    let new = root().join("target/fuzz/corpus").join(target);
    fs::create_dir_all(&new)?;
    let output = cargo_fuzz("run")?
        .arg(target)
        .arg(new)
        .arg(root().join("fuzz/corpus").join(target))
        .args(["--", "-print_final_stats=1", "-timeout=10", "-max_len=1200", "-dict=fuzz/dictionary.txt"])
        .arg(format!("-max_total_time={seconds}"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let panic = text.find("panicked at").map_or(0, |at| text[..at].rfind('\n').unwrap_or(0));
        return Ok(Err(text[panic..].to_owned()));
    }
    let word = |line: &str, name: &str| {
        let line = text.lines().rfind(|text| text.contains(line));
        let word = line.and_then(|line| line.split_once(name)?.1.split_whitespace().next());
        word.map(String::from).ok_or(format!("libFuzzer does not report {name:?}:\n{text}"))
    };
    Ok(Ok(Report {
        runs: word("stat::average_exec_per_sec:", "average_exec_per_sec:")?,
        edges: word("DONE", "cov: ")?,
        features: word("DONE", "ft: ")?,
        corpus: word("DONE", "corp: ")?,
    }))
}

fn cargo_fuzz(command: &str) -> Result<Command, Box<dyn Error>> {
    let mut cargo_fuzz = Command::new(tool("cargo-fuzz", "0.13.2")?);
    cargo_fuzz.current_dir(root()).args(["fuzz", command, "--sanitizer", "none", "--target-dir"]);
    cargo_fuzz.arg(root().join("target/fuzz"));
    Ok(cargo_fuzz)
}
