//! Tests of the table, of one path to each end, and of every reachable step against an independent account of the
//! observations.

use std::collections::HashSet;

use super::*;
use crate::proto::handshake::{self, Answer, Welcome};
use crate::proto::record::Malformed;
use crate::proto::record::tests::sample;
use crate::proto::scope::Difference;
use crate::proto::unresponsive::SILENCES;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const TIMES: Times = Times { connect: secs(30), patience: secs(2), lock: secs(10) };
const FAILURES: [DialFailure; 5] =
    [DialFailure::TimedOut, DialFailure::Refused, DialFailure::NotWritable, DialFailure::Closed, DialFailure::Impostor];
const KNOWN: [Option<bool>; 3] = [None, Some(false), Some(true)];
const LIFETIMES: [Lifetime; 4] = [Lifetime::Free, Lifetime::Held, Lifetime::Absent, Lifetime::CannotTell];
const STOPPED: Glance = Glance { stopped: Some(true), ran: None, moved: None };
const RUNS: Glance = Glance { stopped: Some(false), ran: Some(true), moved: None };

/// Unwraps a step of the expected kind.
macro_rules! at {
    ($step:expr, $variant:ident) => {
        match $step {
            Step::$variant(question) => question,
            other => panic!("{other:?} and not {}", stringify!($variant)),
        }
    };
}

fn successor() -> Record {
    Record { pid: 816, ..sample() }
}

fn verdicts() -> Vec<inspect::Verdict> {
    use inspect::Verdict::*;
    let no = Answer { verdict: handshake::Verdict::VersionUnsupported, protocol: 9, service: 9 };
    let mut all = vec![
        Live(Welcome { service: 1, uptime: 3, ..Welcome::unknown(815) }),
        Absent,
        Malformed(self::Malformed::NoEnd),
        Gone { pid: 815 },
        Between,
        Incompatible(no),
        Newer(9),
        OtherDialect,
        ForeignScope { pid: 815, differs: Difference::Namespace },
        CannotTell,
    ];
    all.extend(FAILURES.map(Unresponsive));
    all.extend(FAILURES.map(Unknown));
    all
}

fn looks() -> Vec<inspect::Done> {
    let founds = [
        Found::Absent,
        Found::Empty,
        Found::Malformed(Malformed::NoEnd),
        Found::Newer { format: 9 },
        Found::OtherDialect,
        Found::Record(sample()),
        Found::Record(successor()),
    ];
    let done = |verdict, found, held| inspect::Done { verdict, found, held };
    let cells = |verdict| founds.clone().map(|found| [true, false].map(|held| done(verdict, found.clone(), held)));
    verdicts().into_iter().flat_map(cells).flatten().collect()
}

fn silent(record: Record, failure: DialFailure) -> inspect::Done {
    inspect::Done { verdict: inspect::Verdict::Unresponsive(failure), found: Found::Record(record), held: true }
}

fn unknown() -> inspect::Done {
    inspect::Done {
        verdict: inspect::Verdict::Unknown(DialFailure::TimedOut),
        found: Found::Record(sample()),
        held: false,
    }
}

/// One look at a silent server, one glance at its process, and the time until the next look.
fn once(step: Step, record: Record, failure: DialFailure, glance: Glance, now: Duration) -> Step {
    let step = match at!(step, Look).saw(&silent(record, failure), now) {
        Step::Identify(identify) => identify.identified(),
        step => step,
    };
    match at!(step, Watch).saw(glance, now) {
        Step::Rest(rest) => rest.over(now),
        step => step,
    }
}

/// Several looks at one silent server, with the same glance each.
fn several(looks: u32, failure: DialFailure, glance: Glance) -> Step {
    (0..looks).fold(Step::new(TIMES), |step, _| once(step, sample(), failure, glance, secs(1)))
}

