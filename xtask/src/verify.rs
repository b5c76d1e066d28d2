//! Runs all rungs of evidence one after the other, and prints a table of them.
//!
//! A failed rung does not keep the next ones from running. Each test program is a rung.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use crate::{
    attack, bench, cargo, chaos, codegen, conform, fuzz, interop, mutants, nostd, planted, prove, python, release, run,
    sim, tlc, trace,
};

type Result = std::result::Result<(), Box<dyn Error>>;

/// The name, what it shows, and how it runs, quickly or not.
struct Rung(&'static str, &'static str, fn(quick: bool) -> Result);

/// The rungs before the tests; those that fail fastest come first.
const BEFORE: &[Rung] = &[
    Rung("format", "cargo fmt", |_| run(cargo().args(["fmt", "--all", "--check"]))),
    Rung("clippy", "warnings denied", |_| {
        run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    }),
    Rung("features", "each combination builds", |_| release::features()),
    Rung("docs", "warnings denied", |_| {
        run(cargo().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--no-deps", "--all-features", "--locked"]))
    }),
    Rung("api", "the public API is the recorded one", |_| release::check_api()),
    Rung("nostd", "`proto` without std is linked and run", |_| nostd::check()),
    Rung("package", "what would be published builds", |_| release::package()),
    Rung("codegen", "the generated code is current", |_| codegen::check()),
    Rung("survivors", "each mutant that survives has its reason", |_| mutants::shell::check()),
];

/// The rungs after the tests.
const AFTER: &[Rung] = &[
    Rung("command line", "the program `rendezvous`, at servers of other programs", |_| {
        run(cargo().args(["test", "--locked", "--package", "rendezvous-cli"]))
    }),
    Rung("chores", "the bench judges by its intervals, and the mistakes can be planted", |_| {
        run(cargo().args(["test", "--locked", "--package", "xtask"]))
    }),
    Rung("examples", "the programs of `examples/` do what their pages say", |_| {
        run(cargo().args(["test", "--locked", "--package", "example-*"]))
    }),
    Rung("sim", "the driver over a simulated system, with kills and damage by seeds", |quick| {
        run(cargo().args(["test", "--locked", "--package", "sim"]))?;
        sim::check(&["--runs", if quick { "4000" } else { "100000" }])
    }),
    Rung("ports", "the tests of real processes, over TCP, with clients that block", |_| {
        run(cargo()
            .envs([("TRANSPORT", "tcp"), ("DRIVER", "blocking")])
            .args(["test", "--locked", "--test", "process"]))
    }),
    Rung("python", "a client in plain Python, written from docs/wire.md, beside ours", |_| python::check()),
    Rung("attack", "how much attacks on a server delay its other clients", |_| attack::check()),
    Rung("chaos", "processes killed at every step, and herds", |quick| {
        chaos::check(&["--rounds", if quick { "50" } else { "300" }, "--seed", "2"])?;
        chaos::check(&["--herd"])
    }),
    Rung("fuzz", "each target", |quick| fuzz::check(&["--seconds", if quick { "5" } else { "60" }])),
    Rung("spec", "all configurations, and all variants without a rule", |_| tlc::check(Default::default())),
    Rung("prove", "the core of the spec, for any number of clients and servers", |_| prove::check(&[])),
    Rung("conform", "the machines' graphs are the spec's", |_| conform::check(None)),
    Rung("trace", "the spec allows what real processes did", |_| trace::check(trace::What::Quick)),
];

/// The rungs that take many minutes, or need the network.
const LONG: &[Rung] = &[
    Rung("mixed", "the tests of real processes, with one of both", |_| {
        let tests = ["test", "--locked", "--test", "process"];
        run(cargo().env("TRANSPORT", "tcp").args(tests))?;
        run(cargo().env("DRIVER", "blocking").args(tests))
    }),
    Rung("interop", "our side of the dialect against sequoia-ipc", |_| interop::check()),
    Rung("bench", "the measurements run", |_| bench::check(&["--quick"])),
    Rung("deny", "licences, versions, sources of dependencies", |_| release::deny()),
    Rung("semver", "the version allows the changes of the public API", |_| release::semver(None)),
    Rung("everything", "the machines under all faults and all pairs of them", |_| conform::explore(&[])),
    Rung("second", "the machines' graphs are the second checker's", |_| conform::second()),
    Rung("deep", "the deep configurations, and the second checker", |_| {
        tlc::check(tlc::Options { deep: true, both: true, ..Default::default() })
    }),
    Rung("tampered", "the kept traces, tampered with everywhere", |_| trace::check(trace::What::Corpus)),
    Rung("planted", "each planted mistake makes the tests fail that are named for it", |_| planted::check(None)),
    Rung("mutants", "each small change of `proto` makes a test fail", |_| mutants::check(true)),
    Rung("replay", "the mutants that are listed as survivors survive", |_| mutants::shell::replay()),
];

struct Row {
    name: String,
    what: String,
    passed: bool,
    seconds: f64,
}

pub fn verify(quick: bool) -> Result {
    let began = Instant::now();
    let long = if quick { &[] } else { LONG };
    let climb = |rung: &Rung| climb(rung, quick, began);
    let mut rows: Vec<Row> = BEFORE.iter().map(climb).collect();
    rows.extend(tests(began)?);
    rows.extend(AFTER.iter().chain(long).map(climb));
    println!("\n| rung | what | result | seconds |\n| --- | --- | --- | ---: |");
    for Row { name, what, passed, seconds } in &rows {
        println!("| {name} | {what} | {} | {seconds:.1} |", if *passed { "passed" } else { "FAILED" });
    }
    println!("{} rungs in {:.0} s", rows.len(), began.elapsed().as_secs_f64());
    let failed: Vec<&str> = rows.iter().filter(|row| !row.passed).map(|row| row.name.as_str()).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

fn climb(&Rung(name, what, run): &Rung, quick: bool, began: Instant) -> Row {
    announce(name, began);
    let start = Instant::now();
    let result = run(quick);
    if let Err(error) = &result {
        eprintln!("{error}");
    }
    let seconds = start.elapsed().as_secs_f64();
    Row { name: name.into(), what: what.into(), passed: result.is_ok(), seconds }
}

fn announce(name: &str, began: Instant) {
    println!("\n== {name} ({:.0} s)", began.elapsed().as_secs_f64());
}

/// Builds and runs all tests. Returns a row for the build, and one for each test program.
fn tests(began: Instant) -> std::result::Result<Vec<Row>, Box<dyn Error>> {
    announce("tests", began);
    let start = Instant::now();
    let built = run(cargo().args(["test", "--no-run", "--locked"]));
    let seconds = start.elapsed().as_secs_f64();
    let mut rows = vec![Row { name: "tests".into(), what: "built".into(), passed: built.is_ok(), seconds }];
    if built.is_err() {
        return Ok(rows);
    }
    // Cargo names the program on one stream and prints its result on another; one pipe for both keeps their order.
    let (output, stdout) = std::io::pipe()?;
    let mut running = cargo()
        .args(["test", "--no-fail-fast", "--locked"])
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stdout)
        .spawn()?;
    let mut start = Instant::now();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if let Some(name) = program(&line) {
            start = Instant::now();
            rows.push(Row { name, what: String::new(), passed: false, seconds: 0.0 });
        } else if let (Some(result), Some(row)) = (line.strip_prefix("test result: "), rows.last_mut()) {
            // A program of doc tests has two results.
            row.passed = result.starts_with("ok.") && (row.passed || row.what.is_empty());
            let counts = result.split(". ").nth(1).and_then(|counts| counts.split(';').next()).unwrap_or(result);
            row.what = if row.what.is_empty() { counts.into() } else { format!("{}, {counts}", row.what) };
            row.seconds = start.elapsed().as_secs_f64();
        }
    }
    if !running.wait()?.success() && rows.iter().all(|row| row.passed) {
        return Err("the tests failed, but no test program reported a failure".into());
    }
    Ok(rows)
}

/// The name of the test program that runs from this line on.
fn program(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(package) = line.strip_prefix("Doc-tests ") {
        return Some(format!("examples of {package}"));
    }
    let path = line.strip_prefix("Running ")?.trim_start_matches("unittests ").split(' ').next()?;
    Some(match path.strip_prefix("tests/") {
        Some(path) => path.trim_end_matches("/main.rs").trim_end_matches(".rs").into(),
        None => "machines, units".into(),
    })
}
