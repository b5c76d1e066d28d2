//! Tests of the client's machine: its two tables, each guarantee by itself, and in `walk` every reachable step, with
//! and without faults.

mod walk;

use super::verdict::{Age, about};
use super::*;
use crate::proto::handshake::{Admission, Answer, Intent, Party, Rejected};
use crate::proto::identity::Identity;
use crate::proto::lock::Tried;
use crate::proto::random::Random;
use crate::proto::record::Malformed;
use crate::proto::record::tests::sample;
use crate::proto::scope::Scope;

const NOTHING: Holds = Holds { lock: false, child: false, record: false };
const POINT: Holds = Holds { lock: true, ..NOTHING };
const CHILD: Holds = Holds { child: true, ..POINT };
const WHOLE: Holds = Holds { record: true, ..CHILD };

const EXTERNAL: Goal = Goal::Connect(Policy::External);
const INTERNAL: Goal = Goal::Connect(Policy::Internal);
const ROBUST: Goal = Goal::Connect(Policy::Robust);
const SPAWNING: [Goal; 2] = [EXTERNAL, ROBUST];
const LOCKING: [Goal; 5] = [EXTERNAL, ROBUST, Goal::Serve, Goal::Retire, Goal::Join];
const GOALS: [Goal; 6] = [EXTERNAL, ROBUST, Goal::Serve, Goal::Retire, Goal::Join, INTERNAL];
const LIFETIMES: [Lifetime; 4] = [Lifetime::Held, Lifetime::Free, Lifetime::CannotTell, Lifetime::Absent];

const NONCE: Random = Random::drawn([5; 32]);
const NO: Answer = Answer { verdict: handshake::Verdict::VersionUnsupported, protocol: 9, service: 9 };
const WELCOMED: handshake::Welcome = handshake::Welcome { service: 1, clients: 1, ..handshake::Welcome::unknown(815) };
const TAG: Tag = Tag::NONE;
const SUSPICIONS: [DialFailure; 8] = [
    DialFailure::Refused,
    DialFailure::NotWritable,
    DialFailure::SelfConnect,
    DialFailure::TimedOut,
    DialFailure::Closed,
    DialFailure::NotAdmitted,
    DialFailure::InvalidReply,
    DialFailure::Impostor,
];

/// Follows a path, one step a line: its name, what is held there, and the method that returns the next step.
macro_rules! path {
    ($first:expr; $($variant:ident $holds:ident => $answer:ident($($with:expr),*);)*) => {{
        let step: Step = $first;
        $(
            assert_eq!(step.holds(), $holds, "at {}", step.name());
            let step = at!(step, $variant).$answer($($with),*);
        )*
        step
    }};
}

/// Unwraps a step of the expected kind.
macro_rules! at {
    ($step:expr, $variant:ident) => {
        match $step {
            Step::$variant(question) => question,
            other => panic!("{} and not {}", other.name(), stringify!($variant)),
        }
    };
}

// Below the macros, which it uses.
mod waiting;

fn here() -> Scope {
    sample().scope
}

/// Returns a place whose home is shared with other machines.
const fn shared(scope: Scope) -> Place {
    Place { scope, local: false }
}

fn local() -> Place {
    Place { scope: here(), local: true }
}

/// Returns the first step of a client at this place.
fn first(goal: Goal, place: Place, versions: Versions) -> Step {
    Step::Read(at!(Step::new(goal, versions), Read).at(place))
}

fn cookie(number: u8) -> Cookie {
    Cookie::new([number; 32])
}

/// Returns the random bytes from which the cookie is made.
fn drawn(number: u8) -> Random {
    Random::drawn([number; 32])
}

/// Returns the record of the server of this number, at this place.
fn record(number: u8) -> Record {
    Record { cookie: cookie(number), pid: number.into(), ..sample() }
}

fn found(number: u8) -> Found {
    Found::Record(record(number))
}

/// Returns everything that is not dialled: absent, empty, malformed, newer, of another dialect, machine, namespace,
/// boot.
fn undialable() -> [Found; 8] {
    let of = |scope| Found::Record(Record { scope, ..record(1) });
    let machine = of(Scope { boot: [9; 16], machine: Some([9; 16]), ..here() });
    let (namespace, boot) = (of(Scope { namespace: 1, ..here() }), of(Scope { boot: [9; 16], ..here() }));
    let (malformed, newer) = (Found::Malformed(Malformed::Checksum), Found::Newer { format: 2 });
    [Found::Absent, Found::Empty, malformed, newer, Found::OtherDialect, machine, namespace, boot]
}

/// Returns the dial of record 1 without the lock.
fn dialling(goal: Goal) -> Step {
    path! { first(goal, shared(here()), Versions::ANY); Read NOTHING => found(found(1)); }
}

/// Returns the step after the lock is taken, when a dial of record 1 has failed.
fn suspecting(goal: Goal) -> Step {
    path! { dialling(goal); Dial NOTHING => failed(DialFailure::Refused); Lock NOTHING => tried(Tried::Locked); }
}

/// Continues [`suspecting`] with an empty point and no live server.
fn clearing(goal: Goal) -> Step {
    path! { suspecting(goal); Reread POINT => found(Found::Empty); Probe POINT => answered(Lifetime::Free); }
}

/// Starts a child with the cookie of this number.
fn awaiting(clear: Step, number: u8) -> Step {
    path! { clear; Clear POINT => cleared(drawn(number)); Spawn POINT => spawned(); }
}

