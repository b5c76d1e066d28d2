//! Compares this crate with the same by hand and with `sequoia-ipc`: `interop/` measures, this judges and writes.

mod machine;
mod page;
mod plot;
mod target;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use self::target::TARGETS;
use crate::{USAGE, cargo, need, root, run};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The measurements by name, as in `interop/src/rows.rs`, and as the page describes them.
const ROWS: [(&str, &str); 13] = [
    ("join", "join to the first answer, in a running process"),
    ("welcome", "of that, until the welcome; sequoia-ipc has none"),
    ("fresh", "join in a fresh process, its start included"),
    ("cold", "no server: start one, to its first answer"),
    ("recovery", "the server was killed: start another, to its first answer"),
    ("herd-50", "50 processes at once, no server before, each connected for 100 ms"),
    ("herd-400", "400 processes at once, no server before"),
    ("connects", "one of 2,000 connects without a pause"),
    ("accepts", "clients admitted"),
    ("idle-client", "memory of a server for each idle client"),
    ("idle-descriptors", "descriptors of a server for each idle client"),
    ("wake-ups", "wake-ups of an idle server"),
    ("internal", "start a server in a thread of this process, to its first answer"),
];
const CONTENDERS: [(&str, &str); 5] = [
    ("ours-unix", "ours, Unix"),
    ("ours-tcp", "ours, TCP"),
    ("floor-unix", "by hand, Unix"),
    ("floor-tcp", "by hand, TCP"),
    ("sequoia", "sequoia-ipc"),
];

/// The measurements of one row and one contender.
struct Sample {
    unit: String,
    median: f64,
    p99: f64,
    p999: f64,
    most: f64,
}

/// By row and contender.
type Samples = BTreeMap<(String, String), Sample>;

/// Measures all rows or some, prints them, and judges them unless `--quick` is given. Writes the page if all were run.
pub fn check(args: &[&str]) -> Result<()> {
    let (mut rounds, mut quick, mut rows) = (None, false, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--rounds" => rounds = Some(args.next().ok_or(USAGE)?.parse::<u32>()?.max(1).to_string()),
            "--quick" => quick = true,
            row => rows.push(row),
        }
    }
    need::all(&[&need::CAPNP])?;
    let rounds = rounds.or_else(|| quick.then(|| "1".into()));
    let samples = measure(rounds.as_deref(), &rows)?;
    let steps = if quick || !rows.is_empty() { Vec::new() } else { steps()? };
    println!("\n{}", page::table(&samples));
    if quick {
        return Ok(());
    }
    let judged: Vec<_> =
        TARGETS.iter().filter_map(|target| target.judge(&samples)).chain(target::of_steps(&steps)).collect();
    println!("{}", page::judged(&judged));
    if rows.is_empty() {
        fs::write(root().join("docs/performance.svg"), plot::plot(&samples))?;
        page::write(&samples, &judged, &steps)?;
        println!("docs/performance.md and docs/performance.svg are written");
    }
    Ok(())
}

/// Builds and runs the measuring program.
fn measure(rounds: Option<&str>, rows: &[&str]) -> Result<Samples> {
    let target = root().join("target/interop");
    run(cargo()
        .current_dir(root().join("interop"))
        .args(["build", "--quiet", "--release", "--locked", "--target-dir"])
        .arg(&target))?;
    let mut command = Command::new(target.join("release/interop"));
    command.arg("measure").args(rounds.map(|rounds| ["--rounds", rounds]).into_iter().flatten()).args(rows);
    let mut measuring = command.stdout(Stdio::piped()).spawn()?;
    let mut samples = Samples::new();
    for line in BufReader::new(measuring.stdout.take().ok_or("no output")?).lines() {
        let line = line?;
        println!("{line}");
        let fields: Vec<&str> = line.split('\t').collect();
        let [row, contender, unit, _, median, p99, p999, most] = fields[..] else {
            return Err(format!("not a measurement: {line}").into());
        };
        let [median, p99, p999, most] = [median, p99, p999, most].map(str::parse);
        let sample = Sample { unit: unit.into(), median: median?, p99: p99?, p999: p999?, most: most? };
        samples.insert((row.into(), contender.into()), sample);
    }
    match measuring.wait()?.success() {
        true => Ok(samples),
        false => Err("the measurements failed".into()),
    }
}

/// The time of each step of the machines in nanoseconds: `step/client/join/Read   time:   [1 ns 2 ns 3 ns]`.
fn steps() -> Result<Vec<(String, f64)>> {
    let output = cargo()
        .args(["bench", "--locked", "--bench", "machines", "--", "--noplot", "--warm-up-time", "0.2"])
        .args(["--measurement-time", "0.5", "step"])
        .output()?;
    let mut steps = Vec::new();
    let mut name = String::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        // A long name has a line of its own.
        let (before, time) = line.split_once("time:").unwrap_or((line, ""));
        if let Some(step) = before.trim().strip_prefix("step/") {
            name = step.into();
        }
        let mut words = time.trim_matches([' ', '[', ']']).split_whitespace().skip(2);
        if let (Some(median), Some(unit)) = (words.next(), words.next()) {
            let factor = if unit == "ns" {
                1.0
            } else if unit == "µs" {
                1e3
            } else {
                return Err(line.into());
            };
            steps.push((name.clone(), median.parse::<f64>()? * factor));
        }
    }
    if output.status.success() && !steps.is_empty() {
        Ok(steps)
    } else {
        Err(format!("the steps were not measured: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// A number with about three significant digits.
fn short(number: f64) -> String {
    let decimals = if number >= 100.0 || number == 0.0 {
        0
    } else if number >= 10.0 {
        1
    } else {
        2
    };
    format!("{number:.decimals$}")
}
