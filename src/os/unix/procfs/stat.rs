//! Reads the state and the start time of a process from `/proc/PID/stat`.

use std::fmt::Display;
use std::fs;
use std::sync::OnceLock;

/// The state of a process at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    /// One letter: running, sleeping, stopped.
    state: u8,
    /// The start time, in clock ticks since the boot.
    began: u64,
}

/// Returns the start time of this process, which is read once.
pub(crate) fn own_began() -> u64 {
    static BEGAN: OnceLock<u64> = OnceLock::new();
    *BEGAN.get_or_init(|| began("self"))
}

/// Returns the start time of a process, given as a number or `self`, in clock ticks since the boot; 0 if it is unknown.
pub(crate) fn began(process: impl Display) -> u64 {
    Stat::of(process).map_or(0, |stat| stat.began)
}

impl Stat {
    /// Reads the state of a process; `None` if the system does not report it.
    pub(crate) fn of(process: impl Display) -> Option<Self> {
        Stat::read(&fs::read(format!("/proc/{process}/stat")).ok()?)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Parses the text of the file. The program's name stands in parentheses and may itself contain any bytes, so the
    /// fields after the last parenthesis count.
    fn read(stat: &[u8]) -> Option<Self> {
        let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
        let mut fields = str::from_utf8(&stat[name_ends + 1..]).ok()?.split_ascii_whitespace();
        let &[state] = fields.next()?.as_bytes() else { return None };
        Some(Stat { state, began: fields.nth(18)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelled(name: &[u8], state: &str, began: &str) -> Vec<u8> {
        let fields = (3..21).map(|field| format!(" -{field}")).collect::<String>();
        [b"4711 (", name, format!(") {state}{fields} {began} 0 18446744073709551615 1\n").as_bytes()].concat()
    }

    #[test]
    fn a_process_is_read_whatever_its_program_is_called() {
        for name in [&b"sleep"[..], b"a) T (b", b"\xff\xfe)", b"", b") T 1 2 3"] {
            for (state, stopped) in [("S", false), ("T", true), ("t", true), ("R", false)] {
                let stat = Stat::read(&spelled(name, state, "815")).unwrap();
                assert_eq!((stat.began, stat.is_stopped()), (815, stopped), "{name:?}");
            }
        }
    }

    #[test]
    fn a_stat_that_is_cut_short_or_malformed_is_unknown() {
        let whole = spelled(b"sleep", "S", "815");
        let began = whole.windows(4).position(|bytes| bytes == b" 815").unwrap();
        for end in 0..=began + 1 {
            assert_eq!(Stat::read(&whole[..end]), None, "{end} bytes");
        }
        for (state, began) in [("", "815"), ("SS", "815"), ("S", "-1"), ("S", "18446744073709551616"), ("S", "\u{e4}")]
        {
            assert_eq!(Stat::read(&spelled(b"sleep", state, began)), None, "{state} {began}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_not_stopped_and_has_a_start_time() {
        let (own, by_number) = (Stat::of("self").unwrap(), Stat::of(std::process::id()).unwrap());
        assert!(own.began > 0 && own.began == by_number.began && !own.is_stopped(), "{own:?}");
        assert_eq!(Stat::of(0), None);
    }

    proptest! {
        #[test]
        fn any_stat_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            Stat::read(&bytes);
            Stat::read(&spelled(&bytes, "S", "815"));
        }
    }
}
