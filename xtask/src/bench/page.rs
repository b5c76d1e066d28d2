//! Writes the measurements between two marks of `docs/performance.md`. The rest of the page is written by hand.

use std::collections::BTreeMap;
use std::fs;

use super::results::{PAIRS, Results, Run, Summary};
use super::{CONTENDERS, ROWS, Result, TARGETS, interval, short, target};
use crate::root;

const BEGIN: &str = "<!-- measured: `cargo xtask bench` writes this -->\n";
const END: &str = "<!-- end of what was measured -->";

pub fn write(results: &Results) -> Result<()> {
    let path = root().join("docs/performance.md");
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("the page has no mark where the measurements begin")?;
    let (_, after) = rest.split_once(END).ok_or("the page has no mark where the measurements end")?;
    Ok(fs::write(path, [before, BEGIN, "\n", &measured(results, true), "\n", END, after].concat())?)
}

/// The machine, the tables, and what has to be known to trust them.
pub fn measured(results: &Results, judges: bool) -> String {
    let mut parts = vec![machines(results), table(results), notes(results)];
    if judges {
        parts.extend([judged(results), steps(results)]);
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// The machine, or the machines with the rows that were measured there.
fn machines(results: &Results) -> String {
    let mut machines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, run) in &results.runs {
        machines.entry(&run.machine).or_default().push(name);
    }
    let rows = |names: &[&str]| if machines.len() > 1 { format!(" ({})", names.join(", ")) } else { String::new() };
    machines.iter().map(|(machine, names)| format!("{machine}{}.\n", rows(names))).collect()
}

/// The table of medians, with p99 in parentheses, and of ratios, with their intervals.
fn table(results: &Results) -> String {
    let names: Vec<&str> = CONTENDERS.iter().map(|(_, name)| *name).collect();
    let names = names.join(" | ");
    let mut table = format!("| median (p99) | {names} | ours / by hand, Unix | TCP | ours, Unix / sequoia-ipc |\n");
    table += &format!("| ---{} |\n", " | ---:".repeat(CONTENDERS.len() + PAIRS.len()));
    for (row, title) in ROWS {
        let Some(unit) = CONTENDERS.iter().find_map(|(contender, _)| Some(&results.get(row, contender)?.unit)) else {
            continue;
        };
        table += &format!("| {title}{}{unit}", if unit.is_empty() { "" } else { ", " });
        for (contender, _) in CONTENDERS {
            table += &results.get(row, contender).map_or(" | –".into(), |one| format!(" | {}", with_p99(one)));
        }
        for (ours, other) in PAIRS {
            table +=
                &results.ratio(row, ours, other).map_or(" | –".into(), |ratio| format!(" | {}", as_ratio(ratio)));
        }
        table += " |\n";
    }
    table
}

fn with_p99(one: &Summary) -> String {
    let median = short(one.interval.median);
    if one.rounds == 1 { median } else { format!("{median} ({})", short(one.p99)) }
}

fn as_ratio(ratio: &Summary) -> String {
    let text = ratio.with_interval().replace(" ×", "");
    if ratio.interval.is_known() && !ratio.interval.is_narrow() { format!("{text} *wide*") } else { text }
}

/// How a row was measured, where it is not as it should be.
pub fn conditions(run: &Run) -> String {
    let mut conditions = format!("{:.0} s", run.seconds);
    if !run.narrow {
        conditions += ", not narrow";
    }
    if !run.is_quiet() {
        let [others, stolen] = [run.others, run.stolen].map(|part| (part * 100.0).round());
        conditions += &format!(", *not quiet*: others used {others} % of the machine, the hypervisor {stolen} %");
    }
    conditions
}

/// What the intervals are, which rows are not narrow, and which did not run on a quiet machine.
fn notes(results: &Results) -> String {
    let narrow = interval::NARROW * 100.0;
    let mut notes = format!(
        "A ratio is the median of those of each round, with its 95 % interval; *wide* is more than ±{narrow} %. A ratio \
         without an interval had fewer than six rounds. A row ends when its intervals are narrow, so they contain the \
         true median somewhat less often.\n"
    );
    // The counts hardly vary, and are made once.
    let wide = results.runs.iter().filter(|(name, run)| !run.narrow && *name != "counts");
    let wide: Vec<&str> = wide.map(|(name, _)| &**name).collect();
    if !wide.is_empty() {
        notes += &format!("Not narrow after the time for a row: {}.\n", wide.join(", "));
    }
    let seconds: f64 = results.runs.values().map(|run| run.seconds).sum();
    let count = results.runs.len();
    notes += &match results.runs.iter().filter(|(_, run)| !run.is_quiet()).collect::<Vec<_>>()[..] {
        [] => format!("The machine was quiet during all {count} measurements ({seconds:.0} s): "),
        ref loud => {
            let percent = |run: &Run| ((run.others + run.stolen) * 100.0).round();
            let rows: Vec<_> = loud.iter().map(|(name, run)| format!("{name} {} %", percent(run))).collect();
            format!(
                "*Not quiet* in {} of {count} measurements ({seconds:.0} s): {}. In the mean ",
                loud.len(),
                rows.join("; ")
            )
        }
    };
    let mean = |part: fn(&Run) -> f64| {
        let all: f64 = results.runs.values().map(|run| part(run) * run.seconds).sum();
        all / seconds.max(f64::MIN_POSITIVE) * 100.0
    };
    let (others, stolen) = (mean(|run| run.others), mean(|run| run.stolen));
    notes + &format!("others used {others:.1} % of it, and the hypervisor {stolen:.1} %.\n")
}

fn judged(results: &Results) -> String {
    let mut table = String::from("| target | bound | measured | |\n| --- | --- | ---: | --- |\n");
    let all = TARGETS.iter().filter_map(|target| target.judge(results)).chain(target::of_steps(results));
    for one in all {
        table += &format!("| {} | {} | {} | {} |\n", one.what, one.bound, one.measured, one.verdict.text());
    }
    table
}

fn steps(results: &Results) -> String {
    let steps = results.singles().filter(|(row, ..)| *row == "step");
    let times: Vec<String> = steps.map(|(_, name, one)| format!("{name} {}", short(one.interval.median))).collect();
    if times.is_empty() {
        return String::new();
    }
    format!("Each step of the machines, in nanoseconds: {}. None allocates.\n", times.join(", "))
}