#[test]
fn each_result_record_and_lock_has_its_meaning() {
    let silences =
        [sample(), successor()].map(|record| FAILURES.map(|failure| silent(record.clone(), failure))).concat();
    let mut seen = [0; 3];
    for look in looks() {
        let next = at!(Step::new(TIMES), Look).saw(&look, secs(0));
        let expected = match look.verdict {
            _ if silences.contains(&look) => 0,
            inspect::Verdict::Unknown(_) => 1,
            _ => 2,
        };
        seen[expected] += 1;
        match (expected, meaning(&look)) {
            (0, Meaning::NoAnswer(record, _)) => assert_eq!(at!(next, Identify).record(), record),
            (1, Meaning::Unknown) => assert!(matches!(next, Step::Backoff(_)), "{look:?}"),
            (2, Meaning::Other) => assert_eq!(next, Step::Done(Done::LeftAlone), "{look:?}"),
            (_, meaning) => panic!("{look:?} is {meaning:?}"),
        }
    }
    assert_eq!(seen, [10, 70, 200], "number of cells of each kind");
}

#[test]
fn a_server_that_hangs_is_killed_and_its_lock_waited_for() {
    let owner = at!(several(SILENCES, DialFailure::TimedOut, STOPPED), Owner);
    assert_eq!(owner.pid(), 815);
    let kill = at!(owner.clone().not_held_by_another(), Kill);
    assert_eq!((kill.pid(), kill.sign()), (815, Sign::Stopped));
    let killed = secs(5);
    let probe = at!(kill.killed(killed), Probe);
    let ended = Step::Done(Done::Ended { pid: 815, sign: Sign::Stopped });
    assert_eq!(probe.clone().answered(Lifetime::Free, killed), ended);
    assert_eq!(probe.clone().answered(Lifetime::Absent, secs(500)), ended);
    assert_eq!(probe.clone().answered(Lifetime::CannotTell, killed), Step::Done(Done::Trouble));
    let backoff = probe.clone().answered(Lifetime::Held, killed + TIMES.lock - Duration::from_nanos(1));
    assert!(backoff.holds_lock(), "the held lock is not a successor's");
    assert_eq!(at!(backoff, Backoff).over(secs(6)), Step::Probe(probe.clone()));
    let late = probe.answered(Lifetime::Held, killed + TIMES.lock);
    assert_eq!(late, Step::Done(Done::StillHeld(TIMES.lock)), "counted from the kill");
    assert_eq!(owner.held_by_another(), Step::Done(Done::Unidentified));
}

#[test]
fn a_process_that_is_not_the_server_is_left_alone() {
    let identify = at!(Step::new(TIMES), Look).saw(&silent(sample(), DialFailure::TimedOut), secs(0));
    assert_eq!(at!(identify, Identify).not_identified(), Step::Done(Done::Unidentified));
}

#[test]
fn a_server_that_may_be_healthy_is_spared() {
    let spared = |step| match step {
        Step::Done(Done::Spared(spared)) => spared,
        other => panic!("{other:?}"),
    };
    assert_eq!(spared(several(1, DialFailure::Closed, STOPPED)), Spared::Acts, "at once");
    assert_eq!(spared(several(SILENCES, DialFailure::TimedOut, RUNS)), Spared::GoesOn);
    assert_eq!(spared(several(SILENCES, DialFailure::Refused, RUNS)), Spared::Closed);
    assert_eq!(spared(several(SILENCES, DialFailure::NotWritable, RUNS)), Spared::Shut);
    let nothing = Glance { stopped: None, ran: None, moved: None };
    assert_eq!(spared(several(SILENCES, DialFailure::TimedOut, nothing)), Spared::NotKnown);
}

#[test]
fn a_process_counts_as_stopped_only_if_every_glance_shows_it() {
    for odd in 0..SILENCES {
        for glance in [Glance { stopped: Some(false), ..STOPPED }, Glance { stopped: None, ..STOPPED }] {
            let step = (0..SILENCES).fold(Step::new(TIMES), |step, look| {
                once(step, sample(), DialFailure::TimedOut, if look == odd { glance } else { STOPPED }, secs(1))
            });
            assert_eq!(step, Step::Done(Done::Spared(Spared::NotKnown)), "{glance:?} at look {odd}");
        }
    }
}

#[test]
fn another_record_restarts_the_count_and_a_missed_lock_does_not() {
    let twice = several(SILENCES - 1, DialFailure::TimedOut, STOPPED);
    let next = at!(twice.clone(), Look).saw(&silent(successor(), DialFailure::TimedOut), secs(1));
    let identify = at!(next, Identify);
    assert_eq!(identify.record(), &successor());
    let watch = at!(identify.identified(), Watch);
    assert!(watch.is_first());
    assert!(matches!(watch.saw(STOPPED, secs(1)), Step::Rest(_)), "the count of the new record is one");

    let backoff = at!(twice, Look).saw(&unknown(), secs(1));
    assert!(!backoff.holds_lock());
    let again = at!(backoff, Backoff).over(secs(2));
    assert!(matches!(once(again, sample(), DialFailure::TimedOut, STOPPED, secs(2)), Step::Owner(_)));
}

