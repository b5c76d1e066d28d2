//! Runs of the driver over a simulated system. `cargo xtask sim` runs more of them.

use std::collections::BTreeSet;

use sim::sim::{Plan, Report, run};

/// Runs a plan, and returns its report if all properties hold.
fn judged(plan: Plan) -> Report {
    let report = run(plan);
    let log = || report.log.iter().rev().take(40).rev().map(|entry| format!("{entry:?}\n")).collect::<String>();
    assert_eq!(report.violation, None, "{plan:?}\n{}", log());
    report
}

#[test]
fn a_thousand_seeds_keep_the_properties_and_reach_every_step() {
    let reached: BTreeSet<&str> = (0..1000).flat_map(|seed| judged(Plan::of(seed)).steps).collect();
    for step in [
        // Of a client.
        "Read",
        "Lock",
        "Reread",
        "Probe",
        "Clear",
        "Spawn",
        "Await",
        "Verify",
        "Write",
        "Confirm",
        "Dial",
        "Hello",
        "Prove",
        "Welcome",
        "Kill",
        "Unlock",
        "Backoff",
        "Wait",
        "Done",
        // Of a server.
        "Watch",
        "Claim",
        "Build",
        "Listen",
        "Ready",
        "Registered",
        "Refuse",
        "Serve",
        "Check",
        "Recheck",
        "Reclaim",
        "Restore",
        "Look",
        "Withdraw",
        "Close",
        "Drain",
        "Release",
    ] {
        assert!(reached.contains(step), "no run was at {step}: {reached:?}");
    }
}

#[test]
fn a_seed_is_run_the_same_way_each_time() {
    for seed in 0..30 {
        let lines = |report: Report| report.log.into_iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>();
        let (first, again) = (lines(run(Plan::of(seed))), lines(run(Plan::of(seed))));
        let differs = first.iter().zip(&again).find(|(one, other)| one != other);
        assert!(first == again, "seed {seed}: {differs:?}");
    }
}

#[test]
fn a_kill_before_each_effect_of_a_run_breaks_no_property() {
    for seed in [0, 6] {
        let effects = judged(Plan::of(seed)).effects;
        assert!(effects > 50, "too little happens");
        for nth in 1..=effects {
            let report = judged(Plan { kill_at: Some(nth), ..Plan::of(seed) });
            assert_eq!(report.faults.get("killed"), Some(&1), "effect {nth} of seed {seed}");
        }
    }
}
