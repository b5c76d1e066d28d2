//! The targets, and whether they are met.

use super::{Sample, Samples, short};

/// The number of a sample that is judged.
type Of = fn(&Sample) -> f64;

/// A bound for one of our numbers: a multiple of another contender's, or absolute.
pub struct Target {
    row: &'static str,
    ours: &'static str,
    of: (&'static str, Of),
    bound: Bound,
}

enum Bound {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
    Below(f64),
}

pub struct Judged {
    pub what: String,
    pub bound: String,
    pub measured: String,
    pub met: bool,
}

const MEDIAN: (&str, Of) = ("median", |sample| sample.median);
const P999: (&str, Of) = ("p99.9", |sample| sample.p999);
const MOST: (&str, Of) = ("longest", |sample| sample.most);

const fn target(row: &'static str, ours: &'static str, of: (&'static str, Of), bound: Bound) -> Target {
    Target { row, ours, of, bound }
}

pub const TARGETS: [Target; 15] = [
    target("join", "ours-unix", MEDIAN, Bound::AtMost(0.5, "sequoia")),
    target("join", "ours-unix", MEDIAN, Bound::AtMost(1.3, "floor-unix")),
    target("join", "ours-tcp", MEDIAN, Bound::AtMost(0.7, "sequoia")),
    target("join", "ours-tcp", MEDIAN, Bound::AtMost(1.3, "floor-tcp")),
    target("cold", "ours-unix", MEDIAN, Bound::AtMost(1.2, "sequoia")),
    target("cold", "ours-unix", MEDIAN, Bound::AtMost(1.2, "floor-unix")),
    target("cold", "ours-tcp", MEDIAN, Bound::AtMost(1.2, "floor-tcp")),
    target("herd-50", "ours-unix", MEDIAN, Bound::AtMost(0.1, "sequoia")),
    target("herd-50", "ours-tcp", MEDIAN, Bound::AtMost(0.1, "sequoia")),
    target("connects", "ours-unix", P999, Bound::Below(5_000.0)),
    target("connects", "ours-tcp", P999, Bound::Below(5_000.0)),
    target("connects", "ours-unix", MOST, Bound::Below(500_000.0)),
    target("connects", "ours-tcp", MOST, Bound::Below(500_000.0)),
    target("accepts", "ours-unix", MEDIAN, Bound::AtLeast(0.7, "floor-unix")),
    target("accepts", "ours-tcp", MEDIAN, Bound::AtLeast(0.7, "floor-tcp")),
];

/// The bound for a step of a machine, in nanoseconds.
const STEP: f64 = 100.0;

impl Target {
    /// Returns `None` if it was not measured.
    pub fn judge(&self, samples: &Samples) -> Option<Judged> {
        let sample = |contender: &str| samples.get(&(self.row.into(), contender.into()));
        let (name, of) = self.of;
        let (ours, unit) = sample(self.ours).map(|sample| (of(sample), &sample.unit))?;
        let times = |other| Some(ours / of(sample(other)?));
        let (bound, measured, met) = match self.bound {
            Bound::AtMost(factor, other) => {
                let measured = times(other)?;
                (format!("≤ {factor} × {other}"), format!("{measured:.2} ×"), measured <= factor)
            }
            Bound::AtLeast(factor, other) => {
                let measured = times(other)?;
                (format!("≥ {factor} × {other}"), format!("{measured:.2} ×"), measured >= factor)
            }
            Bound::Below(most) => {
                (format!("≤ {} {unit}", short(most)), format!("{} {unit}", short(ours)), ours <= most)
            }
        };
        Some(Judged { what: format!("{}, {}, {name}", self.row, self.ours), bound, measured, met })
    }
}

/// Judges the slowest step.
pub fn of_steps(steps: &[(String, f64)]) -> Option<Judged> {
    let (name, slowest) = steps.iter().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some(Judged {
        what: format!("the slowest step of a machine, {name}, median"),
        bound: format!("≤ {STEP} ns"),
        measured: format!("{} ns", short(*slowest)),
        met: *slowest <= STEP,
    })
}
