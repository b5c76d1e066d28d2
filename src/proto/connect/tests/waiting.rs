//! What the steps of whole connects wait for.

use super::*;
use crate::proto::waiting::{Kind, Seen};

/// Passes steps by in order, and returns what the last of them waits for.
fn at(trail: &mut Trail, steps: &[&Step], child: Option<u32>) -> Seen {
    steps.iter().map(|step| trail.at(step, child)).last().expect("a step")
}

fn pauses(unlock: &Step) -> Step {
    at!(unlock.clone(), Unlock).unlocked()
}

#[test]
fn a_dial_waits_for_the_answer_of_its_server() {
    for step in questions(EXTERNAL, dialling(EXTERNAL)) {
        assert_eq!(Trail::default().at(&step, None), Seen::waits(Kind::Answer, Some(1)), "{}", step.name());
    }
}

#[test]
fn a_busy_point_lock_is_waited_for_and_a_lock_that_is_held_is_not() {
    let (trail, dial) = (&mut Trail::default(), dialling(EXTERNAL));
    let lock = failed(dial.clone(), DialFailure::Refused);
    let backoff = at!(lock.clone(), Lock).tried(Tried::Busy);
    assert_eq!(at(trail, &[&dial, &lock], None), Seen::Nothing);
    assert_eq!(at(trail, &[&backoff], None), Seen::waits(Kind::PointLock, None));
    let reread = at!(lock.clone(), Lock).tried(Tried::Locked);
    assert_eq!(at(trail, &[&lock, &reread], None), Seen::Locked);
}

#[test]
fn a_full_server_is_waited_for_and_no_lock() {
    for step in questions(EXTERNAL, dialling(EXTERNAL)) {
        let trail = &mut Trail::default();
        at(trail, &[&dialling(EXTERNAL)], None);
        trail.at(&step, None);
        // A server says so only to a client that has proved itself.
        let kind = if let Step::Welcome(_) = step { Kind::Full } else { Kind::Answer };
        let backoff = failed(step, DialFailure::Full(1));
        assert_eq!(trail.at(&backoff, None), Seen::waits(kind, Some(1)));
    }
    let lock = path! { first(EXTERNAL, shared(here()), Versions::ANY); Read NOTHING => found(Found::Empty); };
    let reread = path! { lock.clone(); Lock NOTHING => tried(Tried::Locked); };
    let dial = path! { reread.clone(); Reread POINT => found(found(1)); };
    let backoff = pauses(&failed(dial.clone(), DialFailure::Full(1)));
    let trail = &mut Trail::default();
    assert_eq!(at(trail, &[&lock, &reread, &dial, &backoff], None), Seen::waits(Kind::Answer, Some(1)));
}

#[test]
fn each_lock_that_is_held_is_waited_for_as_what_the_record_says() {
    let [_, empty, _, _, _, machine, namespace, _] = undialable();
    for (found, kind, pid) in [
        (empty, Kind::LifetimeLock, None),
        (machine, Kind::OutOfReach, Some(1)),
        (namespace, Kind::OutOfReach, Some(1)),
        (found(1), Kind::Answer, Some(1)),
    ] {
        let (trail, lock) = (&mut Trail::default(), failed(dialling(EXTERNAL), DialFailure::Refused));
        let reread = at!(lock.clone(), Lock).tried(Tried::Locked);
        let probe = at!(reread.clone(), Reread).found(found.clone());
        let unlock = at!(probe.clone(), Probe).answered(Lifetime::Held);
        let backoff = pauses(&unlock);
        let read = at!(backoff.clone(), Backoff).elapsed();
        assert_eq!(at(trail, &[&lock, &reread, &probe, &unlock], None), Seen::Nothing, "{found:?}");
        assert_eq!(at(trail, &[&backoff], None), Seen::waits(kind, pid), "{found:?}");
        assert_eq!(at(trail, &[&read, &lock, &at!(lock.clone(), Lock).tried(Tried::Busy)], None).pid(), None);
    }
    let (trail, lock) = (&mut Trail::default(), failed(dialling(EXTERNAL), DialFailure::Refused));
    let probe = path! { suspecting(EXTERNAL); Reread POINT => found(found(1)); };
    let unlock = at!(probe.clone(), Probe).answered(Lifetime::Absent);
    let wait = pauses(&unlock);
    assert_eq!(at(trail, &[&lock, &probe, &unlock, &wait], None), Seen::waits(Kind::LifeFile, Some(1)));
}

impl Seen {
    fn pid(self) -> Option<u32> {
        if let Seen::Waits(cause) = self { cause.pid } else { None }
    }
}

