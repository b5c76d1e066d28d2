//! Tests of each cell of the table, of one path to each verdict, and of every reachable step.

use std::collections::HashSet;

use super::*;
use crate::proto::handshake;
use crate::proto::record::tests::sample;
use crate::proto::scope::Scope;

const CONNECT: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::ZERO;
const LIFETIMES: [Lifetime; 4] = [Lifetime::Free, Lifetime::Held, Lifetime::Absent, Lifetime::CannotTell];
const WELCOME: Welcome = Welcome { service: 1, uptime: 3, ..Welcome::unknown(815) };
const NO: Answer = Answer { verdict: handshake::Verdict::VersionUnsupported, protocol: 9, service: 9 };
const DAMAGED: Found = Found::Malformed(Malformed::NoEnd);

/// Unwraps a step of the expected kind.
macro_rules! at {
    ($step:expr, $variant:ident) => {
        match $step {
            Step::$variant(question) => question,
            other => panic!("{other:?} and not {}", stringify!($variant)),
        }
    };
}

fn place(local: bool) -> Place {
    Place { scope: sample().scope, local }
}

/// Returns a record of a port, of this place.
fn here() -> Record {
    sample()
}

/// Returns a record of a port, of another boot of this machine.
fn rebooted() -> Record {
    Record { scope: Scope { boot: [9; 16], ..sample().scope }, ..sample() }
}

/// Returns a record of a port, of another network namespace.
fn apart() -> Record {
    Record { scope: Scope { namespace: 7, ..sample().scope }, ..sample() }
}

/// Returns a record of a port, of another machine.
fn foreign() -> Record {
    Record { scope: Scope { boot: [9; 16], machine: Some([9; 16]), ..sample().scope }, ..sample() }
}

/// Returns a record of a Unix socket, of another machine.
fn foreign_socket() -> Record {
    Record { address: "unix:00112233aabbccdd".parse().unwrap(), ..foreign() }
}

fn founds() -> [Found; 11] {
    [
        Found::Absent,
        Found::Empty,
        DAMAGED,
        Found::Newer { format: 9 },
        Found::OtherDialect,
        Found::Record(here()),
        Found::Record(Record { pid: 816, ..here() }),
        Found::Record(rebooted()),
        Found::Record(apart()),
        Found::Record(foreign()),
        Found::Record(foreign_socket()),
    ]
}

fn look(local: bool, found: Found) -> Step {
    at!(Step::new(place(local), CONNECT), Read).found(found)
}

/// Continues an inspection under the lock, with the point unchanged.
fn locked(step: Step, found: Found, lifetime: Lifetime) -> Step {
    at!(at!(at!(step, Lock).got(), Reread).found(found, SOON), Probe).answered(lifetime)
}

#[test]
fn each_sight_and_lock_state_leads_to_its_next_action() {
    use Next::{Dial, Lock};
    let done = Next::Done;
    let record = &sample();
    let (pid, failure, differs) = (record.pid, DialFailure::TimedOut, Difference::Namespace);
    let absent = done(Verdict::Absent);
    let damaged = done(Verdict::Malformed(Malformed::NoEnd));
    let newer = done(Verdict::Newer(9));
    let other = done(Verdict::OtherDialect);
    let scope = done(Verdict::ForeignScope { pid, differs });
    let gone = done(Verdict::Gone { pid });
    let between = done(Verdict::Between);
    let silent = done(Verdict::Unresponsive(failure));
    let unknown = done(Verdict::Unknown(failure));
    let error = done(Verdict::CannotTell);
    let dial = Dial(record);
    #[rustfmt::skip]
    let table = [
        // sight                             not yet  no lock   free     held     absent   cannot tell
        (Sight::Absent,                       [Lock,  absent,   absent,  between, absent,  error]),
        (Sight::Empty,                        [Lock,  between,  absent,  between, absent,  error]),
        (Sight::Malformed(Malformed::NoEnd),  [Lock,  between,  damaged, between, damaged, error]),
        (Sight::Newer(9),                     [newer, newer,    newer,   newer,   newer,   newer]),
        (Sight::OtherDialect,                 [other, other,    other,   other,   other,   other]),
        (Sight::Fresh(record),                [dial,  dial,     dial,    dial,    dial,    dial]),
        (Sight::Foreign(record, differs),     [Lock,  scope,    scope,   scope,   scope,   error]),
        (Sight::Apart(record, differs),       [Lock,  scope,    gone,    scope,   scope,   error]),
        (Sight::Doubtful(record),             [Lock,  between,  gone,    dial,    gone,    error]),
        (Sight::Suspected(record, failure),      [Lock,  unknown,  gone,    silent,  unknown, error]),
    ];
    let asked = [Asked::NotYet, Asked::Unavailable].into_iter().chain(LIFETIMES.map(Asked::Answered));
    for (sight, row) in table {
        for (asked, expected) in asked.clone().zip(row) {
            assert_eq!(next(sight, asked), expected, "{sight:?} × {asked:?}");
        }
    }
}

