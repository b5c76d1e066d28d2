//! The results, which `docs/performance.tsv` keeps, so that some rows can be measured again without the others.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::interval::{self, Interval};
use super::{Result, short};
use crate::root;

/// What is put beside what: the ratio is that of the numbers of each round.
pub const PAIRS: [(&str, &str); 3] = [("ours-unix", "floor-unix"), ("ours-tcp", "floor-tcp"), ("ours-unix", "sequoia")];

/// The numbers of one contender in one row, one a round.
pub struct Numbers {
    pub unit: String,
    pub rounds: Vec<f64>,
}

/// By row and contender.
pub type Measured = BTreeMap<(String, String), Numbers>;

/// The result of one contender in one row, or of its ratio to another.
#[derive(Clone, PartialEq, Debug)]
pub struct Summary {
    pub unit: String,
    pub rounds: usize,
    pub interval: Interval,
    pub p99: f64,
    pub longest: f64,
}

impl Summary {
    fn of(unit: &str, rounds: &[f64], wrong: f64) -> Self {
        let sorted = interval::sorted(rounds);
        let quantile = |of: f64| sorted[((sorted.len() - 1) as f64 * of).round() as usize];
        Summary {
            unit: unit.into(),
            rounds: rounds.len(),
            interval: Interval::of(rounds, wrong),
            p99: quantile(0.99),
            longest: quantile(1.0),
        }
    }

    /// The median and its unit, with the bounds in parentheses where they are known and differ.
    pub fn with_interval(&self) -> String {
        let Interval { low, median, high } = self.interval;
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let bounds = if self.interval.is_known() && low < high {
            format!(" ({}–{})", short(low), short(high))
        } else {
            String::new()
        };
        format!("{}{unit}{bounds}", short(median))
    }
}

/// Under which conditions a measurement ran.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    pub machine: String,
    pub seconds: f64,
    /// Whether all ratios are narrow, or without a ratio all numbers of ours.
    pub narrow: bool,
    /// The parts of the machine's CPU time that others used, and that the hypervisor kept.
    pub others: f64,
    pub stolen: f64,
}

impl Run {
    /// Less than this part of the machine was not ours.
    const QUIET: f64 = 0.05;

    pub fn is_quiet(&self) -> bool {
        self.others + self.stolen < Self::QUIET
    }
}

#[derive(Default)]
pub struct Results {
    /// By row, contender, and the other contender of a ratio, or "".
    summaries: BTreeMap<[String; 3], Summary>,
    /// By the name of the measurement, which may have several rows.
    pub runs: BTreeMap<String, Run>,
}

impl Results {
    /// Summarizes what was measured. Each bound of an interval is wrong with this probability at most. Fails if a
    /// number has none beside it, or only a zero.
    pub fn of(measured: &Measured, wrong: f64) -> Result<Self> {
        let mut results = Results::default();
        for ((row, contender), numbers) in measured {
            results.add([row, contender, ""], Summary::of(&numbers.unit, &numbers.rounds, wrong));
            for (_, other) in PAIRS.iter().filter(|(ours, _)| ours == contender) {
                let Some(beside) = measured.get(&(row.clone(), (*other).into())) else { continue };
                if let Some(ratios) = ratios(numbers, beside).map_err(|error| format!("{row}, {other}: {error}"))? {
                    results.add([row, contender, other], Summary::of("×", &ratios, wrong));
                }
            }
        }
        Ok(results)
    }

    pub fn add(&mut self, key: [&str; 3], summary: Summary) {
        self.summaries.insert(key.map(String::from), summary);
    }

    pub fn get(&self, row: &str, contender: &str) -> Option<&Summary> {
        self.summaries.get(&[row, contender, ""].map(String::from))
    }

    pub fn ratio(&self, row: &str, ours: &str, other: &str) -> Option<&Summary> {
        self.summaries.get(&[row, ours, other].map(String::from))
    }

    /// The summaries of single contenders.
    pub fn singles(&self) -> impl Iterator<Item = (&str, &str, &Summary)> {
        let all = self.summaries.iter();
        all.filter(|([.., other], _)| other.is_empty()).map(|([row, contender, _], one)| (&**row, &**contender, one))
    }

