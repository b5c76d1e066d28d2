//! Tests of the explaining: each cell of its tables, and whom a fault excuses, when, and for how long.

use std::fmt::Write;
use std::time::Duration;

use crate::explain::{self, BEARINGS, FAILURES, Failure, PHASES, Span};
use crate::history::{History, Times};
use crate::order::Order;
use crate::piece::{Piece, sum};
use crate::plan::FAULTS;
use crate::pulse;
use crate::round::split;

type Tested = Result<(), String>;

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, is: T, wanted: T) -> Tested {
    if is == wanted { Ok(()) } else { Err(format!("{what}: {is:?} instead of {wanted:?}")) }
}

/// `tests/chaos/explain.txt` has every cell: what it does not list explains nothing. `UPDATE=1` writes it.
pub fn each_cell_of_the_explaining_is_the_reviewed_one() -> Tested {
    let mut text = String::new();
    for (failure, bearing, phase) in cells() {
        let faults = FAULTS.into_iter().filter(|fault| explain::causes(failure, bearing, *fault, phase));
        let faults: Vec<_> = faults.map(|fault| format!("{fault:?}")).collect();
        if !faults.is_empty() {
            writeln!(text, "{failure:?}, {bearing:?} that {phase:?}: {}", faults.join(" ")).unwrap();
        }
    }
    for bearing in BEARINGS {
        for fault in FAULTS {
            let span = explain::holds_up(bearing, fault);
            if span != Span::None {
                writeln!(text, "{fault:?} of {bearing:?} holds up: {span:?}").unwrap();
            }
        }
    }
    let cut: Vec<_> = FAULTS.into_iter().filter(|fault| explain::cuts_off(*fault)).collect();
    writeln!(text, "cut off by: {cut:?}").unwrap();
    for earlier in PHASES {
        let may = [(false, false), (false, true), (true, false), (true, true)];
        let may = may.map(|(life, point)| explain::may_overlap(earlier, life, point));
        writeln!(
            text,
            "overlaps a handler that {earlier:?}, with no file removed, the point, the life file, both: {may:?}"
        )
        .unwrap();
    }
    for why in ["Idle", "Requested", "Lost"] {
        let may = [(false, false), (false, true), (true, false), (true, true)];
        let may = may.map(|(asked, life)| explain::may_retire(why, asked, life));
        writeln!(text, "retires for {why}, with no reason, no life file, a request, both: {may:?}").unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/explain.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &text).map_err(|error| error.to_string())?;
    }
    let kept = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if kept == text { Ok(()) } else { Err(format!("{path} is another. UPDATE=1 writes:\n{text}")) }
}

fn cells() -> impl Iterator<Item = (Failure, explain::Bearing, explain::Phase)> {
    let pairs = FAILURES.into_iter().flat_map(|failure| BEARINGS.map(|bearing| (failure, bearing)));
    pairs.flat_map(|(failure, bearing)| PHASES.map(|phase| (failure, bearing, phase)))
}

/// The history of these lines, each with its time in milliseconds. `continued PID` is the round's own.
fn history(asks: bool, lines: &[(u64, &str)]) -> History {
    let ms = Duration::from_millis;
    let mut history = History::new(Times { start: ms(1500), check: ms(300) }, asks);
    for (at, line) in lines {
        let (words, fields) = split(line);
        match words[..] {
            ["continued", pid] => history.resumed(ms(*at), pid.parse().unwrap()),
            _ => history.receive(ms(*at), words[0].parse().unwrap(), &words[1..], &fields),
        }
    }
    history
}

fn explains(lines: &[(u64, &str)], at: u64, pid: u32, failure: Failure) -> Option<String> {
    history(false, lines).explains(Duration::from_millis(at), pid, failure)
}

/// A client dials a server that is stopped, beside one that it never meets.
fn dials(server: u32) -> Vec<(u64, &'static str)> {
    let dial = if server == 20 {
        "10 Connect Dial record=20 how=Free lock=none"
    } else {
        "10 Connect Dial record=30 how=Free lock=none"
    };
    vec![
        (0, "20 Serve Claim lock=none"),
        (0, "20 Serve Serve lock=none"),
        (90, "20 fault Stop before Serve Answer 1"),
        (100, "10 Connect Read lock=none"),
        (110, dial),
    ]
}

