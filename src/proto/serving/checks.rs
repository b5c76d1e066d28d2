//! When a server checks its files: periodically, and when the system reports a change of them.
//!
//! A report is worth something only where it is certain to come. So the period is longer only in a home whose changes
//! this kernel alone makes, and only once a write of the server's own was reported.

use core::time::Duration;

/// How soon after it began to serve a server checks its files first, and begins to watch them: after its first clients,
/// which should not have to wait for that.
const FIRST: Duration = Duration::from_millis(100);

/// The longest part of `check` between two repairs. A program that damages the files in a loop must not take the point
/// lock from clients.
const BETWEEN_REPAIRS: Duration = Duration::from_secs(1);

/// How long after the first report a server checks its files. Several changes are often one, such as a file that is
/// truncated and written, or a home that is removed: a file that was made again meanwhile would keep the home from
/// that.
const SETTLED: Duration = Duration::from_millis(20);

/// How many reports of other files there may be between two checks. In a home with more of them, the server stops to
/// listen until its next check.
const OTHERS: u32 = 32;

/// By how much the period is longer where all changes are reported, and how long it is at most.
const SLOWER: u32 = 16;
const SLOWEST: Duration = Duration::from_secs(32);

/// What is known of the reports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Watched {
    /// The home is on a file system of which it is known that this kernel makes all changes, and reports them.
    pub local: bool,
    /// The system reports changes of the home and of the names in it.
    pub home: bool,
    /// The system reports changes of the point.
    pub point: bool,
    /// No symbolic link leads to the home: it could come to lead elsewhere unseen.
    pub direct: bool,
    /// The system reports whether a directory above the home is renamed.
    pub above: bool,
    /// The system reports the first write to the log, or there is no log.
    pub log: bool,
    /// Whether a write of this server was reported. `None`: it was not tried.
    pub proved: Option<bool>,
}

impl Watched {
    /// Returns the time between two checks for which nothing but their period is a reason.
    pub fn period(self, check: Duration) -> Duration {
        match self.whole() && self.proved == Some(true) {
            true => check.saturating_mul(SLOWER).min(SLOWEST).max(check),
            false => check,
        }
    }

    /// Returns whether the server should try whether a write is reported. It does so before it watches the log, since
    /// its try drops reports.
    pub fn wants_proof(self) -> bool {
        Watched { log: true, ..self }.whole() && self.proved.is_none()
    }

    fn whole(self) -> bool {
        self.local && self.home && self.point && self.direct && self.above && self.log
    }
}

/// A report of a change, the most important last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Seen {
    /// Another file in the home was made, removed or renamed.
    Other,
    /// The log has grown.
    Log,
    /// One of the server's files, or its home, may have changed; or reports were lost.
    Ours,
}

/// What a report is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// The home, or a file in it.
    Home,
    /// The point.
    Point,
    /// A directory above the home.
    Above,
    /// The log.
    Log,
    /// Something that is watched no more.
    Former,
    /// Reports that were lost.
    Lost,
}

impl Seen {
    /// Returns what a report means. `named`: whether the file that it names is one of the server's; `None` if it names
    /// none.
    pub fn of(source: Source, named: Option<bool>) -> Self {
        match (source, named) {
            (Source::Lost, _) | (Source::Home, Some(true)) => Seen::Ours,
            // Whatever happens to them, the end of their watch included.
            (Source::Home | Source::Point | Source::Above, None) => Seen::Ours,
            (Source::Log, None) => Seen::Log,
            _ => Seen::Other,
        }
    }
}

/// The times of a server's checks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Checks {
    check: Duration,
    /// A time at which the timer's wheel turned.
    phase: Duration,
    next: Duration,
    not_before: Duration,
    others: u32,
}

impl Checks {
    /// Begins to serve, `now`. `phase` is a time at which the wheel of the timer turned: see `aligned`.
    pub fn begin(check: Duration, phase: Duration, now: Duration) -> Self {
        Checks { check, phase, next: now.saturating_add(FIRST.min(check)), not_before: now, others: 0 }
    }

    /// Returns when the next check is due.
    pub fn next(&self) -> Duration {
        self.next.max(self.not_before)
    }

    /// Records a report. Returns whether the server listens on; if not, it does so from its next check.
    #[must_use]
    pub fn saw(&mut self, seen: Seen, now: Duration) -> bool {
        match seen {
            Seen::Ours => {
                self.next = self.next.min(now.saturating_add(SETTLED.min(turn(self.check))));
                false
            }
            Seen::Log => {
                self.next = self.next.min(aligned(self.check, self.phase, now));
                true
            }
            Seen::Other => {
                self.others += 1;
                if self.others >= OTHERS {
                    self.next = self.next.min(aligned(self.check, self.phase, now));
                }
                self.others < OTHERS
            }
        }
    }

