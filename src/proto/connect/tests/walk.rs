//! Walks every reachable step, from every goal and with every result.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::*;

/// The state that a correct driver has, derived from the results alone.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
struct World {
    holds: Holds,
    /// The lifetime lock was free, and no server was started since.
    free: bool,
    cleared: bool,
    verified: bool,
    /// A failure happened for which Robust falls back, and no live server was found since.
    listed: bool,
    looked: bool,
    suspect: Option<Record>,
    /// The suspect may be dialled again.
    again: bool,
    /// The client has waited for a life file since it first dialled the suspect.
    waited: bool,
    starts: u8,
    free_dials: u8,
    /// The dials and the dead servers; counted only without faults, since faults leave them unbounded.
    dials: u8,
    gone: Vec<Record>,
}

/// Returns the step after every possible result of a step, and the world after it.
fn answers(goal: Goal, faults: bool, step: &Step, world: &World) -> Vec<(Step, World)> {
    const OFTEN: bool = false;
    const FAULT: bool = true;
    let mut next = Vec::new();
    let mut add = |fault: bool, step: Step, change: &dyn Fn(&mut World)| {
        let mut world = world.clone();
        change(&mut world);
        world.enter(&step, faults);
        next.extend((faults || !fault).then_some((step, world)));
    };
    let same = |_: &mut World| ();
    let listed = |w: &mut World| w.listed = true;
    let is_gone = |found: &Found| matches!(found, Found::Record(record) if world.gone.contains(record));
    let children = (0..world.starts).map(|start| 10 + start);
    let records = [1, 2].into_iter().chain(children).map(|number| (OFTEN, found(number)));
    let others = undialable().into_iter().enumerate().map(|(at, found)| (at >= 2, found));
    match step.clone() {
        Step::Read(s) => records.chain(others).for_each(|(fault, found)| add(fault, s.clone().found(found), &same)),
        Step::Reread(s) => records.chain(others).for_each(|(fault, found)| {
            // A server withdraws its record under the lock before it ends.
            let fault = fault || is_gone(&found);
            let next = s.clone().found(found.clone());
            let suspected = matches!(&next, Step::Probe(probe) if probe.row() == Row::Suspected);
            add(fault, next, &|w| {
                if let (true, Found::Record(record)) = (suspected, &found) {
                    w.suspect = Some(record.clone());
                }
            });
        }),
        Step::Lock(s) => {
            add(OFTEN, s.clone().tried(Tried::Locked), &|w| w.holds.lock = true);
            add(OFTEN, s.clone().tried(Tried::Busy), &same);
            add(OFTEN, s.clone().tried(Tried::Elsewhere), &same);
            if !s.creates() {
                add(OFTEN, s.clone().tried(Tried::Absent), &same);
            }
            add(true, s.tried(Tried::Failed), &same);
        }
        Step::Probe(s) => LIFETIMES.into_iter().for_each(|lifetime| {
            // A life file exists before a record, and only a fault removes it.
            let removed = lifetime == Lifetime::Absent && s.row() != Row::Nothing;
            add(removed || lifetime == Lifetime::CannotTell, s.clone().answered(lifetime), &|w| {
                // Beside a complete record of this place, an absent life file counts as free only after a wait.
                let waits = matches!(s.row(), Row::Suspected | Row::Apart | Row::Newer | Row::Replaced) && !w.waited;
                w.waited &= lifetime == Lifetime::Absent;
                w.free = lifetime == Lifetime::Free || (lifetime == Lifetime::Absent && !waits);
                w.again = lifetime == Lifetime::Absent && waits && s.row() == Row::Suspected;
                w.listed |= w.free && w.starts == 3;
                w.again |= lifetime == Lifetime::Held && s.row() == Row::Suspected;
            });
        }),
        Step::Clear(s) => {
            add(OFTEN, s.clone().cleared(drawn(10 + world.starts)), &|w| w.cleared = true);
            add(FAULT, s.too_late(), &same);
        }
        Step::Spawn(s) => {
            let started = |w: &mut World| (w.holds, w.free, w.cleared, w.starts) = (CHILD, false, false, w.starts + 1);
            add(OFTEN, s.clone().spawned(), &started);
            add(FAULT, s.cannot_execute(), &listed);
        }
        Step::Await(s) => {
            add(OFTEN, s.clone().ready(record(9 + world.starts)), &same);
            add(OFTEN, s.clone().busy(), &|w| w.starts -= 1);
            add(FAULT, s.clone().ready(record(1)), &listed);
            add(FAULT, s.failed(), &listed);
        }
        Step::Verify(s) => LIFETIMES.into_iter().for_each(|lifetime| {
            let held = lifetime == Lifetime::Held;
            add(!held, s.clone().answered(lifetime), &|w| w.verified = held);
        }),
        Step::Write(s) => add(OFTEN, s.written(), &|w| w.holds = WHOLE),
        Step::Confirm(s) => add(OFTEN, s.confirmed(), &|w| (w.holds, w.verified) = (POINT, false)),
        Step::Fallback(s) => {
            add(OFTEN, s.clone().free(), &|w| w.looked = true);
            add(OFTEN, s.not_free(), &|w| w.listed = false);
        }
        Step::Kill(s) => add(OFTEN, s.killed(), &|w| w.holds.child = false),
        Step::Unlock(s) => add(OFTEN, s.unlocked(), &|w| (w.holds.lock, w.free, w.cleared) = (false, false, false)),
        Step::Backoff(s) => add(OFTEN, s.elapsed(), &same),
        Step::Wait(s) => add(FAULT, s.elapsed(), &|w| w.waited = true),
        Step::Dial(s) => add(OFTEN, s.connected(party(), NONCE), &same),
        Step::Hello(s) => add(OFTEN, s.sent(), &same),
        Step::Prove(s) => {
            let proof = s.judge(&server_proof(goal, s.record())).unwrap();
            add(OFTEN, s.proved(proof), &same);
        }
        Step::Welcome(s) => add(OFTEN, s.welcomed(WELCOMED), &same),
        Step::Done(_) => {}
    }
    if let Step::Dial(Dial { dialing })
    | Step::Hello(Hello { dialing, .. })
    | Step::Prove(Prove { dialing, .. })
    | Step::Welcome(Welcome { dialing, .. }) = step
    {
        // Without faults only a dead server fails a dial, and no server retires while the point is locked.
        let failure = SUSPICIONS.map(|failure| (step.holds().lock, failure));
        let others = [DialFailure::Local, DialFailure::Unsupported(NO), DialFailure::Full(1)];
        for (fault, failure) in failure.into_iter().chain(others.map(|failure| (FAULT, failure))) {
            add(fault, failed(step.clone(), failure), &|w| {
                w.waited &= w.suspect.as_ref() == Some(&dialing.record);
                w.suspect = Some(dialing.record.clone());
                w.again |= failure == DialFailure::Full(1);
                w.gone.extend((!faults).then(|| dialing.record.clone()));
            });
        }
    }
    next
}

