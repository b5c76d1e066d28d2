//! A campaign in pieces: a line for each piece in a file, and their sum.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Consecutive rounds of one seed, and what was counted in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    pub seed: u64,
    pub first: u64,
    pub last: u64,
    pub connects: u64,
    pub violations: u64,
    pub orphans: u64,
    pub unexplained: u64,
    pub repeated: u64,
    pub seconds: u64,
}

impl Piece {
    /// Adds a line to the file. Returns the sum of all pieces of the same seed in it.
    pub fn add_to(&self, summary: &Path) -> io::Result<String> {
        let mut file = OpenOptions::new().create(true).append(true).open(summary)?;
        file.write_all(format!("{self}\n").as_bytes())?;
        let pieces = fs::read_to_string(summary)?;
        Ok(sum(self.seed, pieces.lines().filter_map(Piece::read)))
    }

    /// Reads a line as `Display` writes it.
    pub fn read(line: &str) -> Option<Self> {
        let numbers: Vec<u64> =
            line.split(|char: char| !char.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        let [seed, first, last, connects, violations, orphans, unexplained, repeated, seconds] = numbers[..] else {
            return None;
        };
        Some(Piece { seed, first, last, connects, violations, orphans, unexplained, repeated, seconds })
    }
}

/// Sums up the pieces of a seed. Each round counts once, so a piece that was played again replaces the earlier one only
/// in its rounds; what was counted stays.
pub fn sum(seed: u64, pieces: impl Iterator<Item = Piece>) -> String {
    let pieces: Vec<_> = pieces.filter(|piece| piece.seed == seed).collect();
    let mut rounds = std::collections::BTreeSet::new();
    pieces.iter().for_each(|piece| rounds.extend(piece.first..=piece.last));
    let of = |count: fn(&Piece) -> u64| pieces.iter().map(count).sum::<u64>();
    format!(
        "seed {seed}, {} pieces: {} rounds, {} connects, violations {}, orphans {}, unexplained failures {}, repeated {}",
        pieces.len(),
        rounds.len(),
        of(|piece| piece.connects),
        of(|piece| piece.violations),
        of(|piece| piece.orphans),
        of(|piece| piece.unexplained),
        of(|piece| piece.repeated),
    )
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Piece { seed, first, last, connects, violations, orphans, unexplained, repeated, seconds } = self;
        write!(
            f,
            "seed {seed}: rounds {first} to {last}, {connects} connects, violations {violations}, orphans {orphans}, \
             unexplained failures {unexplained}, repeated {repeated}, {seconds} s"
        )
    }
}
