//! Every cell of the tables of [`super`], and what a caller is told of a course of waits.

use super::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const KINDS: [Kind; 9] = [
    Kind::Start,
    Kind::Answer,
    Kind::Full,
    Kind::Drain,
    Kind::LifetimeLock,
    Kind::PointLock,
    Kind::LifeFile,
    Kind::OutOfReach,
    Kind::Exit,
];

const fn cause(kind: Kind, pid: u32) -> Cause {
    Cause { kind, pid: if pid == 0 { None } else { Some(pid) } }
}

const fn waits(kind: Kind, pid: u32) -> Seen {
    Seen::Waits(cause(kind, pid))
}

const START: Seen = waits(Kind::Start, 1);
const ANSWER: Seen = waits(Kind::Answer, 2);
const DRAIN: Seen = waits(Kind::Drain, 2);
const LOCK: Seen = waits(Kind::PointLock, 0);

/// Returns what is told of this course, each as `kind pid @ time`. After the last step it goes on for a minute.
fn told(course: &[(u64, Seen)]) -> String {
    let (mut waits, mut told) = (Waits::default(), Vec::new());
    let ends = course.iter().skip(1).map(|(at, _)| ms(*at)).chain([ms(60_000)]);
    for ((at, seen), end) in course.iter().zip(ends) {
        waits.saw(*seen, ms(*at));
        while let Some(due) = waits.due().filter(|due| *due < end) {
            let now = due.max(ms(*at));
            assert_eq!(waits.clone().tell(due.saturating_sub(ms(1))), None, "not before it is due");
            let Told { cause, since } = waits.tell(now).expect("it is due");
            assert!(since + GRACE <= now);
            told.push(format!("{:?} {} @ {}", cause.kind, cause.pid.unwrap_or(0), now.as_millis()));
        }
        assert_eq!(waits.tell(end - ms(1)), None, "all was told");
    }
    told.join(", ")
}

#[test]
fn a_wait_is_told_once_when_it_has_lasted_for_the_grace() {
    assert_eq!(told(&[]), "");
    assert_eq!(told(&[(5, START)]), "Start 1 @ 105");
    assert_eq!(told(&[(5, LOCK), (50, LOCK), (90, Seen::Nothing), (95, LOCK)]), "PointLock 0 @ 105");
    let again = [(5, ANSWER), (1505, Seen::Nothing), (1506, Seen::Locked), (1507, ANSWER), (3000, ANSWER)];
    assert_eq!(told(&again), "Answer 2 @ 105");
}

#[test]
fn a_wait_that_is_over_within_the_grace_is_not_told() {
    assert_eq!(told(&[(0, START), (99, ANSWER)]), "Answer 2 @ 199");
    assert_eq!(told(&[(0, LOCK), (60, Seen::Locked), (61, START)]), "Start 1 @ 161");
}

#[test]
fn another_kind_and_another_process_are_told_again() {
    let course = [(0, DRAIN), (500, waits(Kind::Start, 0)), (510, START), (700, waits(Kind::Start, 3))];
    assert_eq!(told(&course), "Drain 2 @ 100, Start 1 @ 610, Start 3 @ 800");
    assert_eq!(told(&[(0, waits(Kind::Start, 0)), (200, START)]), "Start 0 @ 100, Start 1 @ 300");
}

#[test]
fn a_process_that_is_not_known_may_be_the_one_before() {
    let withdrawn = [(0, DRAIN), (200, waits(Kind::LifetimeLock, 0)), (400, waits(Kind::LifetimeLock, 0))];
    assert_eq!(told(&withdrawn), "Drain 2 @ 100");
    let only = |kind, before| (kind, before) == (Kind::LifetimeLock, Kind::Drain);
    for kind in KINDS {
        for before in KINDS {
            for (pid, same_process) in [(0, true), (2, true), (3, false)] {
                let same = same_process && (kind == before || only(kind, before));
                assert_eq!(cause(kind, pid).continues(cause(before, 2)), same, "{kind:?} {pid} after {before:?} 2");
            }
        }
    }
}

#[test]
fn a_busy_lock_hides_a_wait_and_replaces_it_only_if_it_stays_busy() {
    let flapping: Vec<_> = (0..200).map(|at| (at * 10, [DRAIN, LOCK][at as usize % 2])).collect();
    assert_eq!(told(&flapping), "Drain 2 @ 100, PointLock 0 @ 2090");
    let looks: Vec<_> = (0..200).map(|at| (at * 10, [LOCK, Seen::Locked][at as usize % 2])).collect();
    assert_eq!(told(&looks), "");
    let back = [(0, DRAIN), (200, LOCK), (400, Seen::Locked), (400, DRAIN)];
    assert_eq!(told(&back), "Drain 2 @ 100, PointLock 0 @ 300, Drain 2 @ 500");
}

#[test]
fn every_cell_of_the_table_of_cause_and_holder() {
    let holders = [(None, None), (Some(7), None), (Some(7), Some(ms(9)))];
    for kind in KINDS {
        for (pid, drains) in holders {
            let now = Cause { kind, pid: Some(2) }.held_by(Holder { pid, drains });
            let expected = match (kind, drains) {
                (Kind::PointLock, _) => Cause { kind, pid },
                (Kind::LifetimeLock, None) => Cause { kind, pid },
                (Kind::LifetimeLock, Some(_)) => Cause { kind: Kind::Drain, pid },
                _ => Cause { kind, pid: Some(2) },
            };
            assert_eq!(now, expected, "{kind:?}, {pid:?}, {drains:?}");
        }
    }
}

#[test]
fn every_kind_is_waited_for_until_its_own_limit() {
    let times = Times { call: ms(30_000), start: ms(8000), life_file: ms(3500), exit: ms(1500), late: ms(500) };
    let none = Holder::default();
    let drains = |drains| Holder { pid: Some(2), drains: Some(ms(drains)) };
    let another = Holder { pid: Some(3), drains: Some(ms(10)) };
    for (kind, holder, since, until) in [
        (Kind::Start, none, 1000, 9000),
        (Kind::Start, none, 25_000, 30_000),
        (Kind::LifeFile, none, 1000, 4500),
        (Kind::LifeFile, none, 29_000, 30_000),
        (Kind::Exit, none, 1000, 2500),
        (Kind::Exit, none, 29_000, 30_500),
        (Kind::Answer, none, 1000, 30_000),
        (Kind::Full, none, 1000, 30_000),
        (Kind::PointLock, none, 1000, 30_000),
        (Kind::PointLock, drains(10), 1000, 30_000),
        (Kind::OutOfReach, none, 1000, 30_000),
        (Kind::Drain, none, 1000, 30_000),
        (Kind::Drain, drains(7000), 1000, 9500),
        (Kind::Drain, drains(60_000), 1000, 30_000),
        (Kind::Drain, another, 1000, 30_000),
        (Kind::LifetimeLock, none, 1000, 30_000),
        (Kind::LifetimeLock, drains(7000), 1000, 9500),
        (Kind::LifetimeLock, another, 1000, 2510),
    ] {
        let told = Told { cause: cause(kind, 2), since: ms(since) };
        assert_eq!(times.until(told, holder, ms(2000)), ms(until), "{kind:?}, {holder:?}, {since}");
    }
    let max = Duration::MAX;
    let far = Times { call: max, start: max, life_file: max, exit: max, late: max };
    for kind in KINDS {
        let told = Told { cause: cause(kind, 2), since: ms(1) };
        assert_eq!(far.until(told, none, ms(2)), Duration::MAX, "{kind:?}");
    }
}