pub fn a_fault_of_a_process_that_was_not_met_explains_nothing() -> Tested {
    expect("dialled", explains(&dials(20), 6100, 10, Failure::Time), Some("held up by Stop of Met".to_owned()))?;
    expect("not dialled", explains(&dials(30), 6100, 10, Failure::Time), None)?;
    // It asks for the lifetime lock, which that server holds.
    let waits = [dials(30), vec![(120, "10 Connect Probe lock=9")]].concat();
    expect("waited for", explains(&waits, 6100, 10, Failure::Time), Some("held up by Stop of Met".to_owned()))?;
    expect(
        "another's child",
        explains(
            &[
                (0, "11 Connect Await child=21 lock=9"),
                (10, "21 fault Kill before Serve Build 1"),
                (10, "10 Connect Await child=22 lock=8"),
            ],
            50,
            10,
            Failure::Start,
        ),
        None,
    )
}

pub fn a_fault_before_the_connect_or_after_the_failure_explains_nothing() -> Tested {
    let before = [dials(20), vec![(95, "continued 20")]].concat();
    expect("continued before the connect", explains(&before, 6100, 10, Failure::Time), None)?;
    expect("stopped after the failure", explains(&dials(20), 80, 10, Failure::Time), None)?;
    let child = [(0, "10 Connect Await child=20 lock=9"), (50, "20 fault Kill before Serve Build 1")];
    expect("a child, killed before", explains(&child, 60, 10, Failure::Start), Some("Kill of Child".to_owned()))?;
    expect("a child, killed after", explains(&child, 40, 10, Failure::Start), None)?;
    let anew =
        [(0, "10 Connect Await child=20 lock=9"), (50, "20 fault Kill before Serve Build 1"), (60, "10 cancelled")];
    expect("of a connect that was dropped", explains(&anew, 70, 10, Failure::Start), None)?;
    let stopped =
        [(0, "10 fault Stop before Connect Read 1"), (50, "10 cancelled"), (60, "10 Connect Await child=20 lock=9")];
    expect("stopped since", explains(&stopped, 70, 10, Failure::Start), Some("Stop of Own".to_owned()))?;
    let continued = [&stopped[..1], &[(40, "continued 10")], &stopped[1..]].concat();
    expect("continued before", explains(&continued, 70, 10, Failure::Start), None)
}

pub fn a_deadline_is_explained_by_faults_for_most_of_its_time() -> Tested {
    let stopped = [dials(20), vec![(3200, "continued 20")]].concat();
    expect("3100 of 6000 ms", explains(&stopped, 6100, 10, Failure::Time).is_some(), true)?;
    let stopped = [dials(20), vec![(3000, "continued 20")]].concat();
    expect("2900 of 6000 ms", explains(&stopped, 6100, 10, Failure::Time), None)?;
    // Two faults at the same time hold up once.
    let twice = [stopped, vec![(100, "10 fault Stop before Connect Read 1"), (3000, "continued 10")]].concat();
    expect("twice 2900 of 6000 ms", explains(&twice, 6100, 10, Failure::Time), None)?;
    // The holder of the lock waits for a server that hangs, three times.
    let hangs = [
        (0, "10 Connect Lock lock=none"),
        (0, "11 Connect Await child=21 lock=9"),
        (10, "21 fault Hang before Serve Build 1"),
        (1500, "11 Connect Await child=22 lock=9"),
        (1510, "22 fault Hang before Serve Build 1"),
        (3000, "11 Connect Await child=23 lock=9"),
        (3010, "23 fault Hang before Serve Build 1"),
    ];
    expect("a holder's children hang", explains(&hangs, 6000, 10, Failure::Time).is_some(), true)?;
    expect("one of them hangs", explains(&hangs[..3], 6000, 10, Failure::Time), None)?;
    // A server that was killed cost the time of its start, and not that for which it served.
    let killed = [
        (0, "10 Connect Lock lock=none"),
        (0, "11 Connect Await child=21 lock=9"),
        (4000, "21 fault Kill before Serve Answer 1"),
    ];
    expect("killed late", explains(&killed, 4100, 10, Failure::Time), None)?;
    expect("killed in time", explains(&killed, 2900, 10, Failure::Time), None)?;
    let killed = [&killed[..2], &[(1200, "21 fault Kill before Serve Answer 1")]].concat();
    expect("killed at once", explains(&killed, 2300, 10, Failure::Time), Some("held up by Kill of Holder".to_owned()))
}