    /// Whether all ratios are narrow, or without a ratio all numbers of ours.
    pub fn are_narrow(&self) -> bool {
        let ratios: Vec<_> = self.summaries.iter().filter(|([.., other], _)| !other.is_empty()).collect();
        if ratios.is_empty() {
            return self
                .singles()
                .all(|(_, contender, one)| !contender.starts_with("ours") || one.interval.is_narrow());
        }
        ratios.iter().all(|(_, one)| one.interval.is_narrow())
    }

    /// The ratios, or without one the numbers of ours, in a line.
    pub fn line(&self) -> String {
        let is_ratio = |key: &[String; 3]| !key[2].is_empty();
        let has_ratios = self.summaries.keys().any(is_ratio);
        let mut line = String::new();
        for (key @ [row, contender, other], summary) in &self.summaries {
            if is_ratio(key) || !has_ratios && contender.starts_with("ours") {
                let beside = if is_ratio(key) { format!(" / {other}") } else { String::new() };
                line += &format!("{row} {contender}{beside} {} in {}; ", summary.with_interval(), summary.rounds);
            }
        }
        line
    }

    /// Replaces what these have, too.
    pub fn update(&mut self, newer: Results) {
        self.summaries.extend(newer.summaries);
        self.runs.extend(newer.runs);
    }

    pub fn read() -> Result<Self> {
        Self::parse(&fs::read_to_string(path())?)
    }

    pub fn write(&self) -> Result<()> {
        Ok(fs::write(path(), self.print())?)
    }

    fn print(&self) -> String {
        let mut text = String::from(HEAD);
        for (name, Run { machine, seconds, narrow, others, stolen }) in &self.runs {
            text += &format!("run\t{name}\t{seconds:.1}\t{narrow}\t{others:.4}\t{stolen:.4}\t{machine}\n");
        }
        for ([row, contender, other], Summary { unit, rounds, interval, p99, longest }) in &self.summaries {
            let Interval { low, median, high } = interval;
            text += &format!("{row}\t{contender}\t{other}\t{unit}\t{rounds}");
            text += &format!("\t{low:.4}\t{median:.4}\t{high:.4}\t{p99:.4}\t{longest:.4}\n");
        }
        text
    }

    fn parse(text: &str) -> Result<Self> {
        let mut results = Results::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["run", name, seconds, narrow, others, stolen, machine] => {
                    let [seconds, others, stolen] = [seconds, others, stolen].map(str::parse);
                    let (seconds, others, stolen) = (seconds?, others?, stolen?);
                    let run = Run { machine: machine.into(), seconds, narrow: narrow.parse()?, others, stolen };
                    results.runs.insert(name.into(), run);
                }
                [row, contender, other, unit, rounds, low, median, high, p99, longest] => {
                    let [low, median, high, p99, longest] = [low, median, high, p99, longest].map(str::parse);
                    let interval = Interval { low: low?, median: median?, high: high? };
                    let (p99, longest) = (p99?, longest?);
                    let summary = Summary { unit: unit.into(), rounds: rounds.parse()?, interval, p99, longest };
                    results.add([row, contender, other], summary);
                }
                _ => return Err(format!("not a result: {line}").into()),
            }
        }
        Ok(results)
    }
}

/// The units of what often does not happen at all: clients that were not served, and wake-ups. They have no ratios.
const RARE: [&str; 2] = ["clients", "per minute"];

/// Returns the ratio of each round. `None`: the other contender has only zeros, or may have some.
fn ratios(ours: &Numbers, other: &Numbers) -> Result<Option<Vec<f64>>> {
    let (a, b) = (ours.rounds.len(), other.rounds.len());
    if a != b {
        return Err(format!("{b} rounds beside {a}").into());
    }
    if RARE.contains(&&*other.unit) || other.rounds.iter().all(|number| *number == 0.0) {
        return Ok(None);
    }
    let ratios: Vec<f64> = ours.rounds.iter().zip(&other.rounds).map(|(ours, other)| ours / other).collect();
    match ratios.iter().position(|ratio| !ratio.is_finite()) {
        Some(round) => Err(format!("{} beside {}", ours.rounds[round], other.rounds[round]).into()),
        None => Ok(Some(ratios)),
    }
}

