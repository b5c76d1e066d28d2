//! The targets, and whether they are met.

use super::interval::Interval;
use super::results::{Results, Summary};
use super::short;

/// A bound for the median of one of our numbers, or for its ratio to another contender's.
pub struct Target {
    row: &'static str,
    ours: &'static str,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
    /// In the unit of the row.
    Below(f64),
}

/// Whether the whole interval is on one side of the bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Met,
    Missed,
    /// The interval contains the bound, or there were too few rounds for an interval.
    Open,
}

impl Verdict {
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Missed => "**missed**",
            Verdict::Open => "*cannot be told*",
        }
    }

    fn at_most(interval: Interval, bound: f64) -> Self {
        if interval.high <= bound {
            Verdict::Met
        } else if interval.low > bound {
            Verdict::Missed
        } else {
            Verdict::Open
        }
    }

    fn at_least(interval: Interval, bound: f64) -> Self {
        if interval.low >= bound {
            Verdict::Met
        } else if interval.high < bound {
            Verdict::Missed
        } else {
            Verdict::Open
        }
    }
}

pub struct Judged {
    pub what: String,
    pub bound: String,
    pub measured: String,
    pub verdict: Verdict,
}

const fn target(row: &'static str, ours: &'static str, bound: Bound) -> Target {
    Target { row, ours, bound }
}

pub const TARGETS: [Target; 32] = [
    target("cold", "ours-unix", Bound::AtMost(1.4, "floor-unix")),
    target("cold", "ours-tcp", Bound::AtMost(1.4, "floor-tcp")),
    target("cold", "ours-unix", Bound::AtMost(1.0, "sequoia")),
    target("recovery", "ours-unix", Bound::AtMost(1.4, "floor-unix")),
    target("recovery", "ours-tcp", Bound::AtMost(1.4, "floor-tcp")),
    target("recovery", "ours-unix", Bound::AtMost(1.0, "sequoia")),
    target("join", "ours-unix", Bound::AtMost(1.15, "floor-unix")),
    target("join", "ours-unix", Bound::AtMost(0.5, "sequoia")),
    target("join", "ours-tcp", Bound::AtMost(1.15, "floor-tcp")),
    target("welcome", "ours-unix", Bound::AtMost(1.1, "floor-unix")),
    target("welcome", "ours-tcp", Bound::AtMost(1.1, "floor-tcp")),
    target("blocking", "ours-unix", Bound::AtMost(1.2, "floor-unix")),
    target("blocking", "ours-tcp", Bound::AtMost(1.2, "floor-tcp")),
    target("herd-400-live", "ours-unix", Bound::AtMost(1.2, "floor-unix")),
    target("herd-400-live", "ours-tcp", Bound::AtMost(1.2, "floor-tcp")),
    target("herd-400", "ours-unix", Bound::AtMost(1.5, "floor-unix")),
    target("herd-400", "ours-tcp", Bound::AtMost(1.5, "floor-tcp")),
    target("wake-ups", "ours-unix", Bound::Below(4.0)),
    target("wake-ups", "ours-tcp", Bound::Below(4.0)),
    target("wake-ups-plain", "ours-unix", Bound::Below(31.0)),
    target("wake-ups-plain", "ours-tcp", Bound::Below(31.0)),
    target("idle-client", "ours-unix", Bound::Below(9.0)),
    target("idle-client", "ours-tcp", Bound::Below(9.0)),
    target("restore", "ours-unix", Bound::Below(50.0)),
    target("restore", "ours-tcp", Bound::Below(50.0)),
    target("herd-50", "ours-unix", Bound::AtMost(0.1, "sequoia")),
    target("connects-late", "ours-unix", Bound::Below(5_000.0)),
    target("connects-late", "ours-tcp", Bound::Below(5_000.0)),
    target("connects-longest", "ours-unix", Bound::Below(500_000.0)),
    target("connects-longest", "ours-tcp", Bound::Below(500_000.0)),
    target("accepts", "ours-unix", Bound::AtLeast(0.7, "floor-unix")),
    target("accepts", "ours-tcp", Bound::AtLeast(0.7, "floor-tcp")),
];

/// The bound for a step of a machine, in nanoseconds.
const STEP: f64 = 100.0;