pub fn each_server_that_vanished_needs_a_fault_of_its_own() -> Tested {
    let mut lines = vec![
        (0, "10 Connect Await child=20 lock=9"),
        (10, "20 fault Kill before Serve Serve 1"),
        (20, "10 Connect Await child=21 lock=9"),
        (30, "21 fault Kill before Serve Serve 1"),
        (40, "10 Connect Await child=22 lock=9"),
    ];
    expect("two of three", explains(&lines, 60, 10, Failure::Vanished), None)?;
    lines.push((50, "22 fault Kill before Serve Serve 1"));
    expect("three of three", explains(&lines, 60, 10, Failure::Vanished), Some("Kill of each".to_owned()))?;
    let unlinked = [
        (0, "10 Connect Await child=20 lock=9"),
        (1, "20 Serve Claim lock=none"),
        (2, "20 fault Unlink after Serve Listen 1"),
        (90, "20 Serve Done lock=none"),
    ];
    expect("without its socket", explains(&unlinked, 95, 10, Failure::Vanished), Some("Unlink of each".to_owned()))?;
    let late = [&unlinked[..2], &unlinked[3..], &[(91, unlinked[2].1)]].concat();
    expect("its socket removed later", explains(&late, 95, 10, Failure::Vanished), None)?;
    expect("no server", explains(&[(0, "10 Connect Read")], 60, 10, Failure::Vanished), None)
}

pub fn a_fault_at_a_later_step_explains_no_failed_start() -> Tested {
    let start = |fault| [(0, "10 Connect Await child=20 lock=9"), (10, fault)];
    let killed = |fault| explains(&start(fault), 60, 10, Failure::Start).is_some();
    expect("at Build", killed("20 fault Kill before Serve Build 1"), true)?;
    expect("at Drain", killed("20 fault Kill before Serve Drain 1"), false)?;
    let registered =
        [start("20 fault Kill before Serve Build 1").as_slice(), &[(5, "20 Serve Serve lock=none")]].concat();
    expect("of a registered server", explains(&registered, 60, 10, Failure::Start), None)
}

pub fn a_client_loses_only_a_server_that_was_ended_for_a_reason() -> Tested {
    let serves = [(0, "20 Serve Claim lock=none"), (1, "20 Serve Serve lock=none")];
    let loses = |asks, line| {
        history(asks, &[serves.as_slice(), &[line]].concat()).explains_loss(Duration::from_millis(100), 20)
    };
    expect("killed", loses(false, (50, "20 fault Kill before Serve Answer 1")), true)?;
    expect("killed later", loses(false, (150, "20 fault Kill before Serve Answer 1")), false)?;
    expect("stopped", loses(false, (50, "20 fault Stop before Serve Answer 1")), false)?;
    expect("another killed", loses(false, (50, "30 fault Kill before Serve Answer 1")), false)?;
    expect("idle, with a client", loses(true, (50, "20 Serve Drain why=Idle lock=none")), false)?;
    expect("asked to retire", loses(true, (50, "20 Serve Drain why=Requested lock=none")), true)?;
    expect("asked by nobody", loses(false, (50, "20 Serve Drain why=Requested lock=none")), false)?;
    expect("lost, with its file", loses(true, (50, "20 Serve Drain why=Lost lock=none")), false)
}

