//! The server's machine, stepped by hand: start-up, the gate, what a check comes to, restoring, retiring,
//! and at last every step that can be reached at all, with a client that comes and goes at any of them.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::*;
use crate::proto::cookie::Cookie;
use crate::proto::record::tests::sample;
use crate::proto::record::{Found, Malformed, Record};
use crate::proto::scope::{Place, Scope};

const NOTHING: Holds = Holds { lock: false, life: false };
const POINT: Holds = Holds { lock: true, life: false };
const LIFE: Holds = Holds { lock: false, life: true };
const BOTH: Holds = Holds { lock: true, life: true };

/// Steps along a path, a line a step: its name, what is held there, and how it is answered.
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

fn serving() -> Step {
    path! { Step::new(Starter::Spawner);
        Watch NOTHING => ordered();
        Claim NOTHING => claimed();
        Build LIFE => built();
        Listen LIFE => listening();
        Ready LIFE => said();
        Registered LIFE => registered();
    }
}

fn told() -> Step {
    path! { serving(); Serve LIFE => told(); }
}

fn restoring() -> Step {
    path! { serving(); Serve LIFE => check(); Check LIFE => checked(Checked::Damaged); }
}

/// Retires holding the point lock, from *Look* to the end.
fn withdraws(look: Step) -> Step {
    path! { look;
        Look BOTH => shut();
        Withdraw BOTH => withdrawn();
        Close BOTH => closed();
        Unlock BOTH => unlocked();
        Drain LIFE => drained();
        Release LIFE => released();
    }
}

/// Retires without the point lock, from *Look* to the end: the point is not touched.
fn leaves(look: Step) -> Step {
    path! { look;
        Look LIFE => shut();
        Close LIFE => closed();
        Drain LIFE => drained();
        Release LIFE => released();
    }
}

/// The step, and that only this is held there.
#[track_caller]
fn assert_at(step: &Step, name: &str, holds: Holds) {
    assert_eq!((step.name(), step.holds()), (name, holds));
}

// Start-up.

#[test]
fn a_spawned_server_holds_the_lifetime_lock_from_before_build_and_never_the_point_lock() {
    assert_at(&serving(), "Serve", LIFE);
}

#[test]
fn a_server_started_by_hand_holds_the_point_lock_until_it_wrote_its_own_record() {
    let step = path! { Step::new(Starter::Hand);
        Claim POINT => claimed();
        Build BOTH => built();
        Listen BOTH => listening();
        Write BOTH => written();
        Unlock BOTH => unlocked();
    };
    assert_at(&step, "Serve", LIFE);
}

#[test]
fn a_server_that_does_not_get_the_lifetime_lock_is_busy_and_builds_nothing() {
    let spawned = path! { Step::new(Starter::Spawner);
        Watch NOTHING => ordered();
        Claim NOTHING => busy();
        Refuse NOTHING => said();
    };
    let by_hand = path! { Step::new(Starter::Hand); Claim POINT => busy(); Unlock POINT => unlocked(); };
    assert_eq!([spawned, by_hand], [Step::Done(Done::Busy), Step::Done(Done::Busy)]);
}

#[test]
fn a_spawned_server_without_a_handler_or_a_port_says_so_before_it_lets_go() {
    let claimed = path! { Step::new(Starter::Spawner); Watch NOTHING => ordered(); Claim NOTHING => claimed(); };
    let no_handler = path! { claimed.clone(); Build LIFE => failed(); };
    let no_port = path! { claimed; Build LIFE => built(); Listen LIFE => failed(); };
    for step in [no_handler, no_port] {
        let done = path! { step; Refuse LIFE => said(); Release LIFE => released(); };
        assert_eq!(done, Step::Done(Done::Failed));
    }
}

