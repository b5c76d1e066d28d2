//! The interval in which a median lies.

/// The widest interval that is narrow: this part of the median to each side, in the mean.
pub const NARROW: f64 = 0.03;

/// The most probable that each bound may be wrong, for an interval of 95 %.
pub const KNOWN: f64 = 0.025;
/// The same for one of 99 %, by which a row ends: of many intervals of 95 %, the first that is narrow may be narrow by
/// chance.
pub const ENOUGH: f64 = 0.005;

/// A median, and the bounds between which the true one lies with a certain probability.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Interval {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

/// The most numbers of which an interval is made.
const BLOCKS: usize = 60;

impl Interval {
    /// Of the numbers of some rounds, in their order. Each bound is wrong with this probability at most. Rounds that
    /// follow each other are alike, for instance by where the scheduler has put the threads, so many rounds are taken
    /// for as many observations only by blocks.
    pub fn of(rounds: &[f64], wrong: f64) -> Self {
        Self::of_independent(&blocks(rounds).map(|block| median(&sorted(block))).collect::<Vec<_>>(), wrong)
    }

    /// Takes the bounds from the numbers themselves, so it assumes nothing about their distribution: each number is
    /// below the true median with the probability one half, so its rank is as many tosses of a coin. Of few numbers,
    /// up to five for 95 %, no two are bounds, and the interval has no end.
    fn of_independent(numbers: &[f64], wrong: f64) -> Self {
        let sorted = sorted(numbers);
        let (low, high) = match rank(sorted.len(), wrong).checked_sub(1) {
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

/// Splits the rounds into blocks whose lengths differ by one at most.
fn blocks(rounds: &[f64]) -> impl Iterator<Item = &[f64]> {
    let (len, count) = (rounds.len(), rounds.len().min(BLOCKS));
    (0..count).map(move |block| &rounds[block * len / count..(block + 1) * len / count])
}

pub fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(sorted: &[f64]) -> f64 {
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Returns the rank of the lower bound among this many sorted numbers, from one; the upper one has it from above. Zero:
/// there is none. It is the largest that the number of heads in `count` tosses is below with the probability `wrong` at
/// most.
fn rank(count: usize, wrong: f64) -> usize {
    // The probabilities of `rank` heads, and of so many or fewer.
    let mut heads = 0.5_f64.powi(count as i32);
    let (mut rank, mut fewer) = (0, heads);
    while fewer <= wrong {
        rank += 1;
        heads *= (count + 1 - rank) as f64 / rank as f64;
        fewer += heads;
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_enclose_the_median_with_at_least_95_or_99_percent() {
        // A row of Pascal's triangle: of 2 ^ count results, how many have 0, 1, 2, … heads.
        let mut heads = vec![1_u128];
        for count in 1..=100 {
            heads =
                (0..=count).map(|at| heads.get(at).unwrap_or(&0) + if at > 0 { heads[at - 1] } else { 0 }).collect();
            for wrong in [KNOWN, ENOUGH] {
                let below = |rank: usize| heads[..rank].iter().sum::<u128>() as f64 / (1_u128 << count) as f64;
                let rank = rank(count, wrong);
                assert!(below(rank) <= wrong, "{count}: {}", below(rank));
                assert!(below(rank + 1) > wrong, "{count}: the interval could be narrower: {}", below(rank + 1));
            }
        }
    }

    #[test]
    fn few_numbers_have_no_bounds() {
        let numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        for (wrong, least, median) in [(KNOWN, 6, 3.5), (ENOUGH, 8, 4.5)] {
            let few = Interval::of(&numbers[..least - 1], wrong);
            assert!(!few.is_known() && !few.is_narrow());
            let high = least as f64;
            assert_eq!(Interval::of(&numbers[..least], wrong), Interval { low: 1.0, median, high });
        }
    }

    #[test]
    fn all_rounds_are_in_blocks_of_nearly_the_same_length() {
        for count in 0..=200 {
            let rounds: Vec<f64> = (0..count).map(f64::from).collect();
            let lengths: Vec<usize> = blocks(&rounds).map(<[f64]>::len).collect();
            assert_eq!(lengths.len(), rounds.len().min(BLOCKS));
            assert_eq!(blocks(&rounds).collect::<Vec<_>>().concat(), rounds);
            let (least, most) = (lengths.iter().min(), lengths.iter().max());
            assert!(most.zip(least).is_none_or(|(most, least)| most - least <= 1), "{lengths:?}");
        }
    }

    #[test]
    fn the_bounds_are_as_far_from_both_ends() {
        let numbers: Vec<f64> = (1..=60).map(f64::from).rev().collect();
        assert_eq!(Interval::of(&numbers, KNOWN), Interval { low: 22.0, median: 30.5, high: 39.0 });
    }

    #[test]
    fn rounds_that_are_alike_are_one_observation() {
        // The second half of the time was slow. 600 independent rounds would leave no doubt that the median is 1.
        let rounds: Vec<f64> = (0..600).map(|round| if round < 330 { 1.0 } else { 2.0 }).collect();
        assert_eq!(Interval::of(&rounds, KNOWN), Interval { low: 1.0, median: 1.0, high: 2.0 });
        assert_eq!(Interval::of_independent(&rounds, KNOWN), Interval { low: 1.0, median: 1.0, high: 1.0 });
        // The outliers of a block do not count.
        let rounds: Vec<f64> = (0..600).map(|round| if round % 10 == 0 { 99.0 } else { 2.0 }).collect();
        assert_eq!(Interval::of(&rounds, KNOWN), Interval { low: 2.0, median: 2.0, high: 2.0 });
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
