//! Tests of the dialect's two machines: one path a test, and in `world` both together, with their steps in every order,
//! killed processes and a damaged point.

mod world;

use core::num::NonZeroU16;

use super::connect::{self, Class, DialFailure, Done, Goal, Holds, Introduced, Policy, Step, class};
use super::record::{Found, Record};
use super::serve::{self, Starter, checked, may_withdraw};
use crate::proto::child::Why;
use crate::proto::cookie::Cookie;
use crate::proto::handshake::{Answer, Verdict};
use crate::proto::lock::Tried;
use crate::proto::random::Random;
use crate::proto::record::Malformed;
use crate::proto::serving::{self, Checked};

const EXTERNAL: Goal = Goal::Connect(Policy::External);
const INTERNAL: Goal = Goal::Connect(Policy::Internal);
const ROBUST: Goal = Goal::Connect(Policy::Robust);
const SPAWNING: [Goal; 2] = [EXTERNAL, ROBUST];
const GOALS: [Goal; 5] = [EXTERNAL, ROBUST, INTERNAL, Goal::Serve, Goal::Join];

const NOTHING: Holds = Holds { lock: false, port: false, child: false };
const POINT: Holds = Holds { lock: true, ..NOTHING };
const PORT: Holds = Holds { port: true, ..POINT };
const CHILD: Holds = Holds { child: true, ..POINT };

/// Follows a path, one step a line: its name, what is held there, and the method that returns the next step.
macro_rules! path {
    ($first:expr; $($variant:ident $holds:ident => $answer:ident($($with:expr),*);)*) => {{
        let step: Step = $first;
        $(
            assert_eq!(step.holds(), $holds, "at {}", step.name());
            let Step::$variant(question) = step else { panic!("{} and not {}", step.name(), stringify!($variant)) };
            let step = question.$answer($($with),*);
        )*
        step
    }};
}

fn cookie(number: u8) -> Cookie {
    Cookie::new([number; 32])
}

/// Returns the random bytes from which the cookie is made.
fn drawn(number: u8) -> Random {
    Random::drawn([number; 32])
}

/// Returns the record of the server of this number.
fn record(number: u8) -> Record {
    Record { cookie: cookie(number), port: NonZeroU16::new(number.into()).unwrap() }
}

fn found(number: u8) -> Found {
    Found::Record(record(number))
}

/// Returns every content of a point without a server to dial.
fn undialable() -> [Found; 3] {
    [Found::Absent, Found::Empty, Found::Malformed(Malformed::NoEnd)]
}

/// Returns the step after the point is locked and read.
fn reading(goal: Goal, found: Found) -> Step {
    path! { Step::new(goal); Lock NOTHING => tried(Tried::Locked); Read POINT => found(found); }
}

/// Starts the child of this number.
fn started(clear: Step, number: u8) -> Step {
    path! { clear;
        Clear POINT => cleared(drawn(number));
        Introduce POINT => introduced(record(number));
        Spawn PORT => spawned();
    }
}

/// Starts and registers the child of this number, which then dies.
fn registered_and_gone(clear: Step, number: u8) -> Step {
    path! { started(clear, number);
        Await CHILD => received();
        Write CHILD => written();
        Dial POINT => failed(DialFailure::Refused);
    }
}

#[test]
fn a_dialect_client_sends_the_cookie_under_the_point_lock() {
    for goal in [EXTERNAL, ROBUST, INTERNAL, Goal::Join] {
        let done = path! { reading(goal, found(1));
            Dial POINT => connected();
            SendCookie POINT => sent();
            Unlock POINT => unlocked();
        };
        assert_eq!((done.holds(), done), (NOTHING, Step::Done(Done::Connected(record(1)))));
    }
}

#[test]
fn a_sequoia_server_gets_its_cookie_first_and_is_registered_then() {
    for goal in SPAWNING {
        for found in undialable() {
            let introduce = path! { reading(goal, found); Clear POINT => cleared(drawn(7)); };
            let Step::Introduce(question) = &introduce else { panic!("{}", introduce.name()) };
            assert_eq!(question.cookie(), &cookie(7));
            let write = path! { introduce;
                Introduce POINT => introduced(record(7));
                Spawn PORT => spawned();
                Await CHILD => received();
            };
            let Step::Write(question) = &write else { panic!("{}", write.name()) };
            assert_eq!(question.record(), &record(7));
            let sending = path! { write; Write CHILD => written(); Dial POINT => connected(); };
            let done = path! { sending; SendCookie POINT => sent(); Unlock POINT => unlocked(); };
            assert_eq!(done, Step::Done(Done::Connected(record(7))));
        }
    }
}

