//! Kills, stops and misleads real processes at every step, and checks from outside that the guarantees still hold.
//!
//! A round has a home directory of its own, some clients, perhaps a server started by hand, and perhaps a process that
//! has the server retire. The environment of each process names the faults to inject and the steps to inject them at.
//! The process injects them into itself, in the thread that is at the step, so no step is missed.
//!
//! `cargo xtask chaos --rounds N --seed S` runs many rounds; `--round R` repeats one that failed. `--herd` starts
//! hundreds of clients at once.

mod herd;
mod inject;
mod judge;
mod order;
mod plan;
mod processes;
mod program;
mod round;
mod stranger;
mod tally;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};

use self::round::Report;
use self::tally::Tally;

fn main() -> ExitCode {
    if program::play() {
        return ExitCode::SUCCESS;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|part| part == "@rounds") {
        return campaign(&args[1..]);
    }
    if args.first().is_some_and(|part| part == "@herd") {
        return herds(args[1].parse().expect("a number"), args[2].parse().expect("a number"));
    }
    libtest_mimic::run(&Arguments::from_args(), trials()).exit_code()
}

fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($test:ident),* $(,)?) => {
            vec![$(Trial::test(stringify!($test), || $test().map_err(Into::into))),*]
        };
    }
    trials![
        a_herd_under_faults_ends_with_one_server_and_leaves_nothing,
        clients_at_once_share_one_server_whatever_they_find,
        a_server_is_replaced_under_load_without_a_failed_call,
    ]
}

fn a_herd_under_faults_ends_with_one_server_and_leaves_nothing() -> Result<(), String> {
    let (_, failed) = rounds(1, 0..20, 4, |_| {});
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

fn clients_at_once_share_one_server_whatever_they_find() -> Result<(), String> {
    herd::ALL
        .into_iter()
        .try_for_each(|finds| herd::herd(20, finds).map(drop).map_err(|error| format!("{finds:?}: {error}")))
}

fn a_server_is_replaced_under_load_without_a_failed_call() -> Result<(), String> {
    herd::replacement(10).map(drop)
}

/// `@herd CLIENTS WORKERS`: connects many clients at once to each kind of point, then replaces a server under load.
fn herds(clients: usize, workers: usize) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let mut print = |what: String, result: Result<Duration, String>| match result {
        Ok(took) => println!("{what} {:.2} s", took.as_secs_f64()),
        Err(error) => {
            println!("{what} FAILED\n{error}");
            code = ExitCode::FAILURE;
        }
    };
    for finds in herd::ALL {
        print(format!("{clients} clients at once find {finds:?}: one server, no error,"), herd::herd(clients, finds));
    }
    let drained = herd::replacement(workers);
    print(
        format!("{workers} clients are working when a newer client connects: nothing lost; the old server drained for"),
        drained,
    );
    code
}

/// `@rounds SEED FIRST LAST JOBS`: plays these rounds, `JOBS` at a time, and prints a summary.
fn campaign(args: &[String]) -> ExitCode {
    let numbers: Vec<u64> = args.iter().map(|arg| arg.parse().expect("a number")).collect();
    let [seed, first, last, jobs] = numbers[..] else { panic!("@rounds SEED FIRST LAST JOBS") };
    let began = Instant::now();
    let (tally, failed) = rounds(seed, first..last + 1, jobs, |failed| eprintln!("{failed}"));
    print!("{tally}");
    println!("never killed at: {}", tally.never_killed().join(", "));
    println!(
        "seed {seed}: {} rounds, violations {}, orphans {}, {:.0} s",
        tally.rounds,
        failed.len(),
        tally.orphans,
        began.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays rounds in parallel, and calls `report_failure` as soon as a round has failed.
fn rounds(
    seed: u64,
    numbers: std::ops::Range<u64>,
    jobs: u64,
    report_failure: impl Fn(&str) + Sync,
) -> (Tally, Vec<String>) {
    let next = AtomicU64::new(numbers.start);
    let all = Mutex::new((Tally::default(), BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    let report = round::play(seed, number);
                    let failed = failure(&report);
                    failed.iter().for_each(|failed| report_failure(failed));
                    let (tally, failures) = &mut *all.lock().unwrap();
                    tally.add(report.tally);
                    failures.extend(failed.map(|failed| (number, failed)));
                }
            });
        }
    });
    let (tally, failures) = all.into_inner().unwrap();
    (tally, failures.into_values().collect())
}

/// Describes a round that failed, and writes its plan and log to a file.
fn failure(report: &Report) -> Option<String> {
    let Report { seed, round, plan, violations, log, .. } = report;
    if violations.is_empty() {
        return None;
    }
    let path = std::env::temp_dir().join(format!("chaos-{seed}-{round}.log"));
    let _ = std::fs::write(&path, format!("{plan:#?}\n{}\n{}\n", log.join("\n"), violations.join("\n")));
    Some(format!("seed {seed}, round {round}: {}\n  {}", violations.join("\n  "), path.display()))
}