#[test]
fn looks_are_patience_apart_and_end_at_the_deadline() {
    let (early, late) = (TIMES.connect - Duration::from_nanos(1), TIMES.connect);
    let watch = |now| {
        let identify = at!(Step::new(TIMES), Look).saw(&silent(sample(), DialFailure::Refused), now);
        at!(at!(identify, Identify).identified(), Watch).saw(RUNS, now)
    };
    let rest = at!(watch(early), Rest);
    assert_eq!(rest.until(), TIMES.patience, "counted from the beginning of the look");
    assert!(!Step::Rest(rest.clone()).holds_lock());
    let look = at!(rest.over(secs(3)), Look);
    let watch_again = at!(look.saw(&silent(sample(), DialFailure::Refused), secs(4)), Watch);
    assert!(!watch_again.is_first());
    assert_eq!(at!(watch_again.saw(RUNS, secs(4)), Rest).until(), secs(3) + TIMES.patience);
    assert_eq!(watch(late), Step::Done(Done::Spared(Spared::NotKnown)));

    let unknown = |now| at!(Step::new(TIMES), Look).saw(&unknown(), now);
    assert!(matches!(unknown(early), Step::Backoff(_)));
    assert_eq!(unknown(late), Step::Done(Done::LockedOut));
    let at_the_deadline =
        once(several(SILENCES - 1, DialFailure::TimedOut, STOPPED), sample(), DialFailure::TimedOut, STOPPED, late);
    assert!(matches!(at_the_deadline, Step::Owner(_)), "sufficient observations count at the deadline, too");
}

#[test]
fn each_step_of_the_end_of_a_server_says_what_it_waits_for() {
    use crate::proto::waiting::{Kind, Seen};
    let (server, exit) = (Seen::waits(Kind::Answer, Some(815)), Seen::waits(Kind::Exit, Some(815)));
    let look = Step::new(TIMES);
    assert_eq!(look.seen(), Seen::Nothing, "its dial knows the server");
    let backoff = at!(look.clone(), Look).saw(&unknown(), secs(1));
    assert_eq!(backoff.seen(), Seen::waits(Kind::PointLock, None));
    let identify = at!(look, Look).saw(&silent(sample(), DialFailure::TimedOut), secs(1));
    assert_eq!(identify.seen(), Seen::Locked);
    let watch = at!(identify, Identify).identified();
    assert_eq!(watch.seen(), Seen::Locked);
    let rest = at!(watch, Watch).saw(STOPPED, secs(1));
    assert_eq!((rest.seen(), at!(rest, Rest).over(secs(3)).seen()), (server, server));
    let owner = several(SILENCES, DialFailure::TimedOut, STOPPED);
    assert_eq!(owner.seen(), Seen::Locked);
    let kill = at!(owner, Owner).not_held_by_another();
    assert_eq!(kill.seen(), exit);
    let probe = at!(kill, Kill).killed(secs(5));
    let backoff = at!(probe.clone(), Probe).answered(Lifetime::Held, secs(5));
    assert_eq!((probe.seen(), backoff.seen()), (exit, exit));
    assert_eq!(at!(probe, Probe).answered(Lifetime::Free, secs(6)).seen(), Seen::Nothing);
}

/// An independent account of the observations of the last record's server, kept without the machine.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Account {
    /// The record of each look in a row that found a held lock and a silent server.
    looks: Vec<(u32, DialFailure)>,
    identified: bool,
    /// Whether the process was stopped at each glance.
    stopped: Vec<Option<bool>>,
    last: Option<(Option<bool>, Option<bool>)>,
    is_owner: bool,
}

impl Account {
    fn look(&self, look: &inspect::Done) -> Self {
        let mut next = self.clone();
        match (&look.verdict, &look.found, look.held) {
            (inspect::Verdict::Unresponsive(failure), Found::Record(record), true) => {
                if self.looks.last().is_some_and(|(pid, _)| *pid != record.pid) {
                    next = Account::default();
                }
                next.looks.push((record.pid, *failure));
            }
            (inspect::Verdict::Unknown(_), ..) => {}
            _ => next = Account::default(),
        }
        next
    }