/// Registers the child of this number, up to its dial.
fn registered(clear: Step, number: u8) -> Step {
    path! { awaiting(clear, number);
        Await CHILD => ready(record(number));
        Verify CHILD => answered(Lifetime::Held);
        Write CHILD => written();
        Confirm WHOLE => confirmed();
    }
}

/// Unlocks, backs off, and reads `found`.
fn back(unlock: Step, found: Found) -> Step {
    path! { unlock; Unlock POINT => unlocked(); Backoff NOTHING => elapsed(); Read NOTHING => found(found); }
}

/// Returns the second dial of record 1, after its lifetime lock was held.
fn dialling_again(goal: Goal) -> Step {
    let unlock = path! { suspecting(goal); Reread POINT => found(found(1)); Probe POINT => answered(Lifetime::Held); };
    back(unlock, found(1))
}

/// Registers three children, each of which dies before its dial.
fn spent(goal: Goal) -> Step {
    [7, 8, 9].into_iter().fold(clearing(goal), |clear, number| {
        let probe = path! { registered(clear, number); Dial POINT => failed(DialFailure::Refused); };
        path! { probe; Probe POINT => answered(Lifetime::Free); }
    })
}

/// Returns one side of a handshake: both see the same point.
fn party() -> Party {
    Party { service: 1, ..Party::at(Identity::of(9, 1, b"point")) }
}

/// Returns the server's state after this hello.
fn hello_received(hello: &[u8; handshake::HELLO]) -> handshake::Prove {
    handshake::Prove::hello(hello, party(), Random::drawn([6; 32])).unwrap()
}

/// Returns the proof that a record's server sends for a goal.
fn server_proof(goal: Goal, record: &Record) -> [u8; handshake::SERVER_PROOF] {
    hello_received(&handshake::Hello::new(goal.intent(), party(), NONCE).to_bytes()).to_bytes(record)
}

/// Returns the four steps of a dial without failures.
fn questions(goal: Goal, dial: Step) -> [Step; 4] {
    let hello = at!(dial.clone(), Dial).connected(party(), NONCE);
    let prove = at!(hello.clone(), Hello).sent();
    let question = at!(prove.clone(), Prove);
    let proof = question.judge(&server_proof(goal, question.record())).unwrap();
    [dial, hello, prove, question.proved(proof)]
}

/// Fails a step of a dial.
fn failed(step: Step, failure: DialFailure) -> Step {
    match step {
        Step::Dial(question) => question.failed(failure),
        Step::Hello(question) => question.failed(failure),
        Step::Prove(question) => question.failed(failure),
        Step::Welcome(question) => question.failed(failure),
        other => panic!("{} is not a step of a dial", other.name()),
    }
}

// The two tables.

#[derive(Clone, Copy, PartialEq, Debug)]
enum Cell {
    Start,
    BackOff,
    DialHolding,
    DialAgain,
    Wait,
    Error(Refusal),
}

fn cell(probe: &Step, lifetime: Lifetime) -> Cell {
    match path! { probe.clone(); Probe POINT => answered(lifetime); } {
        Step::Clear(_) => Cell::Start,
        Step::Dial(dial) => {
            assert_eq!(dial.dialing.how, DialMode::Holding);
            Cell::DialHolding
        }
        unlock => match path! { unlock; Unlock POINT => unlocked(); } {
            Step::Backoff(backoff) if backoff.suspects().is_some() => Cell::DialAgain,
            Step::Backoff(_) => Cell::BackOff,
            Step::Wait(_) => Cell::Wait,
            Step::Done(Done::Refused(refusal)) => Cell::Error(refusal),
            // *Retire* and *Join* end where another goal starts a server.
            Step::Done(Done::Absent) => Cell::Start,
            other => panic!("{}", other.name()),
        },
    }
}

#[test]
fn every_cell_of_the_table_of_record_and_lifetime_lock() {
    use Cell::*;
    let (no_idea, incompatible) = (Error(Refusal::CannotTell), Error(Refusal::Incompatible));
    let (dialect, foreign) = (Error(Refusal::OtherDialect), Error(Refusal::ForeignScope));
    let [absent, empty, malformed, newer, other, machine, namespace, boot] = undialable();
    let suspected = [DialAgain, Start, no_idea, Wait];
    let table = [
        // The record, then the decision for each lifetime lock: held, free, cannot tell, absent.
        (absent, [BackOff, Start, no_idea, Start]),
        (empty, [BackOff, Start, no_idea, Start]),
        (malformed, [BackOff, Start, no_idea, Start]),
        (newer, [incompatible, Start, no_idea, Wait]),
        (other, [dialect, dialect, dialect, dialect]),
        (machine.clone(), [BackOff, foreign, foreign, foreign]),
        (namespace.clone(), [BackOff, Start, no_idea, Wait]),
        (boot.clone(), [BackOff, Start, no_idea, Wait]),
        (found(1), suspected),
    ];
    // If the locks are this kernel's alone, another boot identifier may name this boot.
    let doubtful = [DialHolding, Start, no_idea, Start];
    for goal in LOCKING {
        for (found, cells) in [(&machine, doubtful), (&boot, doubtful), (&namespace, [BackOff, Start, no_idea, Wait])] {
            let lock = path! { first(goal, local(), Versions::ANY); Read NOTHING => found(found.clone()); };
            let probe = path! { lock; Lock NOTHING => tried(Tried::Locked); Reread POINT => found(found.clone()); };
            assert_eq!(LIFETIMES.map(|lifetime| cell(&probe, lifetime)), cells, "{found:?} for {goal:?}");
        }
    }
    for goal in LOCKING {
        for (found, cells) in &table {
            let probe = path! { suspecting(goal); Reread POINT => found(found.clone()); };
            assert_eq!(LIFETIMES.map(|lifetime| cell(&probe, lifetime)), *cells, "{found:?} for {goal:?}");
        }
        // A valid record that is not the suspect is dialled first, regardless of the lifetime lock.
        let probe =
            path! { suspecting(goal); Reread POINT => found(found(2)); Dial POINT => failed(DialFailure::TimedOut); };
        assert_eq!(LIFETIMES.map(|lifetime| cell(&probe, lifetime)), suspected, "{goal:?}");
    }
}