#[test]
fn only_refused_and_reset_mean_that_a_server_of_the_dialect_is_dead() {
    let no = Answer { verdict: Verdict::VersionUnsupported, protocol: 9, service: 9 };
    for (failure, expected) in [
        (DialFailure::Refused, Class::Dead),
        (DialFailure::Closed, Class::Dead),
        (DialFailure::SelfConnect, Class::Dead),
        (DialFailure::NotWritable, Class::Unknown),
        (DialFailure::TimedOut, Class::Unknown),
        (DialFailure::NotAdmitted, Class::Unknown),
        (DialFailure::InvalidReply, Class::Unknown),
        (DialFailure::Impostor, Class::Unknown),
        (DialFailure::Unsupported(no), Class::Unknown),
        (DialFailure::TooNew, Class::Unknown),
        (DialFailure::TooOld, Class::Unknown),
        (DialFailure::Local, Class::Local),
    ] {
        assert_eq!(class(failure), expected, "{failure:?}");
        let dial = reading(EXTERNAL, found(1));
        let sending = path! { dial.clone(); Dial POINT => connected(); };
        for step in
            [path! { dial; Dial POINT => failed(failure); }, path! { sending; SendCookie POINT => failed(failure); }]
        {
            match expected {
                Class::Dead => assert_eq!(step.name(), "Clear"),
                Class::Local => {
                    assert_eq!(path! { step; Unlock POINT => unlocked(); }, Step::Done(Done::Trouble));
                }
                Class::Unknown => {
                    let backoff = path! { step; Unlock POINT => unlocked(); };
                    assert!(matches!(&backoff, Step::Backoff(question) if question.is_silent()));
                    assert_eq!(path! { backoff; Backoff NOTHING => elapsed(); }, Step::new(EXTERNAL));
                }
            }
        }
    }
}

#[test]
fn a_busy_point_is_tried_again_and_is_not_a_silent_server() {
    for goal in GOALS {
        for tried in [Tried::Busy, Tried::Elsewhere] {
            let backoff = path! { Step::new(goal); Lock NOTHING => tried(tried); };
            assert!(matches!(&backoff, Step::Backoff(question) if !question.is_silent()));
            assert_eq!(path! { backoff; Backoff NOTHING => elapsed(); }, Step::new(goal));
        }
        assert_eq!(path! { Step::new(goal); Lock NOTHING => tried(Tried::Failed); }, Step::Done(Done::Trouble));
    }
}

#[test]
fn only_a_closed_first_connection_shows_that_a_child_has_its_cookie() {
    for (introduced, failure) in [
        (Introduced::Closed, None),
        (Introduced::Sent(7), Some(Why::Nonsense { bytes: 7 })),
        (Introduced::Broken, Some(Why::Exited)),
        (Introduced::Exited, Some(Why::Exited)),
        (Introduced::Overdue, Some(Why::Overdue)),
    ] {
        assert_eq!(introduced.failure(), failure);
    }
}

#[test]
fn a_point_of_the_native_dialect_is_left_alone() {
    for goal in [EXTERNAL, ROBUST, Goal::Serve, Goal::Join] {
        let done = path! { reading(goal, Found::OtherDialect); Unlock POINT => unlocked(); };
        assert_eq!(done, Step::Done(Done::OtherDialect));
    }
}

#[test]
fn an_internal_connect_creates_and_clears_nothing() {
    let Step::Lock(lock) = Step::new(INTERNAL) else { panic!() };
    assert!(!lock.creates());
    assert_eq!(lock.tried(Tried::Absent), Step::Done(Done::Internal));
    let [absent, empty, malformed] = undialable();
    for found in [absent, empty, malformed, Found::OtherDialect] {
        assert_eq!(path! { reading(INTERNAL, found); Unlock POINT => unlocked(); }, Step::Done(Done::Internal));
    }
    for failure in [DialFailure::Refused, DialFailure::TimedOut] {
        let unlock = path! { reading(INTERNAL, found(1)); Dial POINT => failed(failure); };
        assert_eq!(path! { unlock; Unlock POINT => unlocked(); }, Step::Done(Done::Internal));
    }
    for goal in [EXTERNAL, ROBUST, Goal::Serve] {
        let Step::Lock(lock) = Step::new(goal) else { panic!() };
        assert!(lock.creates());
    }
}