#[test]
fn a_server_started_by_hand_without_a_handler_or_a_port_lets_go_of_both_locks() {
    let claimed = path! { Step::new(Starter::Hand); Claim POINT => claimed(); };
    let no_handler = path! { claimed.clone(); Build BOTH => failed(); };
    let no_port = path! { claimed; Build BOTH => built(); Listen BOTH => failed(); };
    for step in [no_handler, no_port] {
        let done = path! { step; Unlock BOTH => unlocked(); Release LIFE => released(); };
        assert_eq!(done, Step::Done(Done::Failed));
    }
}

// The gate.

const WHY: [Retire; 3] = [Retire::Idle, Retire::Told, Retire::Lost];

fn open_gate(clients: u32) -> Gate {
    let mut gate = Gate::new();
    gate.open();
    assert!((0..clients).all(|_| gate.admit()));
    gate
}

#[test]
fn nobody_is_admitted_before_the_gate_is_open() {
    let mut gate = Gate::new();
    assert!(!gate.is_open());
    assert!(!gate.admit());
    assert_eq!(gate.counted(), 0);
}

#[test]
fn a_client_is_counted_from_its_admission_until_it_leaves() {
    let mut gate = open_gate(2);
    assert!(gate.is_open());
    assert_eq!(gate.counted(), 2);
    gate.leave();
    assert_eq!(gate.counted(), 1);
    assert!(gate.admit());
    assert_eq!(gate.counted(), 2);
}

#[test]
fn a_look_shuts_the_gate_unless_the_server_is_idle_and_somebody_is_counted_who_did_not_leave() {
    for why in WHY {
        for clients in [0, 1, 2] {
            let stays = why == Retire::Idle && clients > 0;
            let mut gate = open_gate(clients + 1);
            gate.leave();
            assert_eq!(gate.look(why), !stays, "{why:?} with {clients}");
            assert_eq!((gate.is_open(), gate.counted()), (stays, clients), "{why:?} with {clients}");
            assert_eq!(gate.admit(), stays, "{why:?} with {clients}");
            let inside = clients + u32::from(stays);
            assert_eq!(gate.counted(), inside, "{why:?} with {clients}");
            // Who is inside may finish, and is counted until then.
            (0..inside).for_each(|_| gate.leave());
            assert_eq!(gate.counted(), 0, "{why:?} with {clients}");
        }
    }
}

// What a check comes to.

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
        for here in [local, shared] {
            assert_eq!(Checked::of(LifeFile::Mine, &found, true, &mine, &here), checked, "{found:?}");
            assert_eq!(Checked::of(LifeFile::Lost, &found, true, &mine, &here), Checked::Lost, "{found:?}");
            let robbed = if checked == Checked::Lost { Checked::Lost } else { Checked::Robbed };
            assert_eq!(Checked::of(LifeFile::Unheld, &found, true, &mine, &here), robbed, "{found:?}");
        }
    }
    // The same bytes in another file.
    let copy = Found::Record(mine.clone());
    assert_eq!(Checked::of(LifeFile::Mine, &copy, false, &mine, &local), Checked::Damaged);
    assert_eq!(Checked::of(LifeFile::Unheld, &copy, false, &mine, &local), Checked::Robbed);
    let foreign = of_scope(Scope { boot, machine: Some([9; 16]), ..mine.scope });
    assert_eq!(
        Checked::of(LifeFile::Mine, &foreign, true, &mine, &local),
        Checked::Damaged,
        "nobody else holds my lifetime lock"
    );
    assert_eq!(
        Checked::of(LifeFile::Mine, &foreign, true, &mine, &shared),
        Checked::Lost,
        "another machine may not see my lock"
    );
}

#[test]
fn a_check_that_finds_all_well_or_cannot_tell_changes_nothing() {
    for checked in [Checked::Mine, Checked::CannotTell] {
        assert_eq!(path! { serving(); Serve LIFE => check(); Check LIFE => checked(checked); }, serving());
    }
}

// Restoring.