#[test]
fn every_row_of_the_table_of_dial_outcomes() {
    let free = GOALS.map(|goal| (goal, dialling(goal)));
    let again = LOCKING.map(|goal| (goal, dialling_again(goal)));
    let holding = LOCKING.map(|goal| (goal, path! { suspecting(goal); Reread POINT => found(found(2)); }));
    for (goal, dial) in free.into_iter().chain(again).chain(holding) {
        let held = dial.holds();
        for question in questions(goal, dial) {
            let failed_with = |failure| failed(question.clone(), failure);
            let record = question.facts().dialled.unwrap().clone();
            for (failure, done) in [
                (DialFailure::Local, Done::Trouble),
                (DialFailure::Unsupported(NO), Done::Unsupported(NO)),
                (DialFailure::TooNew, Done::TooNew(record.clone())),
                (DialFailure::OtherProtocol(TAG), Done::OtherProtocol(record.clone(), TAG)),
                (DialFailure::TurnedAway(3), Done::TurnedAway(record.clone(), 3)),
            ] {
                let end =
                    if held == POINT { at!(failed_with(failure), Unlock).unlocked() } else { failed_with(failure) };
                assert_eq!(end, Step::Done(done), "{goal:?}");
            }
            let full = failed_with(DialFailure::Full(3));
            let full = if held == POINT { at!(full, Unlock).unlocked() } else { full };
            assert_eq!(at!(full, Backoff).suspects(), Some(&record), "{goal:?} dials it again, without the lock");
            for failure in SUSPICIONS {
                match failed_with(failure) {
                    Step::Probe(probe) => assert_eq!((probe.row(), held), (Row::Suspected, POINT), "{failure:?}"),
                    Step::Lock(_) => assert!(held == NOTHING && goal != INTERNAL, "{failure:?} for {goal:?}"),
                    other => assert_eq!((goal, other), (INTERNAL, Step::Done(Done::Internal)), "{failure:?}"),
                }
            }
        }
    }
}

#[test]
fn a_peer_without_the_cookie_is_an_impostor() {
    let [_, _, prove, welcome] = questions(EXTERNAL, dialling(EXTERNAL));
    assert_eq!(at!(prove, Prove).judge(&server_proof(EXTERNAL, &record(2))), Err(DialFailure::Impostor));
    let welcome = at!(welcome, Welcome);
    assert_eq!(welcome.judge(&[0; handshake::WELCOME]), Err(DialFailure::InvalidReply));
    assert_eq!(DialFailure::from(Rejected::InvalidReply), DialFailure::InvalidReply);
    assert_eq!(DialFailure::from(Rejected::Unsupported(NO)), DialFailure::Unsupported(NO));
    assert_eq!(DialFailure::from(Rejected::OtherProtocol(TAG)), DialFailure::OtherProtocol(TAG));
    assert_eq!(DialFailure::from(Rejected::Full(3)), DialFailure::Full(3));
    assert_eq!(DialFailure::from(Rejected::TurnedAway(3)), DialFailure::TurnedAway(3));
}

#[test]
fn a_server_of_another_boot_is_dialled_once_its_lifetime_lock_is_held() {
    let theirs = Record { scope: Scope { boot: [9; 16], machine: None, ..here() }, ..record(1) };
    for goal in LOCKING {
        let lock = path! { first(goal, local(), Versions::ANY); Read NOTHING => found(Found::Record(theirs.clone())); };
        let probe =
            path! { lock; Lock NOTHING => tried(Tried::Locked); Reread POINT => found(Found::Record(theirs.clone())); };
        let dial = path! { probe; Probe POINT => answered(Lifetime::Held); };
        assert_eq!(at!(dial.clone(), Dial).record(), &theirs);
        // After the dial it is a suspect like any other.
        let probe = path! { dial; Dial POINT => failed(DialFailure::TimedOut); };
        assert_eq!(at!(probe.clone(), Probe).row(), Row::Suspected);
        assert_eq!(cell(&probe, Lifetime::Held), Cell::DialAgain);
    }
}

#[test]
fn the_machine_waits_once_for_a_life_file_beside_a_whole_record() {
    for goal in LOCKING {
        let probe = path! { suspecting(goal); Reread POINT => found(found(1)); };
        let absent = path! { probe; Probe POINT => answered(Lifetime::Absent); Unlock POINT => unlocked(); };
        let read = path! { absent; Wait NOTHING => elapsed(); };
        // The suspect may live: it is dialled once more.
        let lock = path! { read; Read NOTHING => found(found(1)); Dial NOTHING => failed(DialFailure::Refused); };
        let probe = path! { lock; Lock NOTHING => tried(Tried::Locked); Reread POINT => found(found(1)); };
        assert_eq!(cell(&probe, Lifetime::Absent), Cell::Start, "no server makes it again");
        // A held life file ends the wait: if it is absent later, the client waits again.
        let unlock = path! { probe.clone(); Probe POINT => answered(Lifetime::Held); };
        let lock = path! { back(unlock, found(1)); Dial NOTHING => failed(DialFailure::Refused); Lock NOTHING => tried(Tried::Locked); };
        let probe = path! { lock; Reread POINT => found(found(1)); };
        assert_eq!(cell(&probe, Lifetime::Absent), Cell::Wait, "{goal:?}");
    }
}

