//! The line that a server which drains writes into its life file, for clients that wait for its end.
//!
//! It is for texts. No decision of the protocol uses it: the lock alone says whether a server is alive. A line that is
//! missing or malformed means that nothing is known.

use core::ops::Range;

/// Says that a process drains, and until when at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drains {
    /// The process, by its number where it runs.
    pub pid: u32,
    /// When the drain is over, in seconds since 1970.
    pub until: u64,
}

const TEMPLATE: [u8; Drains::LEN] = *b"pid 0000000000 drains until 000000000000 seconds since 1970\n";
const PID: Range<usize> = 4..14;
const UNTIL: Range<usize> = 28..40;

impl Drains {
    /// The length of the line in bytes.
    pub const LEN: usize = 60;
    /// The latest time that a line can have: the end of the year 9999.
    pub const LATEST: u64 = 253_402_300_799;

    /// Returns the line. A time after [`LATEST`](Drains::LATEST) is written as that.
    pub fn line(&self) -> [u8; Self::LEN] {
        let mut line = TEMPLATE;
        spell(&mut line[PID], self.pid.into());
        spell(&mut line[UNTIL], self.until.min(Self::LATEST));
        line
    }

    /// Reads the line at the end of a life file. `None` if there is none.
    pub fn read(file: &[u8]) -> Option<Self> {
        let line: &[u8; Self::LEN] = file.last_chunk()?;
        let pid = number(&line[PID])?.try_into().ok()?;
        let drains = Drains { pid, until: number(&line[UNTIL])? };
        (drains.line() == *line).then_some(drains)
    }

    /// Returns whether the line is of the process that holds the lifetime lock: `holder`, if the system reports it.
    /// If not, a line is believed until its time is over. A server that was killed while it drained leaves its line.
    pub fn is_of(&self, holder: Option<u32>, now: u64) -> bool {
        match holder {
            Some(holder) => holder == self.pid,
            None => now < self.until,
        }
    }
}

/// Writes a number with leading zeros.
fn spell(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Reads a number of at most 12 digits.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number * 10 + u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &[u8; Drains::LEN] = b"pid 0000004711 drains until 001764415242 seconds since 1970\n";
    const DRAINS: Drains = Drains { pid: 4711, until: 1_764_415_242 };

    #[test]
    fn the_line_of_a_drain_is_read_at_the_end_of_the_file() {
        assert_eq!(DRAINS.line(), *LINE);
        for before in [&b""[..], b"pid 4711, locked at 1764415000 seconds since 1970\n", b"\0\xff", LINE] {
            assert_eq!(Drains::read(&[before, LINE].concat()), Some(DRAINS), "{before:?}");
        }
    }

    #[test]
    fn a_line_of_a_drain_that_is_not_whole_says_nothing() {
        let changed = |at: usize, byte| {
            let mut line = *LINE;
            line[at] = byte;
            line.to_vec()
        };
        for file in [
            vec![],
            b"pid 4711, locked at 1764415000 seconds since 1970\n".to_vec(),
            LINE[..Drains::LEN - 1].to_vec(),
            LINE[1..].to_vec(),
            [&LINE[..], b"\n"].concat(),
            changed(0, b'P'),
            changed(PID.start, b' '),
            changed(PID.start, b'5'),
            changed(UNTIL.end - 1, b'x'),
            changed(UNTIL.start, b'9'),
            changed(Drains::LEN - 1, b'\r'),
        ] {
            assert_eq!(Drains::read(&file), None, "{:?}", String::from_utf8_lossy(&file));
        }
    }

    #[test]
    fn every_cell_of_the_table_of_holder_and_line() {
        for (holder, now, believed) in [
            (Some(DRAINS.pid), DRAINS.until - 1, true),
            (Some(DRAINS.pid), DRAINS.until, true),
            (Some(1), DRAINS.until - 1, false),
            (Some(1), DRAINS.until, false),
            (None, DRAINS.until - 1, true),
            (None, DRAINS.until, false),
        ] {
            assert_eq!(DRAINS.is_of(holder, now), believed, "{holder:?}, {now}");
        }
    }

    proptest! {
        #[test]
        fn any_line_of_a_drain_is_read_as_it_was_written(pid: u32, until: u64) {
            let written = Drains { pid, until };
            prop_assert_eq!(Drains::read(&written.line()), Some(Drains { pid, until: until.min(Drains::LATEST) }));
        }

        #[test]
        fn any_end_of_a_life_file_is_a_line_or_nothing(file: Vec<u8>, at in 0..Drains::LEN, byte: u8) {
            let mut line = *LINE;
            line[at] = byte;
            for file in [&file[..], &line, &[&file[..], &line].concat()] {
                if let Some(read) = Drains::read(file) {
                    prop_assert!(file.ends_with(&read.line()) && read.until <= Drains::LATEST);
                }
            }
        }
    }
}