#[test]
fn a_damaged_point_is_restored_under_the_point_lock_and_the_server_stays() {
    let step = path! { restoring();
        Lock LIFE => got();
        Recheck BOTH => checked(Checked::Damaged);
        Restore BOTH => restored();
        Unlock BOTH => unlocked();
    };
    assert_eq!(step, serving());
}

#[test]
fn a_point_that_is_well_again_under_the_lock_is_left_alone() {
    for checked in [Checked::Mine, Checked::CannotTell] {
        let step = path! { restoring(); Lock LIFE => got(); Recheck BOTH => checked(checked); };
        assert_eq!(path! { step; Unlock BOTH => unlocked(); }, serving());
    }
}

#[test]
fn a_server_that_finds_itself_lost_under_the_lock_unlocks_and_goes_without_touching_anything() {
    let look = path! { restoring();
        Lock LIFE => got();
        Recheck BOTH => checked(Checked::Lost);
        Unlock BOTH => unlocked();
    };
    assert_eq!(leaves(look), Step::Done(Done::Retired(Retire::Lost)));
}

#[test]
fn a_server_that_restores_tries_the_lock_again_and_again_and_serves_meanwhile() {
    let mut step = restoring();
    for _ in 0..100 {
        step = path! { step; Lock LIFE => busy(); Backoff LIFE => elapsed(); };
    }
    assert_eq!(step, restoring());
    assert_eq!(path! { step; Lock LIFE => busy(); Backoff LIFE => overdue(); }, serving());
}

#[test]
fn a_server_that_is_told_to_retire_while_it_waits_to_restore_does_so() {
    assert_eq!(path! { restoring(); Lock LIFE => busy(); Backoff LIFE => told(); }, told());
}

// Retiring.

#[test]
fn an_idle_server_withdraws_under_the_lock_and_drains_before_it_releases() {
    let step = withdraws(path! { serving(); Serve LIFE => idle(); Lock LIFE => got(); });
    assert_at(&step, "Done", NOTHING);
    assert_eq!(step, Step::Done(Done::Retired(Retire::Idle)));
}

#[test]
fn an_idle_server_stays_when_the_point_is_locked_or_a_client_was_counted_meanwhile() {
    assert_eq!(path! { serving(); Serve LIFE => idle(); Lock LIFE => busy(); }, serving());
    let step = path! { serving(); Serve LIFE => idle(); Lock LIFE => got(); Look BOTH => counted(); };
    assert_eq!(path! { step; Unlock BOTH => unlocked(); }, serving());
}

#[test]
fn a_told_server_tries_until_it_has_the_lock_and_withdraws() {
    let mut step = told();
    for _ in 0..100 {
        step = path! { step; Lock LIFE => busy(); Backoff LIFE => elapsed(); };
        step = path! { step; Lock LIFE => busy(); Backoff LIFE => told(); };
    }
    let step = withdraws(path! { step; Lock LIFE => got(); });
    assert_eq!(step, Step::Done(Done::Retired(Retire::Told)));
}

#[test]
fn a_told_server_that_is_overdue_goes_without_withdrawing_but_not_without_draining() {
    let step = leaves(path! { told(); Lock LIFE => busy(); Backoff LIFE => overdue(); });
    assert_eq!(step, Step::Done(Done::Retired(Retire::Told)));
}

#[test]
fn a_lost_server_never_takes_the_point_lock() {
    let step = leaves(path! { serving(); Serve LIFE => check(); Check LIFE => checked(Checked::Lost); });
    assert_eq!(step, Step::Done(Done::Retired(Retire::Lost)));
}

