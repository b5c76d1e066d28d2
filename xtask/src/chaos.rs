//! Kills, stops and misleads real processes at every step: runs `tests/chaos`.

use std::error::Error;

use crate::{USAGE, cargo, run};

/// How many clients connect at once, and how many work while a newer client connects.
const HERD: [&str; 2] = ["400", "100"];

/// Plays rounds, or one of them, and fails if one of them violates a guarantee.
pub fn check(args: &[&str]) -> Result<(), Box<dyn Error>> {
    if args == ["--herd"] {
        return chaos(&[&["@herd"], &HERD[..]].concat());
    }
    let (mut rounds, mut seed, mut round, mut jobs) = (100, 1, None, 4);
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let number: u64 = args.next().and_then(|number| number.parse().ok()).ok_or(USAGE)?;
        match *name {
            "--rounds" if number > 0 => rounds = number,
            "--seed" => seed = number,
            "--round" => round = Some(number),
            "--jobs" if number > 0 => jobs = number,
            _ => return Err(USAGE.into()),
        }
    }
    let (first, last) = round.map_or((0, rounds - 1), |round| (round, round));
    let numbers = [seed, first, last, jobs].map(|number| number.to_string());
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    chaos(&[&["@rounds"], &numbers[..]].concat())
}

fn chaos(args: &[&str]) -> Result<(), Box<dyn Error>> {
    run(cargo().args(["test", "--quiet", "--locked", "--test", "chaos", "--"]).args(args))
}
