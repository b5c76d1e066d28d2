//! A server that nobody uses: how often it wakes up, and how soon it sees that its files were changed.

use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rendezvous_ipc::Origin;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;

use crate::home::Named as _;
use crate::home::{Home, LONG, eventually, is_held};

crate::trials![
    a_server_sees_at_once_that_its_files_were_changed,
    a_server_of_the_dialect_sees_at_once_that_its_point_was_changed,
    a_point_that_is_damaged_in_a_loop_is_restored_once_a_second,
    a_server_whose_system_reports_no_changes_restores_its_point,
    an_idle_server_wakes_once_for_a_check,
    an_idle_server_sleeps_if_all_changes_are_reported,
    a_server_whose_log_grows_looks_after_it,
    a_kill_closes_the_locks_and_sockets_before_the_watch,
];

/// The defaults: a check every two seconds.
const WHOLE: &[&str] = &["@serve", "whole"];

/// The longest time until a change is repaired that was reported. It is some 20 ms on a machine that is not busy, and
/// without a report up to 32 seconds.
const REPORTED: Duration = Duration::from_secs(10);

/// Returns the number of the descriptor by which a server watches its files, if it does.
fn watch_of(pid: u32) -> Option<u32> {
    fs::read_dir(format!("/proc/{pid}/fdinfo")).ok()?.filter_map(Result::ok).find_map(|info| {
        // Without a point to watch, it watches only the home and the directories above.
        let watches = fs::read_to_string(info.path()).ok()?.matches("inotify wd:").count();
        (watches > 2).then(|| info.file_name().to_str()?.parse().ok()).flatten()
    })
}

/// Starts a server, and waits until it watches its files.
fn watching(home: &Home) -> u32 {
    let pid = home.count().0.pid();
    eventually("its files are watched", || watch_of(pid).is_some());
    pid
}

/// Returns how long it takes until this holds.
fn takes(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LONG, "this never held: {what}");
        thread::sleep(Duration::from_micros(200));
    }
    begun.elapsed()
}

/// A directory of which the system reports all changes.
fn local() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn home_in(directory: &TempDir, server: &'static [&'static str]) -> Home {
    let mut home = Home::new();
    (home.below, home.server) = (directory.path().join("home"), server);
    home
}

fn a_server_sees_at_once_that_its_files_were_changed() {
    type Damage = fn(&Home);
    let damages: [(&str, Damage); 6] = [
        ("emptied", |home| fs::write(home.point(), b"").unwrap()),
        ("written", |home| fs::write(home.point(), [b'x'; 2000]).unwrap()),
        ("removed", |home| fs::remove_file(home.point()).unwrap()),
        ("the life file removed", |home| fs::remove_file(home.path().join("count.life")).unwrap()),
        ("the socket removed", |home| drop(fs::remove_file(home.address()))),
        ("another home in its place", |home| {
            let new = home.path().with_extension("new");
            fs::DirBuilder::new().mode(0o700).create(&new).unwrap();
            // In one step: a server that finds no home retires.
            renameat_with(CWD, &new, CWD, home.path(), RenameFlags::EXCHANGE).unwrap();
        }),
    ];
    for (how, damage) in damages {
        let directory = local();
        let home = home_in(&directory, WHOLE);
        let pid = watching(&home);
        let (record, address) = (fs::read(home.point()).unwrap(), PathBuf::from(home.address()));
        let is_there = |path: &Path| path.exists() || !address.is_absolute();
        damage(&home);
        let took = takes(how, || {
            fs::read(home.point()).is_ok_and(|point| point == record)
                && home.path().join("count.life").exists()
                && is_there(&address)
        });
        assert!(took < REPORTED, "{how}: {took:?}");
        eventually("the lifetime lock is held", || is_held(&home.path().join("count.life")));
        let (outcome, count) = home.count();
        assert_eq!((outcome.origin, outcome.pid(), count), (Origin::Joined, pid, 2), "{how}");
        home.retire();
    }
}

fn a_server_of_the_dialect_sees_at_once_that_its_point_was_changed() {
    let directory = local();
    let home = home_in(&directory, &["@serve", "whole", "sequoia"]);
    let pid = watching(&home);
    let record = fs::read(home.point()).unwrap();
    fs::write(home.point(), b"").unwrap();
    let took = takes("it is restored", || fs::read(home.point()).is_ok_and(|point| point == record));
    assert!(took < REPORTED, "{took:?}");
    let (outcome, count) = home.count();
    assert_eq!((outcome.origin, count), (Origin::Joined, 2));
    crate::home::signal(pid, rustix::process::Signal::TERM);
    home.wait_for_all_exits();
}