#[test]
fn the_content_of_a_point_is_judged_from_the_readers_place() {
    let seen = |local, found, failure| {
        let look = Look { here: place(local), connect: CONNECT };
        Seen { look, found, failure, asked: Asked::NotYet }
    };
    for (found, failure, local, shared) in [
        (Found::Absent, None, Sight::Absent, Sight::Absent),
        (Found::Empty, None, Sight::Empty, Sight::Empty),
        (DAMAGED, None, Sight::Malformed(Malformed::NoEnd), Sight::Malformed(Malformed::NoEnd)),
        (Found::Newer { format: 9 }, None, Sight::Newer(9), Sight::Newer(9)),
        (Found::OtherDialect, None, Sight::OtherDialect, Sight::OtherDialect),
    ] {
        assert_eq!(seen(true, found.clone(), failure).sight(), local, "{found:?}");
        assert_eq!(seen(false, found.clone(), failure).sight(), shared, "{found:?}");
    }
    let (machine, boot) = (Difference::Machine, Difference::Boot);
    let failed = Some(DialFailure::Refused);
    for (record, failure, local, shared) in [
        (&here(), None, Sight::Fresh(&here()), Sight::Fresh(&here())),
        (
            &here(),
            failed,
            Sight::Suspected(&here(), DialFailure::Refused),
            Sight::Suspected(&here(), DialFailure::Refused),
        ),
        (&rebooted(), None, Sight::Doubtful(&rebooted()), Sight::Apart(&rebooted(), boot)),
        (
            &rebooted(),
            failed,
            Sight::Suspected(&rebooted(), DialFailure::Refused),
            Sight::Suspected(&rebooted(), DialFailure::Refused),
        ),
        (&foreign(), None, Sight::Doubtful(&foreign()), Sight::Foreign(&foreign(), machine)),
        (&foreign_socket(), None, Sight::Fresh(&foreign_socket()), Sight::Fresh(&foreign_socket())),
        (
            &foreign_socket(),
            failed,
            Sight::Suspected(&foreign_socket(), DialFailure::Refused),
            Sight::Foreign(&foreign_socket(), machine),
        ),
    ] {
        assert_eq!(seen(true, Found::Record(record.clone()), failure).sight(), local, "{record:?}");
        assert_eq!(seen(false, Found::Record(record.clone()), failure).sight(), shared, "{record:?}");
    }
    let namespace = Difference::Namespace;
    assert_eq!(seen(true, Found::Record(apart()), None).sight(), Sight::Apart(&apart(), namespace));
}

#[test]
fn a_server_that_answers_is_found_without_the_lock() {
    let dial = at!(look(true, Found::Record(here())), Dial);
    assert_eq!(dial.record(), &here());
    let live = at!(dial.clone().welcomed(WELCOME), Done);
    assert_eq!((live.verdict, live.held), (Verdict::Live(WELCOME), false));
    let no = at!(dial.failed(DialFailure::Unsupported(NO)), Done);
    assert_eq!((no.verdict, no.held), (Verdict::Incompatible(NO), false));
}

#[test]
fn a_record_of_other_programs_is_reported_without_dial_or_lock() {
    for (found, verdict) in
        [(Found::Newer { format: 9 }, Verdict::Newer(9)), (Found::OtherDialect, Verdict::OtherDialect)]
    {
        assert_eq!(at!(look(true, found.clone()), Done), Done { verdict, found, held: false });
    }
}

