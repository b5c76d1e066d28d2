//! Runs the crate's driver over a simulated system, by seeds: `sim [--runs N] [--seed S] [--log]`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Instant;

use sim::sim::{Plan, Report, run};

fn main() -> ExitCode {
    let (mut runs, mut first, mut shows) = (10_000, 1, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = match arg.as_str() {
            "--log" => {
                shows = true;
                continue;
            }
            "--runs" => &mut runs,
            "--seed" => &mut first,
            _ => return usage(),
        };
        match args.next().and_then(|given| given.parse().ok()) {
            Some(given) => *number = given,
            None => return usage(),
        }
    }
    let mut steps = BTreeSet::new();
    let (began, mut effects, mut connects, mut faults) = (Instant::now(), 0, (0, 0), BTreeMap::new());
    for (nth, seed) in (first..first + runs).enumerate() {
        let report = run(Plan::of(seed));
        steps.extend(report.steps.iter().copied());
        effects += u64::from(report.effects);
        connects = (connects.0 + report.connects.0, connects.1 + report.connects.1);
        for (fault, times) in &report.faults {
            *faults.entry(*fault).or_insert(0) += times;
        }
        if shows || report.violation.is_some() {
            show(&report);
        }
        if let Some(violation) = &report.violation {
            println!("run {}: {violation}\nagain: cargo xtask sim --runs 1 --seed {seed} --log", nth + 1);
            return ExitCode::FAILURE;
        }
    }
    let took = began.elapsed().as_secs_f64();
    println!("{runs} runs in {took:.1} s, {:.0} a second; {effects} effects", runs as f64 / took);
    println!("{} connects, of which {} were welcomed; faults: {faults:?}", connects.0, connects.1);
    println!("{} steps and faults: {steps:?}", steps.len());
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: sim [--runs N] [--seed S] [--log]");
    ExitCode::from(2)
}

fn show(report: &Report) {
    for entry in &report.log {
        println!("{:>12.6} {:>3} {} {}", entry.at.as_secs_f64(), entry.pid, entry.what, entry.on);
    }
}
