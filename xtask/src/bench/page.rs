//! Writes the measurements between two marks of `docs/performance.md`. The rest of the page is written by hand.

use std::fs;

use super::target::Judged;
use super::{CONTENDERS, ROWS, Result, Samples, machine, short};
use crate::root;

const BEGIN: &str = "<!-- measured: `cargo xtask bench` writes this -->\n";
const END: &str = "<!-- end of what was measured -->";

pub fn write(samples: &Samples, judged: &[Judged], steps: &[(String, f64)]) -> Result<()> {
    let path = root().join("docs/performance.md");
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("the page has no mark where the measurements begin")?;
    let (_, after) = rest.split_once(END).ok_or("the page has no mark where the measurements end")?;
    let machine = machine::describe();
    let (table, targets, steps) = (table(samples), self::judged(judged), self::steps(steps));
    let measured = format!("{machine}.\n\n{table}\n{targets}\n{steps}");
    Ok(fs::write(path, [before, BEGIN, "\n", &measured, "\n", END, after].concat())?)
}

/// The table of medians, with p99 in parentheses.
pub fn table(samples: &Samples) -> String {
    let names: Vec<&str> = CONTENDERS.iter().map(|(_, name)| *name).collect();
    let mut table =
        format!("| median (p99) | {} | ours / by hand, Unix | TCP | ours, Unix / sequoia-ipc |\n", names.join(" | "));
    table += &format!("| ---{} |\n", " | ---:".repeat(names.len() + 3));
    for (row, title) in ROWS {
        let sample = |contender: &str| samples.get(&(row.into(), contender.into()));
        let Some(unit) = CONTENDERS.iter().find_map(|(contender, _)| Some(&sample(contender)?.unit)) else { continue };
        table += &format!("| {title}{}{unit}", if unit.is_empty() { "" } else { ", " });
        for (contender, _) in CONTENDERS {
            table += &sample(contender)
                .map_or(" | –".into(), |sample| format!(" | {} ({})", short(sample.median), short(sample.p99)));
        }
        for (ours, other) in [("ours-unix", "floor-unix"), ("ours-tcp", "floor-tcp"), ("ours-unix", "sequoia")] {
            let ratio = sample(ours).zip(sample(other)).filter(|(_, other)| other.median > 0.0);
            table += &ratio.map_or(" | –".into(), |(ours, other)| format!(" | {:.2}", ours.median / other.median));
        }
        table += " |\n";
    }
    for ((row, contender), sample) in samples.iter().filter(|((row, _), _)| row.ends_with("-lost")) {
        table += &format!("\n{row}: {} clients of {contender} were not served.\n", short(sample.median));
    }
    table
}

pub fn judged(judged: &[Judged]) -> String {
    let mut table = String::from("| target | bound | measured | |\n| --- | --- | ---: | --- |\n");
    for Judged { what, bound, measured, met } in judged {
        table += &format!("| {what} | {bound} | {measured} | {} |\n", if *met { "met" } else { "**missed**" });
    }
    table
}

fn steps(steps: &[(String, f64)]) -> String {
    let times: Vec<String> = steps.iter().map(|(name, nanos)| format!("{name} {}", short(*nanos))).collect();
    format!("Each step of the machines, in nanoseconds: {}. None allocates.\n", times.join(", "))
}