#[test]
fn a_life_file_that_was_removed_is_made_again_under_the_point_lock_and_the_server_stays() {
    let reclaim = path! {
        serving(); Serve LIFE => check(); Check LIFE => checked(Checked::Robbed); Lock LIFE => got();
        Recheck BOTH => checked(Checked::Robbed);
    };
    // Then the point is looked at as ever.
    let recheck = path! { reclaim.clone(); Reclaim BOTH => claimed(); };
    assert_eq!(
        path! { recheck.clone(); Recheck BOTH => checked(Checked::Mine); Unlock BOTH => unlocked(); },
        serving()
    );
    let restore = path! { recheck; Recheck BOTH => checked(Checked::Damaged); Restore BOTH => restored(); };
    assert_eq!(path! { restore; Unlock BOTH => unlocked(); }, serving());
    assert_eq!(path! { reclaim.clone(); Reclaim BOTH => failed(); Unlock BOTH => unlocked(); }, serving());
    // Whoever has locked it is there to stay.
    let step = leaves(path! { reclaim; Reclaim BOTH => lost(); Unlock BOTH => unlocked(); });
    assert_eq!(step, Step::Done(Done::Retired(Retire::Lost)));
}

#[test]
fn a_look_asks_the_gate_why() {
    let idle = path! { serving(); Serve LIFE => idle(); Lock LIFE => got(); };
    let told = path! { told(); Lock LIFE => got(); };
    let lost = path! { serving(); Serve LIFE => check(); Check LIFE => checked(Checked::Lost); };
    for (step, why) in [idle, told, lost].into_iter().zip(WHY) {
        let Step::Look(look) = step else { panic!("{}", step.name()) };
        assert_eq!(look.why(), why);
    }
}

// Every step that can be reached.

/// What a true driver knows, told by the answers alone.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
struct World {
    holds: Holds,
    gate: Gate,
    handler: bool,
    listening: bool,
    registered: bool,
    retiring: bool,
    /// The point was found damaged since it was locked.
    damaged: bool,
    /// The life file was found to be gone since the point was locked.
    robbed: bool,
    overdue: bool,
    withdrawn: bool,
}

/// All that can come next, the client's coming and going included.
fn answers(step: &Step, world: &World) -> Vec<(Step, World)> {
    let same = || world.clone();
    let like = |change: fn(&mut World)| {
        let mut world = world.clone();
        change(&mut world);
        world
    };
    let mut next = match step.clone() {
        Step::Watch(s) => vec![(s.ordered(), same())],
        Step::Claim(s) => vec![(s.clone().claimed(), like(|w| w.holds.life = true)), (s.busy(), same())],
        Step::Build(s) => vec![(s.clone().built(), like(|w| w.handler = true)), (s.failed(), same())],
        Step::Listen(s) => {
            // Without a port the handler is not kept.
            vec![(s.clone().listening(), like(|w| w.listening = true)), (s.failed(), like(|w| w.handler = false))]
        }
        Step::Ready(s) => vec![(s.said(), same())],
        Step::Registered(s) => vec![(s.registered(), like(World::register))],
        Step::Write(s) => vec![(s.written(), like(World::register))],
        Step::Refuse(s) => vec![(s.said(), same())],
        Step::Serve(s) => {
            [s.clone().check(), s.clone().idle(), s.told()].map(|step| (step, like(|w| w.overdue = false))).into()
        }
        Step::Check(s) => ALL_CHECKED.map(|checked| (s.clone().checked(checked), same())).into(),
        Step::Lock(s) => vec![(s.clone().got(), like(|w| w.holds.lock = true)), (s.busy(), same())],
        Step::Backoff(s) => {
            vec![(s.clone().elapsed(), same()), (s.clone().told(), same()), (s.overdue(), like(|w| w.overdue = true))]
        }
        Step::Recheck(s) => {
            let found =
                |checked| World { damaged: checked == Checked::Damaged, robbed: checked == Checked::Robbed, ..same() };
            ALL_CHECKED.map(|checked| (s.clone().checked(checked), found(checked))).into()
        }
        Step::Reclaim(s) => [s.clone().claimed(), s.clone().lost(), s.failed()].map(|step| (step, same())).into(),
        Step::Restore(s) => vec![(s.restored(), same())],
        Step::Look(s) => {
            let mut world = world.clone();
            let shut = world.gate.look(s.why());
            world.retiring = shut;
            vec![(if shut { s.shut() } else { s.counted() }, world)]
        }
        Step::Withdraw(s) => vec![(s.withdrawn(), like(|w| w.withdrawn = true))],
        Step::Close(s) => vec![(s.closed(), like(|w| w.listening = false))],
        Step::Unlock(s) => vec![(s.unlocked(), like(|w| (w.holds.lock, w.damaged, w.robbed) = (false, false, false)))],
        Step::Drain(s) => vec![(s.drained(), like(|w| w.handler = false))],
        Step::Release(s) => vec![(s.released(), like(|w| w.holds.life = false))],
        Step::Done(_) => return vec![],
    };
    let mut visited = world.clone();
    match world.gate.counted() {
        0 => assert_eq!(visited.gate.admit(), world.serving(), "admitted at {}", step.name()),
        _ => visited.gate.leave(),
    }
    next.push((step.clone(), visited));
    next
}

