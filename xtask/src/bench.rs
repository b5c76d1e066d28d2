//! Compares this crate with the same by hand and with `sequoia-ipc`: `interop/` measures, this judges and writes.

mod interval;
mod machine;
mod page;
mod plot;
mod results;
mod target;

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use self::interval::Interval;
use self::machine::Ticks;
use self::results::{Measured, Numbers, Results, Run, Summary};
use self::target::TARGETS;
use crate::{USAGE, cargo, need, root, run};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The rows by name, as in `interop/src/rows/`, and as the page describes them.
const ROWS: [(&str, &str); 42] = [
    ("join", "join to the first answer, in a running process"),
    ("join-pinned", "the same with client and server on one core"),
    ("welcome", "of a join, until the welcome; sequoia-ipc has none"),
    ("stream", "connect to the first byte of a stream, without Cap'n Proto"),
    ("blocking", "the same by a client that blocks its thread; by hand with sockets of std"),
    ("fresh", "join in a fresh process, its start included"),
    ("cold", "no server: start one, to its first answer"),
    ("recovery", "the server was killed: start another, to its first answer"),
    ("internal", "start a server in a thread of this process, to its first answer"),
    ("herd-50", "50 processes at once, no server before, each connected for 20 ms"),
    ("herd-400", "400 processes at once, no server before"),
    ("herd-400-live", "400 processes at once, to a running server"),
    ("joins-1", "joins of one process"),
    ("joins-2", "joins of 2 processes"),
    ("joins-8", "joins of 8 processes"),
    ("joins-32", "joins of 32 processes"),
    ("connects", "connects without a pause, the median of 2,000"),
    ("connects-late", "the p99.9 of 2,000"),
    ("connects-longest", "the longest of 2,000"),
    ("accepts", "clients admitted"),
    ("flood-none", "join over TCP, the median of 20"),
    ("flood-silent", "the same while a process floods the port with silent connections, beside undisturbed"),
    ("flood-garbage", "the same with connections that send garbage"),
    ("restore", "another program empties the point: until the record is restored"),
    ("idle-client", "memory of a server for each idle client"),
    ("idle-descriptors", "descriptors of a server for each idle client"),
    ("wake-ups", "wake-ups of an idle server"),
    ("wake-ups-plain", "the same in a home of which not all changes are reported"),
    ("join-client-calls", "system calls of a join, the client's"),
    ("join-server-calls", "the server's"),
    ("join-client-switches", "context switches of a join, the client's"),
    ("join-server-switches", "the server's"),
    ("join-client-allocations", "allocations of a join, the client's"),
    ("join-server-allocations", "the server's"),
    ("cold-client-calls", "system calls of a cold start, the client's"),
    ("cold-server-calls", "the server's"),
    ("cold-client-switches", "context switches of a cold start, the client's"),
    ("cold-server-switches", "the server's"),
    ("cold-client-allocations", "allocations of a cold start, the client's"),
    ("cold-server-allocations", "the server's"),
    ("herd-400-lost", "of 400 processes at once without a server, not served"),
    ("herd-400-live-lost", "of 400 processes at once to a running server, not served"),
];
const CONTENDERS: [(&str, &str); 5] = [
    ("ours-unix", "ours, Unix"),
    ("ours-tcp", "ours, TCP"),
    ("floor-unix", "by hand, Unix"),
    ("floor-tcp", "by hand, TCP"),
    ("sequoia", "sequoia-ipc"),
];

/// How a row is measured: with a number of rounds, or until its intervals are narrow, at most for this time.
struct Effort {
    rounds: Option<String>,
    most: Duration,
}

/// A row is measured for this time, and for this number of rounds, even if its intervals are narrow at once.
const LEAST: (Duration, usize) = (Duration::from_secs(2), 6);

/// Measures all rows or some, prints them, and judges them unless `--quick` is given. Writes the page if all were run
/// or `--keep` is given. Fails in the end if a row could not be measured.
pub fn check(args: &[&str]) -> Result<()> {
    let mut effort = Effort { rounds: None, most: Duration::from_secs(30) };
    let (mut quick, mut keep, mut rows) = (false, false, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--rounds" => effort.rounds = Some(args.next().ok_or(USAGE)?.parse::<u32>()?.max(1).to_string()),
            "--seconds" => effort.most = Duration::from_secs(args.next().ok_or(USAGE)?.parse()?),
            "--quick" => (quick, effort.rounds) = (true, Some("1".into())),
            "--keep" => keep = true,
            row => rows.push(row),
        }
    }
    need::all(&[&need::CAPNP])?;
    let has_steps = !quick && (rows.is_empty() || rows.contains(&STEPS));
    let measured = rows.iter().copied().filter(|row| *row != STEPS).collect::<Vec<_>>();
    let (mut results, mut failed) = match rows.is_empty() || !measured.is_empty() {
        true => measure(&effort, &measured)?,
        false => Default::default(),
    };
    if has_steps && let Err(error) = steps(&mut results) {
        failed.push(format!("{STEPS} ({error})"));
    }
    println!("\n{}", page::measured(&results, !quick));
    if keep || rows.is_empty() && !quick {
        let is_whole = rows.is_empty() && failed.is_empty();
        let mut all = if is_whole { Results::default() } else { Results::read()? };
        all.update(results);
        all.write()?;
        fs::write(root().join("docs/performance.svg"), plot::plot(&all))?;
        page::write(&all)?;
        println!("docs/performance.md, .tsv and .svg are written");
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not measured: {}", failed.join(", ")).into()) }
}