    /// Records a check, `now`. `well`: all files were as they should be. If not, the next check is no later than
    /// without reports: a repair that failed may have changed nothing that would be reported.
    pub fn checked(&mut self, watched: Watched, well: bool, now: Duration) {
        self.others = 0;
        let period = if well { watched.period(self.check) } else { self.check };
        self.next = aligned(period, self.phase, now);
        self.not_before = now;
        if !well {
            self.repaired(now);
        }
    }

    /// Records that the server has repaired something, `now`.
    pub fn repaired(&mut self, now: Duration) {
        self.not_before = now.saturating_add(BETWEEN_REPAIRS.min(turn(self.check)));
    }
}

/// Returns the end of a period that begins `now`, or an earlier time at which a wheel that turned at `phase` turns
/// again.
///
/// A timer wheel, as tokio has it, keeps far timers in coarse slots. It wakes up to move a timer from one slot to a
/// finer one, unless the timer ends where its slot begins. If all end at multiples of one power of two of milliseconds,
/// each costs one wake-up.
fn aligned(period: Duration, phase: Duration, now: Duration) -> Duration {
    let turn = turn(period);
    let turns = now.saturating_sub(phase).as_nanos() / turn.as_nanos().max(1) + 1;
    u32::try_from(turns).map_or(now.saturating_add(turn), |turns| phase.saturating_add(turn.saturating_mul(turns)))
}