#[test]
fn a_join_of_the_dialect_creates_and_clears_nothing() {
    let Step::Lock(lock) = Step::new(Goal::Join) else { panic!() };
    assert!(!lock.creates());
    assert_eq!(lock.tried(Tried::Absent), Step::Done(Done::Absent));
    for found in undialable() {
        let done = path! { reading(Goal::Join, found); Unlock POINT => unlocked(); };
        assert_eq!((done.holds(), done), (NOTHING, Step::Done(Done::Absent)));
    }
    let dead = path! { reading(Goal::Join, found(1)); Dial POINT => failed(DialFailure::Refused); };
    assert_eq!(path! { dead; Unlock POINT => unlocked(); }, Step::Done(Done::Absent));
    let silent = path! { reading(Goal::Join, found(1)); Dial POINT => failed(DialFailure::TimedOut); };
    let again = path! { silent; Unlock POINT => unlocked(); Backoff NOTHING => elapsed(); };
    assert_eq!(again, Step::new(Goal::Join), "its server may be alive");
}

#[test]
fn a_start_that_fails_is_an_error_for_external_and_a_thread_for_robust() {
    for (goal, done) in [(EXTERNAL, Done::Failed), (ROBUST, Done::Internal)] {
        let clear = reading(goal, Found::Empty);
        let child = path! { started(clear.clone(), 7); Await CHILD => failed(); Kill CHILD => killed(); };
        let introduced = path! { clear.clone(); Clear POINT => cleared(drawn(7)); };
        let spawn = path! { introduced; Introduce POINT => introduced(record(7)); Spawn PORT => cannot_execute(); };
        let mut spent = clear;
        for number in 1..=3 {
            spent = registered_and_gone(spent, number);
        }
        for step in [child, spawn, spent] {
            assert_eq!(path! { step; Unlock POINT => unlocked(); }, Step::Done(done.clone()));
        }
    }
}

#[test]
fn a_sequoia_server_by_hand_starts_if_no_process_listens() {
    for found in undialable() {
        let start = path! { reading(Goal::Serve, found); Clear POINT => cleared(drawn(1)); };
        assert_eq!((start.holds(), start), (POINT, Step::Done(Done::Start)));
    }
    let dead = path! { reading(Goal::Serve, found(1)); Dial POINT => failed(DialFailure::Refused); };
    assert_eq!(dead.name(), "Clear");
    let live = path! { reading(Goal::Serve, found(1)); Dial POINT => connected(); Unlock POINT => unlocked(); };
    assert_eq!(live, Step::Done(Done::Live(record(1))));
}

#[test]
fn a_connect_of_the_dialect_with_too_little_time_starts_nothing() {
    for goal in [EXTERNAL, ROBUST, Goal::Serve] {
        let done = path! { reading(goal, Found::Empty); Clear POINT => too_late(); Unlock POINT => unlocked(); };
        assert_eq!(done, Step::Done(Done::TooLate));
    }
}

/// As `path`, for the start of a server; holds only the point lock.
macro_rules! starting {
    ($first:expr; $($variant:ident $locked:literal => $answer:ident($($with:expr),*);)*) => {{
        let step: serve::Step = $first;
        $(
            assert_eq!(step.holds_lock(), $locked, "at {}", step.name());
            let serve::Step::$variant(question) = step else { panic!("{} and not {}", step.name(), stringify!($variant)) };
            let step = question.$answer($($with),*);
        )*
        step
    }};
}

/// Returns the serving machine's step after the start, with the point unlocked.
fn unlocked(step: serve::Step) -> serving::Step {
    match step {
        serve::Step::Serving(serving::Step::Unlock(question)) => question.unlocked(),
        serve::Step::Serving(step) => step,
        step => panic!("still at {}", step.name()),
    }
}