const HEAD: &str = "# Written by `cargo xtask bench`: the numbers of docs/performance.md.\n";

fn path() -> PathBuf {
    root().join("docs/performance.tsv")
}

#[cfg(test)]
mod tests {
    use super::interval::KNOWN;
    use super::*;

    fn results(all: &[(&str, &str, &[f64])]) -> Results {
        Results::of(&measured(all), KNOWN).expect("as many rounds beside, without a zero")
    }

    fn measured(all: &[(&str, &str, &[f64])]) -> Measured {
        let numbers = |rounds: &[f64]| Numbers { unit: "µs".into(), rounds: rounds.into() };
        all.iter().map(|(row, contender, rounds)| (((*row).into(), (*contender).into()), numbers(rounds))).collect()
    }

    #[test]
    fn a_ratio_is_that_of_each_round() {
        let results = results(&[
            ("join", "ours-unix", &[2.0, 200.0, 20.0]),
            ("join", "floor-unix", &[1.0, 100.0, 5.0]),
            ("join", "ours-tcp", &[7.0, 7.0, 7.0]),
        ]);
        let ratio = results.ratio("join", "ours-unix", "floor-unix").expect("a ratio");
        assert_eq!((ratio.interval.median, ratio.rounds, ratio.longest), (2.0, 3, 4.0));
        assert_eq!(results.ratio("join", "ours-tcp", "floor-tcp"), None);
    }

    #[test]
    fn there_is_no_ratio_to_zeros_or_to_what_is_rare() {
        let results = results(&[("idle", "ours-unix", &[3.0, 4.0]), ("idle", "floor-unix", &[0.0, 0.0])]);
        assert_eq!(results.ratio("idle", "ours-unix", "floor-unix"), None);
        for unit in RARE {
            let numbers = |rounds: &[f64]| Numbers { unit: unit.into(), rounds: rounds.into() };
            assert!(ratios(&numbers(&[3.0, 4.0]), &numbers(&[0.0, 2.0])).is_ok_and(|ratios| ratios.is_none()));
        }
    }

    #[test]
    fn a_zero_or_nothing_beside_a_number_is_an_error() {
        for beside in [&[1.0, 0.0, 2.0][..], &[1.0, 2.0], &[1.0, 2.0, 3.0, 4.0]] {
            let all = measured(&[("join", "ours-unix", &[3.0, 0.0, 5.0]), ("join", "floor-unix", beside)]);
            assert!(Results::of(&all, KNOWN).is_err(), "{beside:?}");
        }
    }

    #[test]
    fn a_row_is_narrow_by_its_ratios_or_by_the_numbers_of_ours() {
        let (steady, wide) = ([1.0; 6], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let narrow = |all: &[(&str, &str, &[f64])]| results(all).are_narrow();
        assert!(narrow(&[("row", "ours-unix", &wide), ("row", "floor-unix", &wide)]));
        assert!(!narrow(&[("row", "ours-unix", &wide), ("row", "floor-unix", &steady)]));
        let both = [("row", "ours-unix", &wide[..]), ("row", "floor-unix", &wide), ("row", "sequoia", &steady)];
        assert!(!narrow(&both), "one ratio is not");
        assert!(narrow(&[("row", "ours-unix", &steady), ("row", "other", &wide)]));
        assert!(!narrow(&[("row", "ours-unix", &wide)]));
        assert!(!narrow(&[("row", "ours-unix", &[1.0])]));
    }

    #[test]
    fn the_file_keeps_what_is_not_measured_again() {
        let run = Run { machine: "two cores".into(), seconds: 1.5, narrow: true, others: 0.25, stolen: 0.0 };
        let mut kept = results(&[("join", "ours-unix", &[1.0]), ("cold", "ours-unix", &[2.0])]);
        kept.runs.insert("join".into(), run);
        let mut read = Results::parse(&kept.print()).expect("what was printed");
        assert_eq!((&read.summaries, &read.runs), (&kept.summaries, &kept.runs));
        read.update(results(&[("join", "ours-unix", &[3.0])]));
        assert_eq!(read.get("join", "ours-unix").map(|one| one.interval.median), Some(3.0));
        assert_eq!(read.get("cold", "ours-unix"), kept.get("cold", "ours-unix"));
    }
}
