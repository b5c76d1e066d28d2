//! Tests of a server's start, of the table of *Check*, and of every reachable step, with a client that arrives and
//! leaves at any of them.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use super::*;
use crate::proto::cookie::Cookie;
use crate::proto::record::tests::sample;
use crate::proto::record::{Found, Malformed, Record};
use crate::proto::scope::{Place, Scope};
use crate::proto::serving::{Checked, Gate, Retire, Step as Serving};

const NOTHING: Holds = Holds { lock: false, life: false };
const POINT: Holds = Holds { lock: true, life: false };
const LIFE: Holds = Holds { lock: false, life: true };
const BOTH: Holds = Holds { lock: true, life: true };

/// Follows a path of a machine, one step a line: its name, what is held there, and the method that returns the next
/// step.
macro_rules! path {
    ($machine:ident: $first:expr; $($variant:ident $holds:ident => $answer:ident($($with:expr),*);)*) => {{
        let step = $machine::from($first);
        $(
            assert_eq!(step.holds(), $holds, "at {}", step.name());
            let $machine::$variant(question) = step else { panic!("{} and not {}", step.name(), stringify!($variant)) };
            let step = question.$answer($($with),*);
        )*
        step
    }};
}

fn serving() -> Step {
    path! { Step: Step::new(Starter::Spawner);
        Watch NOTHING => ordered();
        Claim NOTHING => claimed();
        Build LIFE => built();
        Listen LIFE => listening();
        Ready LIFE => replied();
        Registered LIFE => registered();
    }
}

/// Unwraps the serving machine's step after the start.
fn serving_machine(step: Step) -> Serving {
    let Step::Serving(step) = step else { panic!("still at {}", step.name()) };
    step
}

/// Asserts the name of the step and what is held there.
#[track_caller]
fn assert_at(step: &Step, name: &str, holds: Holds) {
    assert_eq!((step.name(), step.holds()), (name, holds));
}

// Start-up.

#[test]
fn a_spawned_server_takes_the_lifetime_lock_first_and_no_point_lock() {
    assert_at(&serving(), "Serve", LIFE);
}

#[test]
fn a_server_by_hand_holds_the_point_lock_until_its_record_is_there() {
    let step = path! { Step: Step::new(Starter::Hand);
        Claim POINT => claimed();
        Build BOTH => built();
        Listen BOTH => listening();
        Write BOTH => written();
    };
    let step = path! { Serving: serving_machine(step); Unlock BOTH => unlocked(); };
    assert_at(&step.into(), "Serve", LIFE);
}

#[test]
fn a_server_without_the_lifetime_lock_is_busy_and_builds_nothing() {
    let spawned = path! { Step: Step::new(Starter::Spawner);
        Watch NOTHING => ordered();
        Claim NOTHING => busy();
        Refuse NOTHING => replied();
    };
    assert_eq!(spawned, Serving::Done(Done::Busy).into());
    let by_hand = path! { Step: Step::new(Starter::Hand); Claim POINT => busy(); };
    let by_hand = path! { Serving: serving_machine(by_hand); Unlock POINT => unlocked(); };
    assert_eq!(by_hand, Serving::Done(Done::Busy));
}

#[test]
fn a_claim_leaves_time_to_report_busy_to_the_spawner() {
    for step in [Step::new(Starter::Hand), path! { Step: Step::new(Starter::Spawner); Watch NOTHING => ordered(); }] {
        let Step::Claim(claim) = step else { panic!("{}", step.name()) };
        for (budget, share) in [(0, 0), (1, 0), (10_000, 5_000)] {
            assert_eq!(claim.share(Duration::from_millis(budget)).as_millis(), share, "of {budget}");
        }
    }
}