#[test]
fn a_server_at_a_socket_is_dialled_wherever_it_was_started() {
    for scope in [Scope { boot: [9; 16], ..here() }, Scope { namespace: 1, ..here() }, Scope { namespace: 0, ..here() }]
    {
        let address = "unix:00112233aabbccdd".parse().unwrap();
        let theirs = Record { scope, address, ..record(1) };
        for (goal, place) in GOALS.iter().flat_map(|goal| [(*goal, local()), (*goal, shared(here()))]) {
            let first = first(goal, place, Versions::ANY);
            assert_eq!(path! { first; Read NOTHING => found(Found::Record(theirs.clone())); }.name(), "Dial");
        }
        for goal in GOALS {
            let Step::Read(read) = Step::new(goal, Versions::ANY) else { panic!() };
            let theirs = Found::Record(theirs.clone());
            assert!(!read.needs_place(&theirs));
            assert_eq!(read.found(theirs).name(), "Dial");
        }
    }
}

#[test]
fn a_server_at_a_port_is_dialled_from_a_place_that_is_known() {
    for goal in GOALS {
        let unknown = || match Step::new(goal, Versions::ANY) {
            Step::Read(read) => read,
            _ => panic!(),
        };
        assert!(unknown().needs_place(&found(1)));
        assert_eq!(unknown().at(local()).found(found(1)).name(), "Dial");
        assert_ne!(unknown().found(found(1)).name(), "Dial", "{goal:?}: the port may be another program's");
        for nothing in [Found::Absent, Found::Empty] {
            assert!(!unknown().needs_place(&nothing));
        }
    }
    // The place that was looked up under the lock decides there.
    let lock = path! { Step::new(EXTERNAL, Versions::ANY); Read NOTHING => found(Found::Empty); };
    let Step::Reread(reread) = (path! { lock; Lock NOTHING => tried(Tried::Locked); }) else { panic!() };
    assert_eq!(reread.clone().at(local()).found(found(1)).name(), "Dial");
    assert_eq!(reread.found(found(1)).name(), "Probe");
}

#[test]
fn another_machines_server_is_never_dead_where_a_home_may_be_shared() {
    let address = "unix:00112233aabbccdd".parse().unwrap();
    let scope = Scope { boot: [9; 16], machine: Some([9; 16]), ..here() };
    let theirs = Found::Record(Record { scope, address, ..record(1) });
    for goal in LOCKING {
        let dial = path! { first(goal, shared(here()), Versions::ANY); Read NOTHING => found(theirs.clone()); };
        let probe = path! { dial; Dial NOTHING => failed(DialFailure::Refused); Lock NOTHING => tried(Tried::Locked); };
        let probe = path! { probe; Reread POINT => found(theirs.clone()); };
        assert_eq!(cell(&probe, Lifetime::Free), Cell::Error(Refusal::ForeignScope));
        assert_eq!(cell(&probe, Lifetime::Held), Cell::BackOff);
    }
}

// Joining a server.

#[test]
fn a_registered_server_is_joined_without_the_lock() {
    for goal in GOALS {
        let questions = questions(goal, dialling(goal));
        assert_eq!(questions.each_ref().map(Step::holds), [NOTHING; 4]);
        let [.., welcome] = questions;
        assert_eq!(at!(welcome, Welcome).welcomed(WELCOMED), Step::Done(Done::Welcomed(record(1), WELCOMED)));
    }
}

#[test]
fn a_server_registered_meanwhile_is_joined_under_the_lock() {
    for goal in LOCKING {
        let questions = questions(goal, path! { suspecting(goal); Reread POINT => found(found(2)); });
        assert_eq!(questions.each_ref().map(Step::holds), [POINT; 4]);
        let [.., welcome] = questions;
        let done = path! { welcome; Welcome POINT => welcomed(WELCOMED); Unlock POINT => unlocked(); };
        assert_eq!(done, Step::Done(Done::Welcomed(record(2), WELCOMED)));
    }
}

#[test]
fn a_client_sends_its_intent_and_proves_that_it_knows_the_cookie() {
    let intents = [Intent::Connect, Intent::Connect, Intent::Status, Intent::Retire, Intent::Connect];
    for (goal, intent) in GOALS.into_iter().zip(intents) {
        let [_, hello, _, welcome] = questions(goal, dialling(goal));
        let server = hello_received(&at!(hello, Hello).message());
        let welcome = at!(welcome, Welcome);
        let asked = server.judge(&record(1), &welcome.message()).unwrap();
        assert_eq!(asked.intent, intent);
        let reply = |admission| welcome.judge(&asked.reply(&record(1), admission, WELCOMED));
        assert_eq!(reply(Admission::Welcome), Ok(WELCOMED));
        assert_eq!(reply(Admission::Full), Err(DialFailure::Full(1)));
    }
}

#[test]
fn a_record_that_cannot_be_dialled_leads_to_the_lock() {
    for found in undialable() {
        for goal in LOCKING {
            assert_eq!(
                path! { first(goal, shared(here()), Versions::ANY); Read NOTHING => found(found.clone()); }.name(),
                "Lock"
            );
        }
        let done = path! { first(INTERNAL, shared(here()), Versions::ANY); Read NOTHING => found(found); };
        assert_eq!(done, Step::Done(Done::Internal));
    }
}