fn a_point_that_is_damaged_in_a_loop_is_restored_once_a_second() {
    let directory = local();
    let home = home_in(&directory, WHOLE);
    let pid = watching(&home);
    let log = home.path().join("count.log");
    let restored = || fs::read_to_string(&log).unwrap().matches("the record was restored").count();
    let (begun, slept) = (Instant::now(), sleeps(pid));
    while begun.elapsed() < Duration::from_millis(3500) {
        fs::write(home.point(), b"").unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    let wakes = sleeps(pid) - slept;
    let (restored, seconds) = (restored(), begun.elapsed().as_secs_f64());
    assert!((wakes as f64) < 40.0 * seconds, "{wakes} wake-ups in {seconds} s");
    assert!(restored >= 1 && restored as f64 <= seconds + 1.0, "{restored} in {seconds} s");
    eventually("the last damage is repaired", || fs::metadata(home.point()).is_ok_and(|point| point.len() > 0));
    home.retire();
}

fn a_server_whose_system_reports_no_changes_restores_its_point() {
    let directory = local();
    let home = home_in(&directory, &["@serve", "filtered"]);
    let (outcome, _) = home.count();
    let record = fs::read(home.point()).unwrap();
    // The first check, which is early, may see the first.
    for _ in 0..2 {
        fs::write(home.point(), b"").unwrap();
        eventually("it is restored", || fs::read(home.point()).is_ok_and(|point| point == record));
    }
    assert_eq!(watch_of(outcome.pid()), None);
    home.retire();
}

/// Returns how often the threads of a process have slept.
fn sleeps(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let sleeps = threads.map(|thread| {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse::<u64>().unwrap()
    });
    sleeps.sum()
}

/// Asserts how often an idle server wakes up in so long. A busy machine adds some, or stops it for a while. So the
/// fewest and the most of a few times count.
fn assert_wakes(pid: u32, time: Duration, expected: RangeInclusive<u64>) {
    let (mut fewest, mut most) = (u64::MAX, 0);
    for _ in 0..5 {
        let before = sleeps(pid);
        thread::sleep(time);
        let wakes = sleeps(pid) - before;
        (fewest, most) = (fewest.min(wakes), most.max(wakes));
        if fewest <= *expected.end() && most >= *expected.start() {
            return;
        }
    }
    panic!("{fewest} to {most} in {time:?}, and not {expected:?}");
}

fn an_idle_server_wakes_once_for_a_check() {
    let directory = local();
    fs::create_dir(directory.path().join("there")).unwrap();
    symlink("there", directory.path().join("link")).unwrap();
    // A link on the way may come to lead elsewhere unseen, so the server goes on to check every half of a second.
    let mut home = home_in(&directory, &["@serve", "whole", "check=500"]);
    home.below = directory.path().join("link/home");
    let pid = watching(&home);
    // There are eight checks. A timer that moves from slot to slot would wake it 16 times.
    assert_wakes(pid, Duration::from_secs(4), 6..=11);
    home.retire();
}

fn an_idle_server_sleeps_if_all_changes_are_reported() {
    let directory = local();
    let home = home_in(&directory, &["@serve", "whole", "check=500"]);
    let pid = watching(&home);
    // It checks every eight seconds. Without reports it would be eight times.
    assert_wakes(pid, Duration::from_secs(4), 0..=3);
    home.retire();
}

fn a_server_whose_log_grows_looks_after_it() {
    let directory = local();
    let home = home_in(&directory, &["@serve", "whole", "check=500"]);
    watching(&home);
    let log = home.path().join("count.log");
    fs::rename(&log, log.with_extension("away")).unwrap();
    // A rename alone is no reason to look: nothing was written.
    let more = fs::OpenOptions::new().append(true).open(log.with_extension("away")).unwrap();
    std::io::Write::write_all(&mut &more, b"as a session of the server would\n").unwrap();
    let took = takes("the log is opened again", || log.exists());
    assert!(took < Duration::from_secs(4), "{took:?}");
    home.retire();
}

fn a_kill_closes_the_locks_and_sockets_before_the_watch() {
    let directory = local();
    let home = home_in(&directory, WHOLE);
    let pid = watching(&home);
    let watch = watch_of(pid).unwrap();
    // An ending process closes its highest descriptor first, and a watch last: that takes the kernel up to 30 ms.
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let entry = entry.unwrap();
        // The server opens and closes some for its checks.
        let Ok(leads_to) = fs::read_link(entry.path()) else { continue };
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        if leads_to.ends_with("count.life") {
            assert!(number > watch, "{number}, {watch}");
        }
    }
    let listening = listening(pid, &home.address());
    assert!(!listening.is_empty() && listening.iter().all(|number| *number > watch), "{listening:?}, {watch}");
    home.retire();
}

/// Returns the descriptors of a process at which it listens.
fn listening(pid: u32, address: &str) -> Vec<u32> {
    let unix = fs::read_to_string("/proc/net/unix").unwrap();
    let inode = unix.lines().find(|line| line.ends_with(address)).and_then(|line| line.split_whitespace().nth(6));
    let tcp = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let inode = inode.or_else(|| {
        let port = format!(":{:04X}", port?);
        let mut lines = tcp.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.find(|line| line[1].ends_with(&port) && line[3] == "0A").map(|line| line[9])
    });
    let socket = format!("socket:[{}]", inode.expect("it listens"));
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().filter_map(Result::ok);
    descriptors
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|leads_to| leads_to.as_os_str() == &*socket))
        .map(|entry| entry.file_name().to_str().unwrap().parse().unwrap())
        .collect()
}
