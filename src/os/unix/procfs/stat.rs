//! What the system says of a process in its `/proc/PID/stat`.

use std::fmt::Display;
use std::fs;

/// A process at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    /// One letter: running, sleeping, stopped.
    state: u8,
    /// When it began, in the system's own count.
    began: u64,
}

/// When a process began, a number or `self`, in the system's own count; 0 where it does not tell.
pub(crate) fn began(process: impl Display) -> u64 {
    Stat::of(process).map_or(0, |stat| stat.began)
}

impl Stat {
    /// That of a process; `None` where the system does not tell.
    pub(crate) fn of(process: impl Display) -> Option<Self> {
        Stat::read(&fs::read(format!("/proc/{process}/stat")).ok()?)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// The name of the program stands in parentheses and may be any bytes, parentheses included: the fields behind the last
    /// one count.
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
    fn an_unknown_process_state_reveals_nothing() {
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
    fn this_process_makes_progress_and_has_a_start_time() {
        let (own, by_number) = (Stat::of("self").unwrap(), Stat::of(std::process::id()).unwrap());
        assert!(own.began > 0 && own.began == by_number.began && !own.is_stopped(), "{own:?}");
        assert_eq!(Stat::of(0), None);
    }

    proptest! {
        #[test]
        fn the_length_of_any_message_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            Stat::read(&bytes);
            Stat::read(&spelled(&bytes, "S", "815"));
        }
    }
}