#[test]
fn a_sequoia_server_without_a_cookie_or_a_handler_ends() {
    let client = || serve::Step::new(Starter::Client);
    let no_cookie = starting! { client(); ReceiveCookie false => no_cookie(); };
    assert_eq!(unlocked(no_cookie), serving::Step::Done(serving::Done::NoCookie));
    let hand = || serve::Step::new(Starter::Hand);
    for failed in [
        starting! { client(); ReceiveCookie false => received(); Build false => failed(); },
        starting! { hand(); Build true => failed(); },
        starting! { hand(); Build true => built(); Listen true => failed(); },
    ] {
        let serving::Step::Release(release) = unlocked(failed) else { panic!("only the point lock was held") };
        assert_eq!(release.released(), serving::Step::Done(serving::Done::Failed));
    }
}

#[test]
fn a_sequoia_server_serves_after_it_got_its_cookie_or_wrote_its_record() {
    let received = starting! { serve::Step::new(Starter::Client);
        ReceiveCookie false => received(); Build false => built(); Ready false => closed();
    };
    let wrote = starting! { serve::Step::new(Starter::Hand);
        Build true => built(); Listen true => listening(); Write true => written();
    };
    assert!(wrote.holds_lock() && !received.holds_lock());
    for step in [received, wrote] {
        assert_eq!(unlocked(step).name(), "Serve");
    }
}

#[test]
fn a_sequoia_server_restores_damage_and_ends_beside_another_record() {
    for found in undialable() {
        assert_eq!(checked(&found, &record(1)), Checked::Damaged);
        assert!(!may_withdraw(&found, &record(1)));
    }
    assert_eq!(checked(&found(1), &record(1)), Checked::Mine);
    assert!(may_withdraw(&found(1), &record(1)));
    let other_port = Found::Record(Record { port: record(2).port, ..record(1) });
    for other in [found(2), other_port, Found::OtherDialect] {
        assert_eq!(checked(&other, &record(1)), Checked::Lost);
        assert!(!may_withdraw(&other, &record(1)));
    }
}

#[test]
fn each_step_of_the_dialect_has_a_name_of_its_own() {
    let sending = path! { reading(EXTERNAL, found(1)); Dial POINT => connected(); };
    assert_eq!(sending.name(), "SendCookie");
    let connect::Step::SendCookie(question) = &sending else { panic!() };
    assert_eq!(question.record(), &record(1));
    let connect::Step::Dial(question) = reading(EXTERNAL, found(2)) else { panic!() };
    assert_eq!(question.record(), &record(2));
}

#[test]
fn each_step_of_the_dialect_says_what_it_waits_for() {
    use crate::proto::waiting::{Kind, Seen};
    let answer = Seen::waits(Kind::Answer, None);
    let seen = |step: &Step| step.seen(Some(7));
    let dial = reading(EXTERNAL, found(1));
    let sending = path! { dial.clone(); Dial POINT => connected(); };
    let unlock = path! { dial.clone(); Dial POINT => failed(DialFailure::TimedOut); };
    let silent = path! { unlock.clone(); Unlock POINT => unlocked(); };
    assert_eq!([&dial, &sending, &silent].map(seen), [answer; 3]);
    let lock = Step::new(EXTERNAL);
    let busy = path! { lock.clone(); Lock NOTHING => tried(Tried::Busy); };
    let read = path! { lock.clone(); Lock NOTHING => tried(Tried::Locked); };
    assert_eq!([&busy, &read].map(seen), [Seen::waits(Kind::PointLock, None), Seen::Locked]);
    let clear = path! { read; Read POINT => found(Found::Empty); };
    let introduce = path! { clear.clone(); Clear POINT => cleared(drawn(7)); };
    let spawn = path! { introduce.clone(); Introduce POINT => introduced(record(7)); };
    let awaits = path! { spawn.clone(); Spawn PORT => spawned(); };
    assert_eq!(
        (spawn.seen(None), awaits.seen(Some(7))),
        (Seen::waits(Kind::Start, None), Seen::waits(Kind::Start, Some(7)))
    );
    let write = path! { awaits.clone(); Await CHILD => received(); };
    assert_eq!([&lock, &unlock, &clear, &introduce, &write].map(seen), [Seen::Nothing; 5]);
}