impl World {
    /// Counts dials, and asserts that they are allowed.
    fn enter(&mut self, step: &Step, faults: bool) {
        if let Step::Dial(dial) = step {
            let again = self.suspect.as_ref() == Some(dial.record());
            assert!(!again || (self.again && !self.holds.lock), "dialled again: {self:?}");
            self.free_dials += u8::from(!again && !self.holds.lock);
            self.dials += u8::from(!faults);
        }
        self.again &= matches!(step, Step::Unlock(_) | Step::Backoff(_) | Step::Wait(_) | Step::Read(_));
    }

    /// Asserts what must hold at every step.
    fn check(&self, goal: Goal, step: &Step) {
        assert_eq!(step.holds(), self.holds, "held at {}", step.name());
        assert!(self.starts <= 3 && self.free_dials <= 2 && self.dials <= 3, "at {} in {self:?}", step.name());
        let allowed = match step {
            Step::Clear(_) => self.holds == POINT && self.free,
            Step::Spawn(_) => self.holds == POINT && self.cleared && SPAWNING.contains(&goal),
            Step::Write(_) => self.holds == CHILD && self.verified,
            Step::Fallback(_) => self.holds == POINT && self.listed && goal == ROBUST,
            Step::Done(Done::Start) => self.holds == POINT && self.cleared,
            Step::Done(Done::Internal) if goal == ROBUST => self.holds == NOTHING && self.listed && self.looked,
            Step::Done(_) => self.holds == NOTHING,
            _ => self.holds.lock || self.holds == NOTHING,
        };
        assert!(allowed, "{step:?} in {self:?}");
    }
}

/// Walks every reachable step of a goal. Returns the names of the steps and of the ends.
fn walk(goal: Goal, faults: bool) -> (BTreeSet<&'static str>, String) {
    let mut open = VecDeque::from([(first(goal, shared(here()), Versions::ANY), World::default())]);
    let (mut seen, mut names, mut ends) = (HashSet::new(), BTreeSet::new(), BTreeSet::new());
    while let Some((step, world)) = open.pop_front() {
        if seen.insert((step.clone(), world.clone())) {
            assert!(seen.len() < 200_000, "the walk does not end");
            world.check(goal, &step);
            names.insert(step.name());
            open.extend(answers(goal, faults, &step, &world));
            if let Step::Done(done) = step {
                ends.extend(format!("{done:?}").split('(').next().map(String::from));
            }
        }
    }
    (names, ends.into_iter().collect::<Vec<_>>().join(" "))
}

#[test]
fn every_reachable_step_keeps_the_guarantees_of_its_goal() {
    let all = "Await Backoff Clear Confirm Dial Done Fallback Hello Kill Lock Probe Prove Read Reread Spawn Unlock \
               Verify Wait Welcome Write";
    let spawning = "Await Confirm Kill Spawn Verify Write Fallback";
    for (goal, never, how) in [
        (EXTERNAL, "Fallback", "Failed Refused TooLate Trouble Unsupported Unverified Welcomed"),
        (ROBUST, "", "Internal Refused TooLate Trouble Unsupported Unverified Welcomed"),
        (Goal::Serve, spawning, "Refused Start TooLate Trouble Unsupported Welcomed"),
        (Goal::Retire, &format!("{spawning} Clear"), "Absent Refused Trouble Unsupported Welcomed"),
        (Goal::Join, &format!("{spawning} Clear"), "Absent Refused Trouble Unsupported Welcomed"),
        (INTERNAL, &format!("{spawning} Clear Lock Probe Reread Unlock Wait"), "Internal Trouble Unsupported Welcomed"),
    ] {
        let (names, ends) = walk(goal, true);
        let never: Vec<_> = never.split_whitespace().collect();
        assert!(names.into_iter().eq(all.split_whitespace().filter(|name| !never.contains(name))), "{goal:?}");
        assert_eq!(ends, how, "{goal:?}");
    }
}

#[test]
fn a_connect_without_faults_succeeds_within_three_dials() {
    let ends = GOALS.map(|goal| walk(goal, false).1);
    let over = "Absent Welcomed";
    assert_eq!(ends, ["Welcomed", "Welcomed", "Start Welcomed", over, over, "Internal Welcomed"]);
}
