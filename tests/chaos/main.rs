//! Kills, stops and misleads real processes at every step, and checks from outside that the guarantees still hold.
//!
//! A round has a home directory of its own, some clients, perhaps a server started by hand, and perhaps a process that
//! has the server retire. The environment of each process names the faults to inject and the steps to inject them at.
//! The process injects them into itself, in the thread that is at the step, so no step is missed.
//!
//! `cargo xtask chaos --rounds N --seed S` runs many rounds; `--round R` repeats one that failed. `--herd` starts
//! hundreds of clients at once.

mod disk;
mod explain;
mod held;
mod herd;
mod history;
mod inject;
mod judge;
mod order;
mod piece;
mod plan;
mod processes;
mod program;
mod pulse;
mod round;
mod stranger;
mod tally;
mod tests;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};

use self::piece::Piece;
use self::round::Report;
use self::tally::Tally;
use self::tests::*;

fn main() -> ExitCode {
    if program::play() {
        return ExitCode::SUCCESS;
    }
    if let Some(code) = disk::in_own_namespace() {
        return code;
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
        each_cell_of_the_explaining_is_the_reviewed_one,
        a_fault_of_a_process_that_was_not_met_explains_nothing,
        a_fault_before_the_connect_or_after_the_failure_explains_nothing,
        a_deadline_is_explained_by_faults_for_most_of_its_time,
        each_server_that_vanished_needs_a_fault_of_its_own,
        a_fault_at_a_later_step_explains_no_failed_start,
        a_client_loses_only_a_server_that_was_ended_for_a_reason,
        a_start_by_hand_yields_only_to_a_server_that_it_dialled,
        the_order_of_steps_is_looked_at_also_after_a_deletion,
        a_slow_machine_is_recognised_by_what_no_fault_can_delay,
        pieces_of_a_campaign_add_up,
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

/// `@rounds SEED FIRST LAST JOBS [SUMMARY]`: plays these rounds, `JOBS` at a time, and prints a summary. Adds a line to
/// the file `SUMMARY`, and prints the sum of all lines there.
fn campaign(args: &[String]) -> ExitCode {
    let (numbers, summary) = args.split_at(4);
    let numbers: Vec<u64> = numbers.iter().map(|arg| arg.parse().expect("a number")).collect();
    let [seed, first, last, jobs] = numbers[..] else { panic!("@rounds SEED FIRST LAST JOBS [SUMMARY]") };
    let began = Instant::now();
    let (tally, failed) = rounds(seed, first..last + 1, jobs, |failed| eprintln!("{failed}"));
    print!("{tally}");
    println!("never killed at: {}", tally.never_killed().join(", "));
    let piece = Piece {
        seed,
        first,
        last,
        connects: tally.connects,
        violations: failed.len() as u64,
        orphans: tally.orphans,
        unexplained: tally.unexplained,
        repeated: tally.repeated,
        seconds: began.elapsed().as_secs(),
    };
    println!("{piece}");
    if let [summary] = summary {
        println!("{}", piece.add_to(summary.as_ref()).expect("a summary"));
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How often a round is repeated, because it failed while the machine stood still.
const REPEATS: u64 = 3;

/// Plays rounds in parallel, and calls `report_failure` as soon as a round has failed.
///
/// A round that failed while the machine stood still shows nothing, so it is repeated, and counted. If it fails again and
/// again, or the machine stands still in more than one of twenty rounds, that is a failure.
fn rounds(
    seed: u64,
    numbers: std::ops::Range<u64>,
    jobs: u64,
    report_failure: impl Fn(&str) + Sync,
) -> (Tally, Vec<String>) {
    pulse::begin();
    let allowed = REPEATS + (numbers.end - numbers.start) / 20;
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
                    let mut repeated = 0;
                    let report = loop {
                        let report = round::play(seed, number);
                        let still = pulse::stood_still(report.began, report.slowest_start);
                        match still.filter(|_| !report.violations.is_empty()) {
                            Some(how) if repeated < REPEATS => {
                                repeated += 1;
                                println!("repeated, since {how}: {}", failure(&report).unwrap_or_default());
                            }
                            _ => break report,
                        }
                    };
                    let failed = failure(&report);
                    failed.iter().for_each(|failed| report_failure(failed));
                    let (tally, failures) = &mut *all.lock().unwrap();
                    tally.add(report.tally);
                    tally.repeated += repeated;
                    failures.extend(failed.map(|failed| (number, failed)));
                }
            });
        }
    });
    let (tally, mut failures) = all.into_inner().unwrap();
    if tally.repeated > allowed {
        let text = format!("the machine stands still too often: {} rounds were repeated", tally.repeated);
        report_failure(&text);
        failures.insert(numbers.end, text);
    }
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