pub fn a_start_by_hand_yields_only_to_a_server_that_it_dialled() -> Tested {
    let serves = [(0, "20 Serve Claim lock=none"), (10, "30 Serve Done lock=none"), (10, "10 Connect Read lock=none")];
    let dials = |line| explains(&[serves.as_slice(), &[(20, line)]].concat(), 60, 10, Failure::Second).is_some();
    expect("the server", dials("10 Connect Dial record=20 how=Free lock=none"), true)?;
    expect("another", dials("10 Connect Dial record=30 how=Free lock=none"), false)
}

/// The violations of the order of these lines.
fn order(lines: &[&str]) -> Vec<String> {
    let (mut order, history) = (Order::default(), history(false, &[]));
    for line in lines {
        let (words, fields) = split(line);
        order.receive(words[0].parse().unwrap(), &words[1..], &fields, &history);
    }
    order.end()
}

pub fn the_order_of_steps_is_looked_at_also_after_a_deletion() -> Tested {
    let locked = |lines: &[&str]| order(lines).len();
    let own = ["10 Connect Lock lock=none", "10 Connect Reread lock=8 point=8", "10 Connect Probe lock=8 point=8"];
    expect("the point is locked", order(&own), vec![])?;
    expect("a step without the lock", locked(&["10 Connect Probe lock=none"]), 1)?;
    expect("a dial without the lock", locked(&["10 Connect Dial how=Holding lock=none"]), 1)?;
    expect("a dial that needs none", locked(&["10 Connect Dial how=Free lock=none"]), 0)?;
    let other = "11 Connect Reread lock=8 point=8";
    expect("another has locked it", locked(&[own[1], other, own[2]]), 1)?;
    expect("it was unlocked", locked(&[own[1], "10 Connect Backoff lock=none", other]), 0)?;
    let deleted = "12 fault Delete before Connect Leave 1";
    expect("two files", locked(&[own[0], own[1], deleted, "11 Connect Reread lock=9 point=9", own[2]]), 0)?;
    expect("the same file", locked(&[own[0], own[1], deleted, other, own[2]]), 1)?;
    let late = "10 Connect Reread lock=8 point=9";
    expect("deleted meanwhile", locked(&[own[0], deleted, late]), 0)?;
    expect("announced a moment later", locked(&[own[0], late, deleted]), 0)?;
    expect("deleted before", locked(&[deleted, own[0], late]), 1)
}

pub fn a_slow_machine_is_recognised_by_what_no_fault_can_delay() -> Tested {
    let ms = Duration::from_millis;
    let mut slow = History::new(Times { start: ms(1500), check: ms(300) }, false);
    slow.started(ms(100), 10);
    expect("no line yet", slow.slowest_start(ms(400)), ms(300))?;
    slow.receive(ms(500), 10, &["Connect", "Read"], &Default::default());
    expect("its first line", slow.slowest_start(ms(9000)), ms(400))?;
    let child = history(false, &[(0, "10 Connect Await child=20 lock=9"), (700, "20 Serve Watch lock=none")]);
    expect("a server's first line", child.slowest_start(ms(9000)), ms(700))?;
    let killed =
        history(false, &[(0, "10 Connect Await child=20 lock=9"), (90, "10 fault Kill before Connect Await 1")]);
    expect("a server whose spawner is killed", killed.slowest_start(ms(9000)), ms(90))?;
    let began = std::time::Instant::now();
    expect("fast", pulse::stood_still(began, ms(499)), None)?;
    expect("slow", pulse::stood_still(began, ms(500)).is_some(), true)
}

pub fn pieces_of_a_campaign_add_up() -> Tested {
    let piece = |seed, first, last, violations| Piece {
        seed,
        first,
        last,
        connects: 10,
        violations,
        orphans: 0,
        unexplained: 1,
        repeated: 2,
        seconds: 3,
    };
    let all = [piece(7, 0, 9, 0), piece(1, 0, 9, 5), piece(7, 10, 19, 0), piece(7, 15, 19, 1)];
    for piece in all {
        expect("a line", Piece::read(&piece.to_string()), Some(piece))?;
    }
    let wanted =
        "seed 7, 3 pieces: 20 rounds, 30 connects, violations 1, orphans 0, unexplained failures 3, repeated 6";
    expect("the sum", sum(7, all.into_iter()), wanted.to_owned())
}
