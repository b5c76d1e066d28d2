//! Tests of the serving machine: the gate, restoring, retiring.

use super::*;

const NOTHING: Holds = Holds { lock: false, life: false };
const LIFE: Holds = Holds { lock: false, life: true };
const BOTH: Holds = Holds { lock: true, life: true };

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

fn serving() -> Step {
    Step::registered()
}

fn requested() -> Step {
    path! { serving(); Serve LIFE => requested(); }
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

/// Retires without the point lock, from *Look* to the end, and does not change the point.
fn leaves(look: Step) -> Step {
    path! { look;
        Look LIFE => shut();
        Close LIFE => closed();
        Drain LIFE => drained();
        Release LIFE => released();
    }
}

/// Asserts the name of the step and what is held there.
#[track_caller]
fn assert_at(step: &Step, name: &str, holds: Holds) {
    assert_eq!((step.name(), step.holds()), (name, holds));
}

// The gate.

const WHY: [Retire; 3] = [Retire::Idle, Retire::Requested, Retire::Lost];

fn open_gate(clients: u32) -> Gate {
    let mut gate = Gate::new();
    gate.open();
    assert!((0..clients).all(|_| gate.admit()));
    gate
}

#[test]
fn no_client_is_admitted_before_the_gate_is_open() {
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
fn only_a_counted_client_keeps_the_gate_of_an_idle_server_open() {
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
            // A counted client may finish, and is counted until then.
            (0..inside).for_each(|_| gate.leave());
            assert_eq!(gate.counted(), 0, "{why:?} with {clients}");
        }
    }
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
fn a_point_found_intact_under_the_lock_is_left_alone() {
    for checked in [Checked::Mine, Checked::CannotTell] {
        let step = path! { restoring(); Lock LIFE => got(); Recheck BOTH => checked(checked); };
        assert_eq!(path! { step; Unlock BOTH => unlocked(); }, serving());
    }
}

#[test]
fn a_server_that_is_lost_under_the_lock_ends_and_touches_nothing() {
    let look = path! { restoring();
        Lock LIFE => got();
        Recheck BOTH => checked(Checked::Lost);
        Unlock BOTH => unlocked();
    };
    assert_eq!(leaves(look), Step::Done(Done::Retired(Retire::Lost)));
}

#[test]
fn a_server_serves_while_it_waits_for_the_lock_to_restore() {
    let mut step = restoring();
    for _ in 0..100 {
        step = path! { step; Lock LIFE => busy(); Backoff LIFE => elapsed(); };
    }
    assert_eq!(step, restoring());
    assert_eq!(path! { step; Lock LIFE => busy(); Backoff LIFE => overdue(); }, serving());
}

#[test]
fn a_server_that_waits_to_restore_retires_when_asked() {
    assert_eq!(path! { restoring(); Lock LIFE => busy(); Backoff LIFE => requested(); }, requested());
}

#[test]
fn every_result_of_a_try_of_the_point_lock_for_every_purpose() {
    use Purpose::{Idle, Requested, Restore};
    for (purpose, tried, next, rests) in [
        (Idle, Tried::Locked, "Look", false),
        (Idle, Tried::Busy, "Serve", true),
        (Idle, Tried::Elsewhere, "Serve", true),
        (Idle, Tried::Absent, "Serve", true),
        (Idle, Tried::Failed, "Look", false),
        (Requested, Tried::Locked, "Look", false),
        (Requested, Tried::Busy, "Backoff", false),
        (Requested, Tried::Elsewhere, "Backoff", false),
        (Requested, Tried::Absent, "Backoff", false),
        (Requested, Tried::Failed, "Backoff", false),
        (Restore, Tried::Locked, "Recheck", false),
        (Restore, Tried::Busy, "Backoff", false),
        (Restore, Tried::Elsewhere, "Backoff", false),
        (Restore, Tried::Absent, "Backoff", false),
        (Restore, Tried::Failed, "Backoff", false),
    ] {
        let lock = Lock { purpose };
        assert_eq!(lock.restarts_idle(tried), rests, "{purpose:?}, {tried:?}");
        let step = lock.tried(tried);
        assert_eq!((step.name(), step.holds().lock), (next, tried == Tried::Locked), "{purpose:?}, {tried:?}");
    }
}

// Retiring.

#[test]
fn an_idle_server_withdraws_under_the_lock_and_drains_before_it_releases() {
    let step = withdraws(path! { serving(); Serve LIFE => idle(); Lock LIFE => got(); });
    assert_at(&step, "Done", NOTHING);
    assert_eq!(step, Step::Done(Done::Retired(Retire::Idle)));
}

#[test]
fn an_idle_server_stays_if_the_point_is_locked_or_a_client_arrived() {
    assert_eq!(path! { serving(); Serve LIFE => idle(); Lock LIFE => busy(); }, serving());
    let step = path! { serving(); Serve LIFE => idle(); Lock LIFE => got(); Look BOTH => counted(); };
    assert_eq!(path! { step; Unlock BOTH => unlocked(); }, serving());
}

#[test]
fn a_server_asked_to_retire_tries_the_lock_until_it_withdraws() {
    let mut step = requested();
    for _ in 0..100 {
        step = path! { step; Lock LIFE => busy(); Backoff LIFE => elapsed(); };
        step = path! { step; Lock LIFE => busy(); Backoff LIFE => requested(); };
    }
    let step = withdraws(path! { step; Lock LIFE => got(); });
    assert_eq!(step, Step::Done(Done::Retired(Retire::Requested)));
}

#[test]
fn an_overdue_server_drains_but_does_not_withdraw() {
    let step = leaves(path! { requested(); Lock LIFE => busy(); Backoff LIFE => overdue(); });
    assert_eq!(step, Step::Done(Done::Retired(Retire::Requested)));
}

#[test]
fn a_lost_server_never_takes_the_point_lock() {
    let step = leaves(path! { serving(); Serve LIFE => check(); Check LIFE => checked(Checked::Lost); });
    assert_eq!(step, Step::Done(Done::Retired(Retire::Lost)));
}

#[test]
fn a_server_makes_a_removed_life_file_again_under_the_point_lock() {
    let reclaim = path! {
        serving(); Serve LIFE => check(); Check LIFE => checked(Checked::LifeFileGone); Lock LIFE => got();
        Recheck BOTH => checked(Checked::LifeFileGone);
    };
    // The point is checked again afterwards.
    let recheck = path! { reclaim.clone(); Reclaim BOTH => claimed(); };
    assert_eq!(
        path! { recheck.clone(); Recheck BOTH => checked(Checked::Mine); Unlock BOTH => unlocked(); },
        serving()
    );
    let restore = path! { recheck; Recheck BOTH => checked(Checked::Damaged); Restore BOTH => restored(); };
    assert_eq!(path! { restore; Unlock BOTH => unlocked(); }, serving());
    assert_eq!(path! { reclaim.clone(); Reclaim BOTH => failed(); Unlock BOTH => unlocked(); }, serving());
    // If another process has locked it, the server retires.
    let step = leaves(path! { reclaim; Reclaim BOTH => lost(); Unlock BOTH => unlocked(); });
    assert_eq!(step, Step::Done(Done::Retired(Retire::Lost)));
}

#[test]
fn a_look_passes_the_reason_to_the_gate() {
    let idle = path! { serving(); Serve LIFE => idle(); Lock LIFE => got(); };
    let requested = path! { requested(); Lock LIFE => got(); };
    let lost = path! { serving(); Serve LIFE => check(); Check LIFE => checked(Checked::Lost); };
    for (step, why) in [idle, requested, lost].into_iter().zip(WHY) {
        let Step::Look(look) = step else { panic!("{}", step.name()) };
        assert_eq!(look.why(), why);
    }
}