#[test]
fn only_a_held_point_lock_leads_on_and_every_other_try_backs_off() {
    for goal in LOCKING {
        let lock = path! { first(goal, shared(here()), Versions::ANY); Read NOTHING => found(Found::Empty); };
        let after = |tried| path! { lock.clone(); Lock NOTHING => tried(tried); };
        assert_eq!(after(Tried::Locked).name(), "Reread");
        for tried in [Tried::Busy, Tried::Elsewhere, Tried::Absent] {
            let over = goal == Goal::Join && tried == Tried::Absent;
            let backs_off = matches!(after(tried), Step::Backoff(backoff) if backoff.suspects().is_none());
            assert_eq!(backs_off, !over, "{tried:?} for {goal:?}");
        }
        assert_eq!(after(Tried::Failed), Step::Done(Done::Trouble));
    }
}

#[test]
fn a_connection_closed_after_the_proof_counts_as_not_admitted() {
    for failure in [
        DialFailure::Local,
        DialFailure::Refused,
        DialFailure::TimedOut,
        DialFailure::InvalidReply,
        DialFailure::Impostor,
        DialFailure::NotAdmitted,
        DialFailure::TooNew,
        DialFailure::TooOld,
    ] {
        assert_eq!(failure.after_the_proof(), failure);
    }
    assert_eq!(DialFailure::Closed.after_the_proof(), DialFailure::NotAdmitted);
}

#[test]
fn every_cell_of_a_look_before_serving_in_this_process() {
    use Looked::{Again, Free, NotFree};
    for (lifetime, current, elsewhere) in [
        (Lifetime::Free, [Free, Free], NotFree),
        (Lifetime::Absent, [Free, Free], NotFree),
        (Lifetime::Held, [Again, NotFree], NotFree),
        (Lifetime::CannotTell, [NotFree, NotFree], NotFree),
    ] {
        assert_eq!([false, true].map(|is_over| Looked::of(true, lifetime, is_over)), current, "{lifetime:?}");
        assert_eq!([false, true].map(|is_over| Looked::of(false, lifetime, is_over)), [elsewhere; 2], "{lifetime:?}");
    }
}

#[test]
fn only_the_childs_own_record_is_withdrawn_and_only_under_the_lock() {
    for lock in [false, true] {
        for child in [false, true] {
            for record in [false, true] {
                assert_eq!(Holds { lock, child, record }.withdraws(), lock && record);
            }
        }
    }
}

#[test]
fn at_most_two_records_are_dialled_without_the_lock_each_once() {
    let reads = |lock, found| {
        let read = path! { lock; Lock NOTHING => tried(Tried::Busy); Backoff NOTHING => elapsed(); };
        path! { read; Read NOTHING => found(found); }
    };
    for goal in LOCKING {
        let lock = path! { dialling(goal); Dial NOTHING => failed(DialFailure::Refused); };
        let lock = path! { reads(reads(lock, found(1)), found(2)); Dial NOTHING => failed(DialFailure::Refused); };
        let lock = reads(reads(reads(lock, found(2)), found(1)), found(3));
        let dial = path! { lock; Lock NOTHING => tried(Tried::Locked); Reread POINT => found(found(3)); };
        assert_eq!((dial.name(), dial.holds()), ("Dial", POINT));
    }
}

#[test]
fn dialling_a_suspect_again_without_the_lock_is_not_counted() {
    let mut reread = suspecting(EXTERNAL);
    for _ in 0..100 {
        let unlock = path! { reread; Reread POINT => found(found(1)); Probe POINT => answered(Lifetime::Held); };
        let backoff = path! { unlock.clone(); Unlock POINT => unlocked(); };
        assert_eq!(at!(backoff, Backoff).suspects(), Some(&record(1)));
        assert_eq!(back(unlock.clone(), Found::Empty).name(), "Lock", "it is gone");
        assert_eq!(back(unlock.clone(), found(2)).name(), "Dial", "the second free dial is left");
        reread = path! { back(unlock, found(1)); Dial NOTHING => failed(DialFailure::TimedOut); Lock NOTHING => tried(Tried::Locked); };
    }
}

#[test]
fn the_suspect_is_never_dialled_while_holding() {
    let mut step = suspecting(EXTERNAL);
    for number in [2, 3] {
        step = path! { step; Reread POINT => found(found(number)); Dial POINT => failed(DialFailure::TimedOut); };
        step = back(path! { step; Probe POINT => answered(Lifetime::Held); }, Found::Empty);
        step = path! { step; Lock NOTHING => tried(Tried::Locked); };
        assert_eq!(path! { step.clone(); Reread POINT => found(found(number)); }.name(), "Probe", "of {number}");
    }
}

// Starting a server.

#[test]
fn a_cleared_point_gets_the_record_of_a_server_with_the_drawn_cookie() {
    for goal in SPAWNING {
        let spawn = path! { clearing(goal); Clear POINT => cleared(drawn(7)); };
        assert_eq!(at!(spawn, Spawn).cookie(), &cookie(7));
        let verify = path! { awaiting(clearing(goal), 7); Await CHILD => ready(record(7)); };
        let write = path! { verify; Verify CHILD => answered(Lifetime::Held); };
        assert_eq!(at!(write, Write).record(), &record(7));
        let dial = registered(clearing(goal), 7);
        assert_eq!((at!(dial.clone(), Dial).record(), dial.holds()), (&record(7), POINT));
    }
}