/// Builds the measuring program, and runs it. Returns the names of the rows that failed, too.
fn measure(effort: &Effort, rows: &[&str]) -> Result<(Results, Vec<String>)> {
    let target = root().join("target/interop");
    run(cargo()
        .current_dir(root().join("interop"))
        .args(["build", "--quiet", "--release", "--locked", "--target-dir"])
        .arg(&target))?;
    let mut command = Command::new(target.join("release/interop"));
    let rounds = effort.rounds.iter().flat_map(|rounds| ["--rounds", rounds]);
    command.arg("measure").args(rounds).args(rows).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut measuring = command.spawn()?;
    let (asks, answers) = (measuring.stdout.take().ok_or("no output")?, measuring.stdin.take().ok_or("no input")?);
    // Where it fails, it closes both, and the program ends its servers and itself.
    let measured = converse(&measuring, asks, answers, effort.most);
    let ended = measuring.wait()?;
    let (results, mut failed) = measured?;
    if !ended.success() {
        failed.push("what would have followed".into());
    }
    Ok((results, failed))
}

/// Reads the numbers, and says of each row when they are enough. `interop/src/turns.rs` describes the lines.
fn converse(
    measuring: &Child,
    asks: ChildStdout,
    mut answers: ChildStdin,
    most: Duration,
) -> Result<(Results, Vec<String>)> {
    let machine = machine::describe(measuring.id())?;
    println!("{machine}");
    let (mut began, mut before) = (Instant::now(), Ticks::now(measuring.id())?);
    let (mut row, mut results, mut failed) = (Measured::new(), Results::default(), Vec::new());
    for line in BufReader::new(asks).lines() {
        let line = line?;
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["?", _] => {
                let rounds = row.values().map(|numbers| numbers.rounds.len()).min().unwrap_or_default();
                // What has no results ends here, and fails below.
                let are_narrow = || Results::of(&row, interval::ENOUGH).map_or(true, |results| results.are_narrow());
                let is_enough = began.elapsed() >= LEAST.0 && rounds >= LEAST.1 && are_narrow();
                let more = !is_enough && began.elapsed() < most;
                answers.write_all(if more { b"more\n" } else { b"enough\n" })?;
            }
            [".", name] => {
                let now = Ticks::now(measuring.id())?;
                let (others, stolen) = now.since(before);
                match Results::of(&std::mem::take(&mut row), interval::KNOWN) {
                    Ok(mut of_row) => {
                        let (seconds, narrow) = (began.elapsed().as_secs_f64(), of_row.are_narrow());
                        let run = Run { machine: machine.clone(), seconds, narrow, others, stolen };
                        println!("{name}: {}{}", of_row.line(), page::conditions(&run));
                        of_row.runs.insert(name.into(), run);
                        results.update(of_row);
                    }
                    Err(error) => failed.push(format!("{name} ({error})")),
                }
                (began, before) = (Instant::now(), now);
            }
            ["!", name] => {
                failed.push(name.into());
                row.clear();
                (began, before) = (Instant::now(), Ticks::now(measuring.id())?);
            }
            [name, contender, unit, numbers] => {
                let key = (name.into(), contender.into());
                let all = row.entry(key).or_insert_with(|| Numbers { unit: unit.into(), rounds: Vec::new() });
                for number in numbers.split(' ') {
                    all.rounds.push(number.parse()?);
                }
            }
            _ => return Err(format!("not a measurement: {line}").into()),
        }
    }
    Ok((results, failed))
}

/// The name of the row that criterion measures.
const STEPS: &str = "steps";

/// The time of each step of the machines in nanoseconds: `step/client/join/Read   time:   [1 ns 2 ns 3 ns]`.
fn steps(results: &mut Results) -> Result<()> {
    let output = cargo()
        .args(["bench", "--locked", "--bench", "machines", "--", "--noplot", "--warm-up-time", "0.2"])
        .args(["--measurement-time", "0.5", "step"])
        .output()?;
    if !output.status.success() {
        return Err(format!("the steps were not measured: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let mut name = String::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        // A long name has a line of its own.
        let (before, times) = line.split_once("time:").unwrap_or((line, ""));
        if let Some(step) = before.trim().strip_prefix("step/") {
            name = step.into();
        }
        let times: Vec<&str> = times.trim_matches([' ', '[', ']']).split_whitespace().collect();
        if let [low, _, median, _, high, _] = times[..] {
            let nanos = |number: &str, unit: &str| match unit {
                "ns" => Ok(number.parse::<f64>()?),
                "µs" => Ok(number.parse::<f64>()? * 1e3),
                _ => Err(Box::<dyn Error>::from(line)),
            };
            let [low, median, high] = [nanos(low, times[1])?, nanos(median, times[3])?, nanos(high, times[5])?];
            let interval = Interval { low, median, high };
            let summary = Summary { unit: "ns".into(), rounds: 1, interval, p99: high, longest: high };
            results.add(["step", &name, ""], summary);
        }
    }
    Ok(())
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