#[test]
fn a_spawned_server_reports_its_failure_before_it_unlocks() {
    let claimed = path! { Step: Step::new(Starter::Spawner); Watch NOTHING => ordered(); Claim NOTHING => claimed(); };
    let no_handler = path! { Step: claimed.clone(); Build LIFE => failed(); };
    let no_port = path! { Step: claimed; Build LIFE => built(); Listen LIFE => failed(); };
    for step in [no_handler, no_port] {
        let refused = path! { Step: step; Refuse LIFE => replied(); };
        let done = path! { Serving: serving_machine(refused); Release LIFE => released(); };
        assert_eq!(done, Serving::Done(Done::Failed));
    }
}

#[test]
fn a_server_by_hand_that_cannot_start_releases_both_locks() {
    let claimed = path! { Step: Step::new(Starter::Hand); Claim POINT => claimed(); };
    let no_handler = path! { Step: claimed.clone(); Build BOTH => failed(); };
    let no_port = path! { Step: claimed; Build BOTH => built(); Listen BOTH => failed(); };
    for step in [no_handler, no_port] {
        let done = path! { Serving: serving_machine(step); Unlock BOTH => unlocked(); Release LIFE => released(); };
        assert_eq!(done, Serving::Done(Done::Failed));
    }
}

// The table of *Check*.

fn of_scope(scope: Scope) -> Found {
    Found::Record(Record { scope, cookie: Cookie::new([9; 32]), ..sample() })
}

#[test]
fn every_cell_of_the_table_of_life_file_and_point() {
    let (mine, boot, namespace) = (sample(), [9; 16], 1);
    let older = Record { cookie: Cookie::new([9; 32]), pid: 1, ..sample() };
    let table = [
        (Found::Absent, Checked::Damaged),
        (Found::Empty, Checked::Damaged),
        (Found::Malformed(Malformed::Checksum), Checked::Damaged),
        (Found::Malformed(Malformed::TooLong), Checked::Damaged),
        (Found::Record(mine.clone()), Checked::Mine),
        (Found::Record(older), Checked::Damaged),
        (Found::Record(Record { started: 1, ..sample() }), Checked::Damaged),
        (of_scope(Scope { boot, ..mine.scope }), Checked::Damaged),
        (Found::Newer { format: 2 }, Checked::Lost),
        (Found::OtherDialect, Checked::Lost),
        (of_scope(Scope { namespace, ..mine.scope }), Checked::Damaged),
    ];
    let [local, shared] = [true, false].map(|local| Place { scope: mine.scope, local });
    for (found, checked) in table {
        assert_eq!(may_withdraw(&found, &mine), checked == Checked::Mine, "{found:?}");
        for here in [local, shared] {
            assert_eq!(Checked::of(LifeFile::Mine, &found, true, &mine, &here), checked, "{found:?}");
            assert_eq!(Checked::of(LifeFile::Lost, &found, true, &mine, &here), Checked::Lost, "{found:?}");
            let life_file_gone = if checked == Checked::Lost { Checked::Lost } else { Checked::LifeFileGone };
            assert_eq!(Checked::of(LifeFile::Unheld, &found, true, &mine, &here), life_file_gone, "{found:?}");
        }
    }
    // A copy has the same bytes in another file.
    let copy = Found::Record(mine.clone());
    assert_eq!(Checked::of(LifeFile::Mine, &copy, false, &mine, &local), Checked::Damaged);
    assert_eq!(Checked::of(LifeFile::Unheld, &copy, false, &mine, &local), Checked::LifeFileGone);
    let foreign = of_scope(Scope { boot, machine: Some([9; 16]), ..mine.scope });
    assert_eq!(
        Checked::of(LifeFile::Mine, &foreign, true, &mine, &local),
        Checked::Damaged,
        "no other server holds this lifetime lock"
    );
    assert_eq!(
        Checked::of(LifeFile::Mine, &foreign, true, &mine, &shared),
        Checked::Lost,
        "another machine may not see this lock"
    );
}

// Every reachable step.