/// Returns the failures for which Robust falls back: not executed, failed, wrong cookie, wrong scope, no attempts left.
fn listed_failures(goal: Goal) -> [Step; 5] {
    let awaiting = || awaiting(clearing(goal), 7);
    let elsewhere = Record { scope: Scope { namespace: 1, ..here() }, ..record(7) };
    [
        path! { clearing(goal); Clear POINT => cleared(drawn(7)); Spawn POINT => cannot_execute(); },
        path! { awaiting(); Await CHILD => failed(); Kill CHILD => killed(); },
        path! { awaiting(); Await CHILD => ready(record(8)); Kill CHILD => killed(); },
        path! { awaiting(); Await CHILD => ready(elsewhere); Kill CHILD => killed(); },
        spent(goal),
    ]
}

#[test]
fn a_listed_failure_is_an_error_for_external_and_a_thread_for_robust() {
    for step in listed_failures(EXTERNAL) {
        assert_eq!(path! { step; Unlock POINT => unlocked(); }, Step::Done(Done::Failed));
    }
    for step in listed_failures(ROBUST) {
        let done = path! { step.clone(); Fallback POINT => free(); Unlock POINT => unlocked(); };
        assert_eq!(done, Step::Done(Done::Internal));
        assert_eq!(back(path! { step; Fallback POINT => not_free(); }, Found::Empty).name(), "Lock");
    }
}

#[test]
fn a_busy_child_is_no_attempt() {
    for goal in SPAWNING {
        let mut reread = suspecting(goal);
        for number in 0..100 {
            let clear = path! { reread; Reread POINT => found(Found::Empty); Probe POINT => answered(Lifetime::Free); };
            let unlock = path! { awaiting(clear, number); Await CHILD => busy(); Kill CHILD => killed(); };
            reread = path! { back(unlock, Found::Empty); Lock NOTHING => tried(Tried::Locked); };
        }
        assert_eq!(reread, suspecting(goal));
    }
}

#[test]
fn a_server_that_is_ready_without_the_lifetime_lock_is_killed() {
    for goal in SPAWNING {
        let unverified = [Lifetime::Free, Lifetime::Absent].map(|lifetime| (lifetime, Done::Unverified));
        let cannot_tell = (Lifetime::CannotTell, Done::Refused(Refusal::CannotTell));
        for (lifetime, done) in unverified.into_iter().chain([cannot_tell]) {
            let verify = path! { awaiting(clearing(goal), 7); Await CHILD => ready(record(7)); };
            let unlock = path! { verify; Verify CHILD => answered(lifetime); Kill CHILD => killed(); };
            assert_eq!(path! { unlock; Unlock POINT => unlocked(); }, Step::Done(done));
        }
    }
}

#[test]
fn a_connect_with_too_little_time_starts_nothing() {
    for goal in [EXTERNAL, ROBUST, Goal::Serve] {
        let done = path! { clearing(goal); Clear POINT => too_late(); Unlock POINT => unlocked(); };
        assert_eq!(done, Step::Done(Done::TooLate));
    }
}

#[test]
fn serving_clears_the_point_and_retiring_and_joining_do_not() {
    let start = path! { clearing(Goal::Serve); Clear POINT => cleared(drawn(7)); };
    assert_eq!((start.holds(), start), (POINT, Step::Done(Done::Start)));
    for goal in [Goal::Retire, Goal::Join] {
        assert_eq!(path! { clearing(goal); Unlock POINT => unlocked(); }, Step::Done(Done::Absent), "{goal:?}");
    }
}

#[test]
fn every_goal_has_its_intent_and_may_start_and_create() {
    for (goal, intent, starts_nothing, creates) in [
        (EXTERNAL, Intent::Connect, false, true),
        (ROBUST, Intent::Connect, false, true),
        (INTERNAL, Intent::Connect, false, true),
        (Goal::Serve, Intent::Status, false, true),
        (Goal::Retire, Intent::Retire, true, true),
        (Goal::Join, Intent::Connect, true, false),
    ] {
        let is = (goal.intent(), goal.starts_nothing(), goal.creates());
        assert_eq!(is, (intent, starts_nothing, creates), "{goal:?}");
    }
}

#[test]
fn a_join_creates_no_point_and_is_over_where_there_is_none() {
    for goal in LOCKING {
        let lock = path! { first(goal, shared(here()), Versions::ANY); Read NOTHING => found(Found::Absent); };
        assert_eq!(at!(lock, Lock).creates(), goal != Goal::Join, "{goal:?}");
    }
    let unread = path! { first(Goal::Join, local(), Versions::ANY); Read NOTHING => found(Found::Absent); };
    let refused = path! { dialling(Goal::Join); Dial NOTHING => failed(DialFailure::Refused); };
    for lock in [unread, refused] {
        assert_eq!(path! { lock; Lock NOTHING => tried(Tried::Absent); }, Step::Done(Done::Absent));
    }
}

// Versions of the service.

fn newer(goal: Goal) -> Step {
    first(goal, shared(here()), Versions { ours: 2, newest: 2, older: Older::Replace })
}

/// Returns the proof of a server of this record, which a client with this choice awaits.
fn proving(goal: Goal, older: Older, theirs: &Record) -> Step {
    let first = first(goal, shared(here()), Versions { ours: 2, newest: 2, older });
    let found = Found::Record(theirs.clone());
    path! { first; Read NOTHING => found(found); Dial NOTHING => connected(party(), NONCE); Hello NOTHING => sent(); }
}