    fn glance(&self, glance: Glance) -> Self {
        let mut next = self.clone();
        next.stopped.push(glance.stopped);
        next.last = Some((glance.ran, glance.moved));
        next
    }

    /// Whether the server may be killed.
    fn suffices(&self) -> bool {
        let quiet =
            |failure| matches!(failure, DialFailure::TimedOut | DialFailure::Refused | DialFailure::NotWritable);
        let several = self.looks.len() >= SILENCES as usize && self.looks.len() == self.stopped.len();
        let stopped = self.stopped.iter().all(|stopped| *stopped == Some(true));
        let asked = self.looks.last().is_some_and(|(_, failure)| *failure == DialFailure::TimedOut);
        let rests = asked && self.last.is_some_and(|(ran, moved)| ran == Some(false) || moved == Some(false));
        several && self.looks.iter().all(|(_, failure)| quiet(*failure)) && self.identified && (stopped || rests)
    }
}

/// Returns the steps after each possible answer to a step, with their accounts.
fn answers(step: &Step, account: &Account, looks: &[inspect::Done]) -> Vec<(Step, Account)> {
    let times = [secs(0), TIMES.connect];
    let same = |step| (step, account.clone());
    match step.clone() {
        Step::Look(s) => {
            looks.iter().flat_map(|look| times.map(|now| (s.clone().saw(look, now), account.look(look)))).collect()
        }
        Step::Identify(s) => {
            vec![(s.clone().identified(), Account { identified: true, ..account.clone() }), same(s.not_identified())]
        }
        Step::Watch(s) => {
            let mut next = Vec::new();
            for stopped in KNOWN {
                for ran in KNOWN {
                    for moved in KNOWN {
                        let glance = Glance { stopped, ran, moved };
                        next.extend(times.map(|now| (s.clone().saw(glance, now), account.glance(glance))));
                    }
                }
            }
            next
        }
        Step::Rest(s) => vec![same(s.over(secs(0)))],
        Step::Owner(s) => {
            vec![
                (s.clone().not_held_by_another(), Account { is_owner: true, ..account.clone() }),
                same(s.held_by_another()),
            ]
        }
        Step::Kill(s) => vec![same(s.killed(secs(0)))],
        Step::Probe(s) => LIFETIMES
            .iter()
            .flat_map(|lifetime| [secs(0), TIMES.lock].map(|now| same(s.clone().answered(*lifetime, now))))
            .collect(),
        Step::Backoff(s) => vec![same(s.over(secs(0)))],
        Step::Done(_) => Vec::new(),
    }
}

/// A server is never killed if it answered, does not hold its lock, showed no sign of a hang, or if its record changed.
#[test]
fn no_sequence_of_looks_kills_a_server_that_may_be_healthy() {
    let looks: Vec<_> = looks()
        .into_iter()
        // One result of each kind is enough, since the test of the table has all of them.
        .filter(|look| matches!(look.found, Found::Record(_)))
        .filter(|look| {
            !matches!(look.verdict, inspect::Verdict::Unresponsive(DialFailure::NotWritable | DialFailure::Impostor))
                && !matches!(look.verdict, inspect::Verdict::Unknown(failure) if failure != DialFailure::TimedOut)
        })
        .collect();
    let mut open = vec![(Step::new(TIMES), Account::default())];
    let mut known: HashSet<(Step, Account)> = open.iter().cloned().collect();
    let (mut kills, mut ends) = (0, HashSet::new());
    while let Some((step, account)) = open.pop() {
        match &step {
            Step::Kill(kill) => {
                kills += 1;
                assert!(account.suffices() && account.is_owner, "{step:?} after {account:?}");
                assert!(account.looks.iter().all(|(pid, _)| *pid == kill.pid()), "{step:?} after {account:?}");
            }
            Step::Done(done) => drop(ends.insert(*done)),
            _ => {}
        }
        for next in answers(&step, &account, &looks) {
            // The point lock is held from the deciding look to the kill.
            assert!(!matches!(next.0, Step::Owner(_) | Step::Kill(_) | Step::Probe(_)) || next.0.holds_lock());
            if known.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    assert!(kills > 10 && ends.len() > 9, "{kills} kills, and these ends: {ends:?}");
}