const ALL_CHECKED: [Checked; 5] =
    [Checked::Mine, Checked::Damaged, Checked::Robbed, Checked::Lost, Checked::CannotTell];

impl World {
    fn register(&mut self) {
        self.registered = true;
        self.gate.open();
    }

    fn serving(&self) -> bool {
        self.registered && !self.retiring
    }

    /// What must be true at every step.
    fn check(&self, step: &Step) {
        assert_eq!(step.holds(), self.holds, "held at {}", step.name());
        assert_eq!(self.gate.is_open(), self.serving(), "the gate at {}", step.name());
        assert!(!self.handler || self.holds.life, "OneHandler at {}", step.name());
        let held = match step {
            Step::Write(_) => self.holds == BOTH && !self.registered,
            Step::Restore(_) => self.holds == BOTH && self.damaged && self.serving(),
            Step::Reclaim(_) => self.holds == BOTH && self.robbed && self.serving(),
            Step::Withdraw(Withdraw { why }) => {
                self.holds == BOTH && self.retiring && (*why != Retire::Idle || self.gate.counted() == 0)
            }
            Step::Serve(_) | Step::Check(_) | Step::Backoff(_) => self.holds == LIFE && self.serving(),
            Step::Drain(_) => self.holds == LIFE && self.retiring && !self.listening,
            Step::Release(_) => self.holds == LIFE && !self.handler && !self.listening,
            Step::Done(done) => self.holds == NOTHING && self.ended(*done),
            _ => true,
        };
        assert!(held, "{step:?} in {self:?}");
    }

    /// Whether this is how a server in such a world may end.
    fn ended(&self, done: Done) -> bool {
        match done {
            Done::Busy | Done::Failed => !self.registered,
            Done::Retired(why) => {
                let withdrawn = match why {
                    Retire::Idle => self.withdrawn,
                    Retire::Told => self.withdrawn || self.overdue,
                    Retire::Lost => !self.withdrawn,
                };
                self.registered && self.retiring && withdrawn
            }
        }
    }
}

#[test]
fn every_reachable_step_keeps_what_a_server_promises() {
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
                if let Step::Done(done) = step {
                    ends.insert(format!("{done:?}"));
                }
            }
        }
        let all = "Backoff Build Check Claim Close Done Drain Listen Lock Look Ready Recheck Reclaim Refuse Registered \
                   Release Restore Serve Unlock Watch Withdraw Write";
        let expected: BTreeSet<_> = all.split_whitespace().filter(|name| !never.contains(name)).collect();
        assert_eq!(names, expected, "{starter:?}");
        let expected = ["Busy", "Failed", "Retired(Idle)", "Retired(Lost)", "Retired(Told)"];
        assert!(ends.iter().eq(expected.iter()), "{starter:?} ended as {ends:?}");
    }
}