/// The state that a correct driver has, derived from the results alone.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
struct World {
    holds: Holds,
    gate: Gate,
    handler: bool,
    listening: bool,
    registered: bool,
    retiring: bool,
    /// The point was found damaged under the current point lock.
    damaged: bool,
    /// The life file was found gone under the current point lock.
    life_file_gone: bool,
    overdue: bool,
    withdrawn: bool,
}

/// Returns the world with a change.
fn like(world: &World, change: fn(&mut World)) -> World {
    let mut world = world.clone();
    change(&mut world);
    world
}

/// Returns everything that can come next, including the client's arrival and departure.
fn answers(step: &Step, world: &World) -> Vec<(Step, World)> {
    let same = || world.clone();
    let like = |change| like(world, change);
    let mut next = match step.clone() {
        Step::Watch(s) => vec![(s.ordered(), same())],
        Step::Claim(s) => vec![(s.clone().claimed(), like(|w| w.holds.life = true)), (s.busy(), same())],
        Step::Build(s) => vec![(s.clone().built(), like(|w| w.handler = true)), (s.failed(), same())],
        Step::Listen(s) => {
            // A server without a port drops its handler.
            vec![(s.clone().listening(), like(|w| w.listening = true)), (s.failed(), like(|w| w.handler = false))]
        }
        Step::Ready(s) => vec![(s.replied(), same())],
        Step::Registered(s) => vec![(s.registered(), like(World::register))],
        Step::Write(s) => vec![(s.written(), like(World::register))],
        Step::Refuse(s) => vec![(s.replied(), same())],
        Step::Serving(Serving::Done(_)) => return vec![],
        Step::Serving(step) => serves(step, world).into_iter().map(|(step, world)| (step.into(), world)).collect(),
    };
    let mut visited = world.clone();
    match world.gate.counted() {
        0 => assert_eq!(visited.gate.admit(), world.serving(), "admitted at {}", step.name()),
        _ => visited.gate.leave(),
    }
    next.push((step.clone(), visited));
    next
}

/// Returns everything that can come next in the serving machine.
fn serves(step: Serving, world: &World) -> Vec<(Serving, World)> {
    let same = || world.clone();
    let like = |change| like(world, change);
    match step {
        Serving::Serve(s) => {
            [s.clone().check(), s.clone().idle(), s.requested()].map(|step| (step, like(|w| w.overdue = false))).into()
        }
        Serving::Check(s) => ALL_CHECKED.map(|checked| (s.clone().checked(checked), same())).into(),
        Serving::Lock(s) => vec![(s.clone().got(), like(|w| w.holds.lock = true)), (s.busy(), same())],
        Serving::Backoff(s) => {
            vec![
                (s.clone().elapsed(), same()),
                (s.clone().requested(), same()),
                (s.overdue(), like(|w| w.overdue = true)),
            ]
        }
        Serving::Recheck(s) => {
            let found = |checked| World {
                damaged: checked == Checked::Damaged,
                life_file_gone: checked == Checked::LifeFileGone,
                ..same()
            };
            ALL_CHECKED.map(|checked| (s.clone().checked(checked), found(checked))).into()
        }
        Serving::Reclaim(s) => [s.clone().claimed(), s.clone().lost(), s.failed()].map(|step| (step, same())).into(),
        Serving::Restore(s) => vec![(s.restored(), same())],
        Serving::Look(s) => {
            let mut world = world.clone();
            let shut = world.gate.look(s.why());
            world.retiring = shut;
            vec![(if shut { s.shut() } else { s.counted() }, world)]
        }
        Serving::Withdraw(s) => vec![(s.withdrawn(), like(|w| w.withdrawn = true))],
        Serving::Close(s) => vec![(s.closed(), like(|w| w.listening = false))],
        Serving::Unlock(s) => {
            vec![(s.unlocked(), like(|w| (w.holds.lock, w.damaged, w.life_file_gone) = (false, false, false)))]
        }
        Serving::Drain(s) => vec![(s.drained(), like(|w| w.handler = false))],
        Serving::Release(s) => vec![(s.released(), like(|w| w.holds.life = false))],
        Serving::Done(_) => vec![],
    }
}

