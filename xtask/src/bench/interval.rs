//! The interval in which a median lies.

/// The widest interval that is narrow: this part of the median to each side, in the mean.
pub const NARROW: f64 = 0.03;

/// A median, and the bounds between which the true one lies with a probability of at least 95 %.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Interval {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

/// The most numbers of which an interval is made.
const BLOCKS: usize = 60;

impl Interval {
    /// Of the numbers of some rounds, in their order. Rounds that follow each other are alike, for instance by where the
    /// scheduler has put the threads, so many rounds are taken for as many observations only by blocks.
    pub fn of(rounds: &[f64]) -> Self {
        let blocks = rounds.chunks(rounds.len().div_ceil(BLOCKS).max(1));
        Self::of_independent(blocks.map(|block| median(&sorted(block))).collect::<Vec<_>>().as_slice())
    }

    /// Takes the bounds from the numbers themselves, so it assumes nothing about their distribution: each number is below
    /// the true median with the probability one half, so its rank is as many tosses of a coin. Of fewer than six numbers
    /// no two are bounds, and the interval has no end.
    fn of_independent(numbers: &[f64]) -> Self {
        let sorted = sorted(numbers);
        let (low, high) = match rank(sorted.len()).checked_sub(1) {
            Some(outside) => (sorted[outside], sorted[sorted.len() - 1 - outside]),
            None => (f64::NEG_INFINITY, f64::INFINITY),
        };
        Interval { low, median: median(&sorted), high }
    }

    pub fn is_known(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }

    pub fn is_narrow(&self) -> bool {
        self.is_known() && self.high - self.low <= 2.0 * NARROW * self.median.abs()
    }
}

pub fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(sorted: &[f64]) -> f64 {
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// The rank of the lower bound among this many sorted numbers, from one; the upper one has it from above. Zero: there is
/// none. The number of heads in `count` tosses is below it with a probability of 2.5 % at most.
fn rank(count: usize) -> usize {
    let count = count as f64;
    ((count + 1.0 - 1.96 * count.sqrt()) / 2.0).max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_enclose_the_median_with_95_percent() {
        for count in 1..=200 {
            // The probabilities of 0, 1, 2, … heads.
            let mut heads = vec![0.5_f64.powi(count as i32)];
            for at in 1..=count {
                heads.push(heads[at - 1] * (count + 1 - at) as f64 / at as f64);
            }
            let outside: f64 = heads[..rank(count)].iter().sum();
            let further: f64 = heads[..=rank(count)].iter().sum();
            assert!(outside <= 0.0265, "{count}: {outside}");
            assert!(further > 0.0235, "{count}: the interval could be narrower: {further}");
        }
    }

    #[test]
    fn fewer_than_six_numbers_have_no_bounds() {
        assert!(!Interval::of(&[1.0; 5]).is_known());
        assert!(!Interval::of(&[1.0; 5]).is_narrow());
        let six = Interval::of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(six, Interval { low: 1.0, median: 3.5, high: 6.0 });
    }

    #[test]
    fn the_bounds_are_as_far_from_both_ends() {
        let numbers: Vec<f64> = (1..=60).map(f64::from).rev().collect();
        assert_eq!(Interval::of(&numbers), Interval { low: 22.0, median: 30.5, high: 39.0 });
    }

    #[test]
    fn rounds_that_are_alike_are_one_observation() {
        // The second half of the time was slow. 600 independent rounds would leave no doubt that the median is 1.
        let rounds: Vec<f64> = (0..600).map(|round| if round < 330 { 1.0 } else { 2.0 }).collect();
        assert_eq!(Interval::of(&rounds), Interval { low: 1.0, median: 1.0, high: 2.0 });
        assert_eq!(Interval::of_independent(&rounds), Interval { low: 1.0, median: 1.0, high: 1.0 });
        // The outliers of a block do not count.
        let rounds: Vec<f64> = (0..600).map(|round| if round % 10 == 0 { 99.0 } else { 2.0 }).collect();
        assert_eq!(Interval::of(&rounds), Interval { low: 2.0, median: 2.0, high: 2.0 });
    }

    #[test]
    fn an_interval_is_narrow_up_to_three_percent_on_each_side() {
        let narrow = |low, high| Interval { low, median: 100.0, high }.is_narrow();
        assert!(narrow(97.0, 103.0));
        assert!(narrow(100.0, 106.0));
        assert!(!narrow(96.9, 103.0));
        assert!(!narrow(97.0, 103.1));
        assert!(Interval { low: 0.0, median: 0.0, high: 0.0 }.is_narrow());
    }
}