/// Returns the read after the older server of `record(1)` was asked to retire.
fn replacing(goal: Goal) -> Step {
    let dial = path! { newer(goal); Read NOTHING => found(found(1)); Dial NOTHING => connected(party(), NONCE); };
    let prove = path! { dial; Hello NOTHING => sent(); };
    let proof = at!(prove.clone(), Prove).judge(&server_proof(Goal::Retire, &record(1))).unwrap();
    let welcome = path! { prove; Prove NOTHING => proved(proof); };
    assert!(at!(welcome.clone(), Welcome).replaces());
    path! { welcome; Welcome NOTHING => welcomed(WELCOMED); Backoff NOTHING => elapsed(); }
}

#[test]
fn an_older_server_is_asked_to_retire_once_and_then_replaced() {
    for goal in SPAWNING {
        // Its record is not dialled again, lock or no lock.
        let probe = path! { replacing(goal); Read NOTHING => found(found(1)); Lock NOTHING => tried(Tried::Locked); };
        let probe = path! { probe; Reread POINT => found(found(1)); };
        assert_eq!(at!(probe.clone(), Probe).row(), Row::Replaced);
        let waits = path! { probe.clone(); Probe POINT => answered(Lifetime::Held); Unlock POINT => unlocked(); };
        assert_eq!(path! { waits; Backoff NOTHING => elapsed(); }.name(), "Read");
        assert_eq!(path! { probe; Probe POINT => answered(Lifetime::Free); }.name(), "Clear");
        // Another server that is no newer is joined; a newer one, which another client started meanwhile, is replaced.
        let dial =
            path! { replacing(goal); Read NOTHING => found(found(3)); Dial NOTHING => connected(party(), NONCE); };
        assert_eq!(at!(dial, Hello).message()[6], Intent::Connect as u8);
        let between = first(goal, shared(here()), Versions { ours: 3, newest: 3, older: Older::Replace });
        let asked = path! { between; Read NOTHING => found(found(1)); Dial NOTHING => connected(party(), NONCE); };
        let prove = path! { asked; Hello NOTHING => sent(); };
        let proof = at!(prove.clone(), Prove).judge(&server_proof(Goal::Retire, &record(1))).unwrap();
        let again = path! { prove; Prove NOTHING => proved(proof); Welcome NOTHING => welcomed(WELCOMED); };
        let newer = Found::Record(Record { version: 2, ..record(3) });
        let dial = path! { again; Backoff NOTHING => elapsed(); Read NOTHING => found(newer); };
        let hello = path! { dial; Dial NOTHING => connected(party(), NONCE); };
        assert_eq!(at!(hello, Hello).message()[6], Intent::Retire as u8);
    }
}

#[test]
fn every_cell_of_the_table_of_goal_and_version() {
    use super::verdict::About::{self, Accept, Replace, TooNew, TooOld};
    // A server of an older version, by the client's choice: replace, join, refuse.
    let rows: [(Goal, [About; 3], About); 6] = [
        (EXTERNAL, [Replace, Accept, TooOld], TooNew),
        (ROBUST, [Replace, Accept, TooOld], TooNew),
        (INTERNAL, [Accept, Accept, TooOld], TooNew),
        (Goal::Join, [Accept, Accept, TooOld], TooNew),
        (Goal::Serve, [Accept, Accept, Accept], Accept),
        (Goal::Retire, [Accept, Accept, Accept], Accept),
    ];
    for (goal, older, newer) in rows {
        for (choice, older) in [Older::Replace, Older::Join, Older::Refuse].into_iter().zip(older) {
            for (age, expected) in [(Age::Older, older), (Age::Fits, Accept), (Age::Newer, newer)] {
                assert_eq!(about(goal, age, choice), expected, "{goal:?}, {age:?}, {choice:?}");
            }
        }
    }
    let versions = Versions { ours: 2, newest: 3, older: Older::Join };
    for (version, age) in
        [(0, Age::Older), (1, Age::Older), (2, Age::Fits), (3, Age::Fits), (4, Age::Newer), (u32::MAX, Age::Newer)]
    {
        assert_eq!(Age::of(version, versions), age, "{version}");
    }
}

#[test]
fn a_client_states_the_version_by_which_it_replaces_a_server() {
    let goals = [(EXTERNAL, 2), (ROBUST, 2), (INTERNAL, 2), (Goal::Serve, 2), (Goal::Join, 2), (Goal::Retire, 0)];
    for (goal, states) in goals {
        let prove = path! { newer(goal); Read NOTHING => found(found(1)); Dial NOTHING => connected(party(), NONCE);
        Hello NOTHING => sent(); };
        let intent = at!(prove.clone(), Prove).dialing.attempt.intent(&record(1));
        let server = hello_received(&handshake::Hello::new(intent, party(), NONCE).to_bytes());
        let agreed = at!(prove.clone(), Prove).judge(&server.to_bytes(&record(1))).unwrap();
        let asked = server.judge(&record(1), &agreed.proof(&record(1))).unwrap();
        assert_eq!((asked.intent, asked.service), (intent, states), "{goal:?}");
    }
}