#[test]
fn a_point_without_a_record_is_judged_by_the_lock() {
    for (found, free, not_got) in [
        (Found::Absent, Verdict::Absent, Verdict::Absent),
        (Found::Empty, Verdict::Absent, Verdict::Between),
        (DAMAGED, Verdict::Malformed(Malformed::NoEnd), Verdict::Between),
    ] {
        let to = |lifetime| at!(locked(look(true, found.clone()), found.clone(), lifetime), Done);
        assert_eq!((to(Lifetime::Free).verdict, to(Lifetime::Free).held), (free, true), "{found:?}");
        assert_eq!(to(Lifetime::Held).verdict, Verdict::Between, "a server starts or drains: {found:?}");
        let not = at!(at!(look(true, found.clone()), Lock).not_got(), Done);
        assert_eq!((not.verdict, not.held), (not_got, false), "{found:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_judged_by_the_lock() {
    let found = Found::Record(here());
    let suspected = at!(look(true, found.clone()), Dial).failed(DialFailure::TimedOut);
    let to = |lifetime| at!(locked(suspected.clone(), found.clone(), lifetime), Done).verdict;
    assert_eq!(to(Lifetime::Held), Verdict::Unresponsive(DialFailure::TimedOut));
    assert_eq!(to(Lifetime::Free), Verdict::Gone { pid: 815 });
    assert_eq!(to(Lifetime::Absent), Verdict::Unknown(DialFailure::TimedOut));
    assert_eq!(to(Lifetime::CannotTell), Verdict::CannotTell);
    let not = at!(at!(suspected, Lock).not_got(), Done);
    assert_eq!((not.verdict, not.held), (Verdict::Unknown(DialFailure::TimedOut), false));
}

#[test]
fn a_record_of_another_boot_is_dialled_only_if_its_lock_is_held() {
    let found = Found::Record(rebooted());
    let to = |lifetime| locked(look(true, found.clone()), found.clone(), lifetime);
    assert_eq!(at!(to(Lifetime::Free), Done).verdict, Verdict::Gone { pid: 815 });
    let dial = at!(to(Lifetime::Held), Dial);
    assert!(Step::Dial(dial.clone()).holds_lock());
    assert_eq!(at!(dial.clone().welcomed(WELCOME), Done).verdict, Verdict::Live(WELCOME));
    let done = at!(dial.failed(DialFailure::Refused), Done);
    assert_eq!((done.verdict, done.held), (Verdict::Unresponsive(DialFailure::Refused), true));
}

#[test]
fn a_server_that_cannot_be_reached_from_here_is_not_dialled() {
    for (local, record, differs) in [
        (true, apart(), Difference::Namespace),
        (false, foreign(), Difference::Machine),
        (false, rebooted(), Difference::Boot),
    ] {
        let found = Found::Record(record);
        let kept_away = Verdict::ForeignScope { pid: 815, differs };
        let lock = at!(look(local, found.clone()), Lock);
        assert_eq!(at!(lock.not_got(), Done).verdict, kept_away);
        assert_eq!(at!(locked(look(local, found.clone()), found, Lifetime::Held), Done).verdict, kept_away);
    }
}

#[test]
fn a_point_that_changes_is_read_again_until_the_deadline() {
    let found = Found::Record(here());
    let suspected = at!(look(true, found), Dial).failed(DialFailure::Closed);
    let reread = at!(at!(suspected, Lock).got(), Reread);
    let again = reread.clone().found(Found::Empty, CONNECT - Duration::from_nanos(1));
    assert!(!again.holds_lock());
    assert_eq!(again, Step::new(place(true), CONNECT));
    let done = at!(reread.found(Found::Empty, CONNECT), Done);
    assert_eq!(
        (done.verdict, done.held),
        (Verdict::Unknown(DialFailure::Closed), false),
        "the lock shows nothing about the new content"
    );
}

/// Returns the steps after each possible answer to a step.
fn answers(step: &Step) -> Vec<Step> {
    const FAILURES: [DialFailure; 4] =
        [DialFailure::TimedOut, DialFailure::Refused, DialFailure::Unsupported(NO), DialFailure::TooNew];
    match step.clone() {
        Step::Read(s) => founds().map(|found| s.clone().found(found)).into(),
        Step::Dial(s) => {
            FAILURES.iter().map(|failure| s.clone().failed(*failure)).chain([s.clone().welcomed(WELCOME)]).collect()
        }
        Step::Lock(s) => vec![s.clone().got(), s.not_got()],
        Step::Reread(s) => {
            founds().iter().flat_map(|found| [SOON, CONNECT].map(|now| s.clone().found(found.clone(), now))).collect()
        }
        Step::Probe(s) => LIFETIMES.map(|lifetime| s.clone().answered(lifetime)).into(),
        Step::Done(_) => Vec::new(),
    }
}

#[test]
fn no_inspection_reports_more_than_it_observed() {
    for local in [true, false] {
        let mut open = vec![Step::new(place(local), CONNECT)];
        let mut known: HashSet<Step> = open.iter().cloned().collect();
        let mut ends = 0;
        while let Some(step) = open.pop() {
            if let Step::Dial(dial) = &step {
                let reach = place(local).reach(&dial.record().scope, &dial.record().address);
                assert_eq!(step.holds_lock(), reach == crate::proto::scope::Reach::Doubtful, "{step:?}");
            }
            if let Step::Done(Done { verdict, found, held }) = &step {
                ends += 1;
                let whole = matches!(found, Found::Record(_));
                match verdict {
                    Verdict::Unresponsive(_) => assert!(*held && whole, "{step:?}"),
                    Verdict::Gone { .. } => assert!(*held && whole, "only a free lock shows that: {step:?}"),
                    Verdict::Malformed(_) => assert!(*held && !whole, "{step:?}"),
                    Verdict::Live(_) | Verdict::Incompatible(_) | Verdict::Unknown(_) => assert!(whole, "{step:?}"),
                    Verdict::ForeignScope { .. } => assert!(whole, "{step:?}"),
                    Verdict::Absent => assert!(matches!(found, Found::Absent | Found::Empty), "{step:?}"),
                    Verdict::Newer(_) | Verdict::OtherDialect => assert!(!held && !whole, "{step:?}"),
                    Verdict::CannotTell => assert!(held, "{step:?}"),
                    Verdict::Between => {}
                }
            }
            for next in answers(&step) {
                if known.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        assert!(ends > 30, "{ends} ends were seen");
    }
}