const ALL_CHECKED: [Checked; 5] =
    [Checked::Mine, Checked::Damaged, Checked::LifeFileGone, Checked::Lost, Checked::CannotTell];

impl World {
    fn register(&mut self) {
        self.registered = true;
        self.gate.open();
    }

    fn serving(&self) -> bool {
        self.registered && !self.retiring
    }

    /// Asserts what must hold at every step.
    fn check(&self, step: &Step) {
        assert_eq!(step.holds(), self.holds, "held at {}", step.name());
        assert_eq!(self.gate.is_open(), self.serving(), "the gate at {}", step.name());
        assert!(!self.handler || self.holds.life, "OneHandler at {}", step.name());
        let held = match step {
            Step::Write(_) => self.holds == BOTH && !self.registered,
            Step::Serving(Serving::Restore(_)) => self.holds == BOTH && self.damaged && self.serving(),
            Step::Serving(Serving::Reclaim(_)) => self.holds == BOTH && self.life_file_gone && self.serving(),
            Step::Serving(Serving::Withdraw(_)) => {
                let idle = step.facts().why == Some(Retire::Idle);
                self.holds == BOTH && self.retiring && (!idle || self.gate.counted() == 0)
            }
            Step::Serving(Serving::Serve(_) | Serving::Check(_) | Serving::Backoff(_)) => {
                self.holds == LIFE && self.serving()
            }
            Step::Serving(Serving::Drain(_)) => self.holds == LIFE && self.retiring && !self.listening,
            Step::Serving(Serving::Release(_)) => self.holds == LIFE && !self.handler && !self.listening,
            Step::Serving(Serving::Done(done)) => self.holds == NOTHING && self.ended(*done),
            _ => true,
        };
        assert!(held, "{step:?} in {self:?}");
    }

    /// Returns whether a server may end like this in this world.
    fn ended(&self, done: Done) -> bool {
        match done {
            Done::Busy | Done::Failed => !self.registered,
            Done::NoCookie => false,
            Done::Retired(why) => {
                let withdrawn = match why {
                    Retire::Idle => self.withdrawn,
                    Retire::Requested => self.withdrawn || self.overdue,
                    Retire::Lost => !self.withdrawn,
                };
                self.registered && self.retiring && withdrawn
            }
        }
    }
}

#[test]
fn every_reachable_step_keeps_the_guarantees_of_a_server() {
    for (starter, holds, never) in [
        (Starter::Spawner, NOTHING, &["Write"][..]),
        (Starter::Hand, POINT, &["Ready", "Refuse", "Registered", "Watch"]),
    ] {
        let mut open = VecDeque::from([(Step::new(starter), World { holds, ..World::default() })]);
        let (mut seen, mut names, mut ends) = (HashSet::new(), BTreeSet::new(), BTreeSet::new());
        while let Some((step, world)) = open.pop_front() {
            if seen.insert((step.clone(), world.clone())) {
                assert!(seen.len() < 10_000, "the walk does not end");
                world.check(&step);
                names.insert(step.name());
                open.extend(answers(&step, &world));
                if let Step::Serving(Serving::Done(done)) = step {
                    ends.insert(format!("{done:?}"));
                }
            }
        }
        let all = "Backoff Build Check Claim Close Done Drain Listen Lock Look Ready Recheck Reclaim Refuse Registered \
                   Release Restore Serve Unlock Watch Withdraw Write";
        let expected: BTreeSet<_> = all.split_whitespace().filter(|name| !never.contains(name)).collect();
        assert_eq!(names, expected, "{starter:?}");
        let expected = ["Busy", "Failed", "Retired(Idle)", "Retired(Lost)", "Retired(Requested)"];
        assert!(ends.iter().eq(expected.iter()), "{starter:?} ended as {ends:?}");
    }
}