#[test]
fn a_server_that_was_full_is_waited_for_as_full_while_it_is_dialled() {
    let (trail, first) = (&mut Trail::default(), questions(EXTERNAL, dialling(EXTERNAL)));
    for step in &first {
        assert_eq!(trail.at(step, None), Seen::waits(Kind::Answer, Some(1)), "{}", step.name());
    }
    let full = Seen::waits(Kind::Full, Some(1));
    let [.., welcome] = first;
    let backoff = failed(welcome, DialFailure::Full(4));
    assert_eq!(trail.at(&backoff, None), full);
    let dials = |pid| path! { backoff.clone(); Backoff NOTHING => elapsed(); Read NOTHING => found(found(pid)); };
    for _ in 0..2 {
        let again = questions(EXTERNAL, dials(1));
        for step in &again {
            assert_eq!(trail.at(step, None), full, "{}", step.name());
        }
        let [.., welcome] = again;
        assert_eq!(trail.at(&failed(welcome, DialFailure::Full(4)), None), full);
    }
    assert_eq!(trail.at(&dials(2), None), Seen::waits(Kind::Answer, Some(2)), "another server");
    let lock = failed(dials(1), DialFailure::Refused);
    let busy = at!(lock.clone(), Lock).tried(Tried::Busy);
    assert_eq!(at(trail, &[&lock, &busy], None), Seen::waits(Kind::PointLock, None), "it did not answer");
}

#[test]
fn an_older_server_is_waited_for_while_it_drains() {
    let newer = Versions { ours: 2, ..Versions::ANY };
    let dial = path! { first(EXTERNAL, shared(here()), newer); Read NOTHING => found(found(1)); };
    let [.., welcome] = questions(Goal::Retire, dial);
    let trail = &mut Trail::default();
    assert_eq!(at(trail, &[&welcome], None), Seen::waits(Kind::Answer, Some(1)));
    let backoff = at!(welcome, Welcome).welcomed(WELCOMED);
    assert_eq!(at(trail, &[&backoff], None), Seen::waits(Kind::Drain, Some(1)));
    let lock = path! { backoff; Backoff NOTHING => elapsed(); Read NOTHING => found(found(1)); };
    let probe = path! { lock.clone(); Lock NOTHING => tried(Tried::Locked); Reread POINT => found(found(1)); };
    let unlock = at!(probe.clone(), Probe).answered(Lifetime::Held);
    assert_eq!(at(trail, &[&lock, &probe, &pauses(&unlock)], None), Seen::waits(Kind::Drain, Some(1)));
}

#[test]
fn a_child_is_waited_for_until_it_is_ready_busy_or_gone() {
    let start = |child| Seen::waits(Kind::Start, child);
    for goal in SPAWNING {
        let trail = &mut Trail::default();
        let clear = clearing(goal);
        let spawn = path! { clear.clone(); Clear POINT => cleared(drawn(7)); };
        let awaits = at!(spawn.clone(), Spawn).spawned();
        assert_eq!(at(trail, &[&clear], None), Seen::Nothing);
        assert_eq!((at(trail, &[&spawn], None), at(trail, &[&awaits], Some(7))), (start(None), start(Some(7))));
        let verify = at!(awaits.clone(), Await).ready(record(7));
        let write = path! { verify.clone(); Verify CHILD => answered(Lifetime::Held); };
        let confirm = path! { write.clone(); Write CHILD => written(); };
        for step in [&verify, &write, &confirm] {
            assert_eq!(trail.at(step, Some(7)), Seen::Nothing, "{}", step.name());
        }
        let dial = at!(confirm, Confirm).confirmed();
        assert_eq!(trail.at(&dial, None), Seen::waits(Kind::Answer, Some(7)));

        let kill = at!(awaits.clone(), Await).busy();
        let unlock = path! { kill.clone(); Kill CHILD => killed(); };
        at(trail, &[&spawn], None);
        assert_eq!(at(trail, &[&awaits, &kill, &unlock], Some(7)), Seen::Nothing);
        assert_eq!(trail.at(&pauses(&unlock), None), Seen::waits(Kind::LifetimeLock, None));

        let kill = at!(awaits.clone(), Await).failed();
        let next = path! { kill.clone(); Kill CHILD => killed(); };
        at(trail, &[&awaits, &kill], Some(7));
        match next {
            Step::Fallback(_) => {
                assert_eq!(trail.at(&next, None), Seen::waits(Kind::Exit, Some(7)));
                let unlock = path! { next; Fallback POINT => not_free(); };
                assert_eq!(at(trail, &[&unlock, &pauses(&unlock)], None), Seen::waits(Kind::Exit, Some(7)));
            }
            unlock => assert_eq!(at(trail, &[&unlock, &pauses(&unlock)], None), Seen::Nothing, "it has failed"),
        }
    }
}