/// Returns the greatest power of two of milliseconds that is longer than the period by 1/32 at most. By the rule
/// `check ≤ 2 × patience`, that is a sixteenth of the time for which clients expect a server to be late.
fn turn(period: Duration) -> Duration {
    match period.saturating_add(period / 32).as_millis().checked_ilog2() {
        Some(log) => Duration::from_millis(1 << log.min(63)),
        None => period,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const CHECK: Duration = ms(2000);
    const PROVED: Watched =
        Watched { local: true, home: true, point: true, direct: true, above: true, log: true, proved: Some(true) };
    /// The wheel turned then.
    const PHASE: Duration = ms(777);

    fn after(millis: u64) -> Duration {
        PHASE + ms(millis)
    }

    /// Returns the checks of a server that has found its files well `now`.
    fn well(watched: Watched, now: Duration) -> Checks {
        let mut checks = Checks::begin(CHECK, PHASE, now);
        checks.checked(watched, true, now);
        checks
    }

    #[test]
    fn every_cell_of_file_system_watch_proof_and_limit() {
        let no = [
            Watched { local: false, ..PROVED },
            Watched { home: false, ..PROVED },
            Watched { point: false, ..PROVED },
            Watched { direct: false, ..PROVED },
            Watched { above: false, ..PROVED },
            Watched { log: false, ..PROVED },
            Watched { proved: Some(false), ..PROVED },
            Watched { proved: None, ..PROVED },
            Watched::default(),
        ];
        for (check, slow) in [
            (ms(1), ms(16)),
            (ms(100), ms(1600)),
            (ms(2000), ms(32_000)),
            (ms(5000), ms(32_000)),
            (ms(32_000), ms(32_000)),
            (ms(60_000), ms(60_000)),
        ] {
            assert_eq!(PROVED.period(check), slow);
            for watched in no {
                assert_eq!(watched.period(check), check, "{watched:?}");
            }
        }
    }

    #[test]
    fn a_proof_is_wanted_once_and_only_if_it_could_make_the_period_longer() {
        let new = Watched { proved: None, ..PROVED };
        // The log is watched later.
        for (watched, wants) in [
            (new, true),
            (Watched { log: false, ..new }, true),
            (Watched { local: false, ..new }, false),
            (Watched { home: false, ..new }, false),
            (Watched { point: false, ..new }, false),
            (Watched { direct: false, ..new }, false),
            (Watched { above: false, ..new }, false),
            (Watched { proved: Some(false), ..new }, false),
            (PROVED, false),
        ] {
            assert_eq!(watched.wants_proof(), wants, "{watched:?}");
        }
    }

    #[test]
    fn every_cell_of_what_a_report_is_of_and_names() {
        use Seen::{Log, Other, Ours};
        for (source, none, ours, another) in [
            (Source::Home, Ours, Ours, Other),
            (Source::Point, Ours, Other, Other),
            (Source::Above, Ours, Other, Other),
            (Source::Log, Log, Other, Other),
            (Source::Former, Other, Other, Other),
            (Source::Lost, Ours, Ours, Ours),
        ] {
            let seen = [None, Some(true), Some(false)].map(|named| Seen::of(source, named));
            assert_eq!(seen, [none, ours, another], "{source:?}");
        }
    }

    #[test]
    fn an_idle_server_wakes_twice_a_minute_if_all_is_reported_and_else_thirty_times() {
        for (watched, most) in [(PROVED, 2), (Watched::default(), 30)] {
            let mut checks = Checks::begin(CHECK, PHASE, after(5));
            let mut times = Vec::new();
            while checks.next() < after(600_000) {
                let now = checks.next() + ms(1);
                times.push(checks.next());
                checks.checked(watched, true, now);
            }
            assert!(times.len() <= most * 10, "{}", times.len());
            // The first is early. All others are where the wheel turns.
            assert_eq!(times[0], after(105));
            let turn = if watched == PROVED { 32_768 } else { 2048 };
            assert!(times[1..].iter().all(|time| (*time - PHASE).as_millis().is_multiple_of(turn)), "{times:?}");
        }
    }

    #[test]
    fn a_period_is_longer_than_asked_for_by_one_part_of_32_at_most() {
        for millis in [1, 2, 3, 99, 100, 500, 992, 993, 1000, 1500, 2000, 2047, 2048, 2049, 32_000, 31_622_400_000] {
            let turn = turn(ms(millis));
            assert!(turn <= ms(millis) + ms(millis) / 32 && turn > ms(millis) / 2, "{millis}: {turn:?}");
            let next = aligned(ms(millis), PHASE, after(5_000_123));
            assert!(next > after(5_000_123) && next <= after(5_000_123) + turn, "{millis}: {next:?}");
        }
        assert_eq!(turn(Duration::from_micros(300)), Duration::from_micros(300));
        assert!(aligned(Duration::MAX, PHASE, PHASE) > PHASE);
        assert!(aligned(Duration::ZERO, PHASE, PHASE) >= PHASE);
    }

    #[test]
    fn a_change_of_the_files_is_checked_once_it_settled_and_one_of_others_is_not() {
        let mut checks = well(PROVED, after(1000));
        assert_eq!(checks.next(), after(32_768));
        assert!(checks.saw(Seen::Other, after(5000)), "it listens on");
        assert_eq!(checks.next(), after(32_768));
        assert!(!checks.saw(Seen::Ours, after(6000)), "it has seen enough");
        assert_eq!(checks.next(), after(6020));
        assert!(!checks.saw(Seen::Ours, after(6010)));
        assert_eq!(checks.next(), after(6020), "it is not put off");
    }

    #[test]
    fn a_log_that_grows_is_looked_at_as_often_as_without_reports() {
        let mut checks = well(PROVED, after(1000));
        assert!(checks.saw(Seen::Log, after(5000)));
        assert_eq!(checks.next(), after(6144));
        assert!(checks.saw(Seen::Log, after(5500)));
        assert_eq!(checks.next(), after(6144), "it is not put off");
    }

    #[test]
    fn a_home_that_changes_all_the_time_is_listened_to_no_more() {
        let mut checks = well(PROVED, after(1000));
        let listens = (0..).take_while(|_| checks.saw(Seen::Other, after(5000))).count();
        assert_eq!((listens, checks.next()), (31, after(6144)));
        checks.checked(PROVED, true, after(6144));
        assert!(checks.saw(Seen::Other, after(6150)), "it listens again after its next check");
    }

    #[test]
    fn files_are_repaired_once_a_second_at_most() {
        let mut checks = well(PROVED, after(1000));
        for repaired in [after(6000), after(7010), after(8020)] {
            let _ = checks.saw(Seen::Ours, repaired - ms(30));
            assert_eq!(checks.next(), repaired - ms(10));
            checks.checked(PROVED, false, repaired - ms(10));
            // The point lock was busy.
            checks.repaired(repaired);
            let _ = checks.saw(Seen::Ours, repaired + ms(1));
            assert_eq!(checks.next(), repaired + ms(1000));
        }
        // A shorter `check` says how often the service wants it.
        let mut often = Checks::begin(ms(100), PHASE, after(0));
        often.checked(PROVED, false, after(1000));
        let _ = often.saw(Seen::Ours, after(1001));
        assert_eq!(often.next(), after(1064));
    }

    #[test]
    fn after_a_repair_that_changed_nothing_the_next_check_is_not_late() {
        let mut checks = well(PROVED, after(1000));
        checks.checked(PROVED, false, after(5000));
        assert_eq!(checks.next(), after(6144));
    }

    #[test]
    fn changes_that_leave_the_files_well_cost_fifty_checks_a_second_at_most() {
        let mut checks = well(PROVED, after(1000));
        let _ = checks.saw(Seen::Ours, after(1001));
        assert_eq!(checks.next(), after(1021));
    }

    #[test]
    fn the_period_does_not_bring_a_repair_forward() {
        let mut checks = well(Watched::default(), after(2040));
        checks.checked(Watched::default(), false, after(2040));
        assert_eq!(checks.next(), after(3040), "and not where the wheel turns, after 8 ms");
    }
}
