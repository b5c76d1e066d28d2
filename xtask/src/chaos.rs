//! Kills, stops and misleads real processes at every step: runs `tests/chaos`.

use std::error::Error;

use crate::{USAGE, cargo, run};

/// How many clients connect at once, and how many work while a newer client connects.
const HERD: [&str; 2] = ["400", "100"];

/// Plays rounds, or one of them, and fails if one of them violates a guarantee. With a summary, they are a piece of more.
pub fn check(args: &[&str]) -> Result<(), Box<dyn Error>> {
    if args == ["--herd"] {
        return chaos(&[&["@herd"], &HERD[..]].concat());
    }
    let (mut from, mut rounds, mut seed, mut jobs, mut summary) = (0, 100, 1, 4, None);
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let value = *args.next().ok_or(USAGE)?;
        if *name == "--summary" {
            summary = Some(value);
            continue;
        }
        let number: u64 = value.parse().map_err(|_| USAGE)?;
        match *name {
            "--rounds" if number > 0 => rounds = number,
            "--from" => from = number,
            "--seed" => seed = number,
            "--round" => (from, rounds) = (number, 1),
            "--jobs" if number > 0 => jobs = number,
            _ => return Err(USAGE.into()),
        }
    }
    let numbers = [seed, from, from + rounds - 1, jobs].map(|number| number.to_string());
    // The test runs in the directory of the package.
    let summary = summary.map(std::path::absolute).transpose()?;
    let summary = summary.as_ref().and_then(|path| path.to_str());
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).chain(summary).collect();
    chaos(&[&["@rounds"], &numbers[..]].concat())
}

fn chaos(args: &[&str]) -> Result<(), Box<dyn Error>> {
    run(cargo().args(["test", "--quiet", "--locked", "--test", "chaos", "--"]).args(args))
}