impl Target {
    /// Returns `None` if it was not measured.
    pub fn judge(&self, results: &Results) -> Option<Judged> {
        let ratio = |other| results.ratio(self.row, self.ours, other);
        let (one, bound, verdict): (&Summary, _, fn(Interval, f64) -> Verdict) = match self.bound {
            Bound::AtMost(factor, other) => {
                (ratio(other)?, (format!("≤ {factor} × {other}"), factor), Verdict::at_most)
            }
            Bound::AtLeast(factor, other) => {
                (ratio(other)?, (format!("≥ {factor} × {other}"), factor), Verdict::at_least)
            }
            Bound::Below(most) => {
                let one = results.get(self.row, self.ours)?;
                (one, (format!("≤ {} {}", short(most), one.unit), most), Verdict::at_most)
            }
        };
        let (bound, limit) = bound;
        let what = format!("{}, {}", self.row, self.ours);
        Some(Judged { what, bound, measured: one.with_interval(), verdict: verdict(one.interval, limit) })
    }
}

/// Judges the slowest step.
pub fn of_steps(results: &Results) -> Option<Judged> {
    let steps = results.singles().filter(|(row, ..)| *row == "step");
    let (_, name, slowest) = steps.max_by(|(.., a), (.., b)| a.interval.median.total_cmp(&b.interval.median))?;
    Some(Judged {
        what: format!("the slowest step of a machine, {name}"),
        bound: format!("≤ {STEP} ns"),
        measured: slowest.with_interval(),
        verdict: Verdict::at_most(slowest.interval, STEP),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(low: f64, high: f64) -> Interval {
        Interval { low, median: (low + high) / 2.0, high }
    }

    /// Below the bound 1, up to it, around it, from it on, above it, and without an end.
    const INTERVALS: [(f64, f64); 6] =
        [(0.7, 0.9), (0.8, 1.0), (0.9, 1.1), (1.0, 1.2), (1.1, 1.3), (f64::NEG_INFINITY, f64::INFINITY)];

    #[test]
    fn at_most_judges_by_both_ends_of_the_interval() {
        use Verdict::{Met, Missed, Open};
        let verdicts = INTERVALS.map(|(low, high)| Verdict::at_most(interval(low, high), 1.0));
        assert_eq!(verdicts, [Met, Met, Open, Open, Missed, Open]);
    }

    #[test]
    fn at_least_judges_by_both_ends_of_the_interval() {
        use Verdict::{Met, Missed, Open};
        let verdicts = INTERVALS.map(|(low, high)| Verdict::at_least(interval(low, high), 1.0));
        assert_eq!(verdicts, [Missed, Open, Open, Met, Met, Open]);
    }

    /// The verdict of one bound where ours is beside another, with these medians.
    fn judged(bound: Bound, ours: f64, ratio: f64) -> Verdict {
        let mut results = Results::default();
        let summary = |unit: &str, median: f64| Summary {
            unit: unit.into(),
            rounds: 9,
            interval: interval(median * 0.99, median * 1.01),
            p99: median,
            longest: median,
        };
        results.add(["join", "ours-unix", ""], summary("µs", ours));
        results.add(["join", "ours-unix", "sequoia"], summary("×", ratio));
        target("join", "ours-unix", bound).judge(&results).expect("it was measured").verdict
    }

    #[test]
    fn each_bound_judges_its_own_number() {
        use Verdict::{Met, Missed, Open};
        let bounds = [Bound::AtMost(2.0, "sequoia"), Bound::AtLeast(2.0, "sequoia"), Bound::Below(100.0)];
        let verdicts = |ours, ratio| bounds.map(|bound| judged(bound, ours, ratio));
        assert_eq!(verdicts(50.0, 1.0), [Met, Missed, Met]);
        assert_eq!(verdicts(50.0, 3.0), [Missed, Met, Met]);
        assert_eq!(verdicts(150.0, 1.0), [Met, Missed, Missed]);
        assert_eq!(verdicts(150.0, 3.0), [Missed, Met, Missed]);
        assert_eq!(verdicts(100.0, 2.0), [Open, Open, Open]);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        for bound in [Bound::AtMost(1.0, "sequoia"), Bound::AtLeast(1.0, "sequoia"), Bound::Below(1.0)] {
            assert!(target("join", "ours-unix", bound).judge(&Results::default()).is_none());
        }
    }

    #[test]
    fn the_slowest_step_is_judged() {
        let mut results = Results::default();
        for (name, nanos) in [("Read", 40.0), ("Dial", 120.0), ("Lock", 60.0)] {
            let interval = interval(nanos, nanos);
            let summary = Summary { unit: "ns".into(), rounds: 1, interval, p99: nanos, longest: nanos };
            results.add(["step", name, ""], summary);
        }
        let judged = of_steps(&results).expect("a step");
        assert_eq!((judged.what.ends_with("Dial"), judged.verdict), (true, Verdict::Missed));
    }
}