#[test]
fn a_server_that_is_too_old_is_left_alone_once_it_has_proved_itself() {
    let theirs = record(1);
    for goal in [EXTERNAL, ROBUST, INTERNAL, Goal::Join] {
        let prove = proving(goal, Older::Refuse, &theirs);
        let bytes = server_proof(goal, &theirs);
        assert_eq!(at!(prove.clone(), Prove).judge(&bytes), Err(DialFailure::TooOld), "{goal:?}");
        assert_eq!(at!(prove.clone(), Prove).judge(&[0; handshake::SERVER_PROOF]), Err(DialFailure::Impostor));
        let done = Step::Done(Done::TooOld(theirs.clone()));
        assert_eq!(path! { prove; Prove NOTHING => failed(DialFailure::TooOld); }, done, "{goal:?}");
    }
    for goal in [EXTERNAL, ROBUST, Goal::Join] {
        let versions = Versions { ours: 2, newest: 2, older: Older::Refuse };
        let lock = path! { first(goal, shared(here()), versions); Read NOTHING => found(Found::Empty); };
        let dial = path! { lock; Lock NOTHING => tried(Tried::Locked); Reread POINT => found(found(1)); };
        let prove = path! { dial; Dial POINT => connected(party(), NONCE); Hello POINT => sent(); };
        let unlock = path! { prove; Prove POINT => failed(DialFailure::TooOld); };
        assert_eq!(path! { unlock; Unlock POINT => unlocked(); }, Step::Done(Done::TooOld(theirs.clone())), "{goal:?}");
    }
}

#[test]
fn a_client_that_joins_older_servers_asks_none_to_retire() {
    for goal in GOALS {
        let prove = proving(goal, Older::Join, &record(1));
        let bytes = server_proof(goal, &record(1));
        let proof = at!(prove.clone(), Prove).judge(&bytes).expect("the intent is that of the goal");
        assert!(!at!(path! { prove; Prove NOTHING => proved(proof); }, Welcome).replaces(), "{goal:?}");
    }
}

#[test]
fn a_wait_for_the_life_file_of_another_server_does_not_count_for_a_full_one() {
    let waited = path! { suspecting(EXTERNAL); Reread POINT => found(found(1)); Probe POINT => answered(Lifetime::Absent);
    Unlock POINT => unlocked(); Wait NOTHING => elapsed(); };
    let full = path! { waited; Read NOTHING => found(found(2)); Dial NOTHING => failed(DialFailure::Full(1)); };
    let probe = path! { full; Backoff NOTHING => elapsed(); Read NOTHING => found(found(2));
    Dial NOTHING => failed(DialFailure::TimedOut); Lock NOTHING => tried(Tried::Locked); Reread POINT => found(found(2)); };
    assert_eq!(cell(&probe, Lifetime::Absent), Cell::Wait);
}

#[test]
fn a_server_that_fits_or_cannot_be_replaced_is_joined() {
    for (goal, version) in [(EXTERNAL, 2), (ROBUST, 2), (INTERNAL, 1), (Goal::Join, 1)] {
        let theirs = Record { version, ..record(1) };
        let found = Found::Record(theirs.clone());
        let hello = path! { newer(goal); Read NOTHING => found(found); Dial NOTHING => connected(party(), NONCE); };
        assert_eq!(at!(hello.clone(), Hello).message()[6], Intent::Connect as u8, "{goal:?}");
        let prove = path! { hello; Hello NOTHING => sent(); };
        assert!(at!(prove, Prove).judge(&server_proof(goal, &theirs)).is_ok(), "{goal:?}");
    }
}

#[test]
fn a_server_that_is_too_new_is_left_alone() {
    let theirs = Record { version: 3, ..record(1) };
    let found = Found::Record(theirs.clone());
    for goal in [EXTERNAL, ROBUST, INTERNAL, Goal::Join] {
        let hello =
            path! { newer(goal); Read NOTHING => found(found.clone()); Dial NOTHING => connected(party(), NONCE); };
        let prove = path! { hello; Hello NOTHING => sent(); };
        assert_eq!(at!(prove.clone(), Prove).judge(&server_proof(goal, &theirs)), Err(DialFailure::TooNew), "{goal:?}");
        let done = Step::Done(Done::TooNew(theirs.clone()));
        assert_eq!(path! { prove; Prove NOTHING => failed(DialFailure::TooNew); }, done, "{goal:?}");
    }
}

#[test]
fn a_child_of_another_version_than_the_client_is_for_is_killed() {
    let too_new = Done::TooNew(Record { version: 3, ..record(7) });
    for (version, done) in [(1, Done::Failed), (3, too_new)] {
        let clear =
            path! { newer(EXTERNAL); Read NOTHING => found(Found::Empty); Lock NOTHING => tried(Tried::Locked); };
        let clear = path! { clear; Reread POINT => found(Found::Empty); Probe POINT => answered(Lifetime::Free); };
        let child = path! { clear; Clear POINT => cleared(drawn(7)); Spawn POINT => spawned(); };
        let fits = Record { version: 2, ..record(7) };
        assert_eq!(path! { child.clone(); Await CHILD => ready(fits); }.name(), "Verify");
        let child = path! { child; Await CHILD => ready(Record { version, ..record(7) }); Kill CHILD => killed(); };
        assert_eq!(path! { child; Unlock POINT => unlocked(); }, Step::Done(done), "version {version}");
    }
}

#[test]
fn a_client_without_a_program_replaces_no_server() {
    for (older, without) in [(Older::Replace, Older::Join), (Older::Join, Older::Join), (Older::Refuse, Older::Refuse)]
    {
        assert_eq!(Versions::of(2, 3, older, true), Versions { ours: 2, newest: 3, older });
        assert_eq!(Versions::of(2, 3, older, false), Versions { ours: 2, newest: 3, older: without });
    }
}
