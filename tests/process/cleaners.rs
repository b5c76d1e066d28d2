//! Removes files of a live server, as cleaners of temporary files do.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use rendezvous_ipc::{Origin, Reason};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::home::Named as _;
use crate::home::{Home, LONG, connected, eventually, is_held, kill, printed, runtime, signal, stop};
use crate::program::{COUNT, GOODBYE, ask};
use crate::trace;

crate::trials![
    a_server_whose_life_file_another_has_locked_retires,
    sessions_may_outlive_their_home_beside_the_next_server,
    sessions_of_a_listener_may_outlive_their_home,
    a_server_makes_its_life_file_again_and_keeps_its_memory,
    a_client_gives_a_server_time_to_make_its_life_file_again,
    a_client_waits_for_a_life_file_only_beside_a_whole_record,
    a_server_whose_home_is_removed_retires,
    a_server_marks_its_files_as_used,
];

fn life(home: &Home) -> PathBuf {
    home.path().join("count.life")
}

/// Replaces the life file in one step, so that there is always one.
fn replace(home: &Home, lock: bool) -> fs::File {
    let theirs = home.path().join("theirs");
    let file = fs::File::options().write(true).create_new(true).mode(0o600).open(&theirs).unwrap();
    if lock {
        fs2::FileExt::try_lock_exclusive(&file).unwrap();
    }
    fs::rename(&theirs, life(home)).unwrap();
    file
}

fn a_server_whose_life_file_another_has_locked_retires() {
    let home = Home::new();
    let (server, _) = home.count();
    let locked = replace(&home, true);
    home.wait_for_all_exits();
    assert_eq!(home.record().pid(), server.pid(), "the retiring server leaves the record");
    drop(locked);
    assert!(matches!(home.try_count(&home.service()), Ok((outcome, 1)) if outcome.pid() != server.pid()));
    home.retire();
}

fn sessions_may_outlive_their_home_beside_the_next_server() {
    outlive_their_home(&["@serve", "keeps", "drain=1000"]);
}

fn sessions_of_a_listener_may_outlive_their_home() {
    outlive_their_home(&["@serve", "binds", "keeps", "drain=1000"]);
}

/// As at a logout, which removes the user's runtime directory.
fn outlive_their_home(server: &'static [&'static str]) {
    let mut home = Home::new();
    home.server = server;
    let old = runtime().block_on(async {
        let connection = connected(&home.service()).await;
        let old = connection.outcome().pid();
        let mut session = connection.into_stream();
        let mut told = connected(&home.service()).await.into_stream();
        assert_eq!(ask(&mut session, COUNT).await.unwrap(), 1);
        let count = ask(&mut told, GOODBYE).await.unwrap();
        // In one step: a server that checks in the middle of a removal makes its files again.
        let gone = tempfile::tempdir().unwrap();
        fs::rename(home.path(), gone.path().join("home")).unwrap();
        let mut why = String::new();
        timeout(LONG, told.read_to_string(&mut why)).await.expect("the server sees it").unwrap();
        assert_eq!(why, "its files are gone, or belong to another server");
        let next = connected(&home.service()).await;
        assert_ne!(next.outcome().pid(), old);
        assert_eq!(ask(&mut next.into_stream(), COUNT).await.unwrap(), 1, "it has a handler of its own");
        // Two drains pass. A drain is long enough for the next server to start within it on a busy machine.
        tokio::time::sleep(Duration::from_millis(2_000)).await;
        assert_eq!(ask(&mut session, COUNT).await.unwrap(), count + 1, "the session lives");
        old
    });
    eventually("the process ends with its last session", || !Path::new(&format!("/proc/{old}")).exists());
    home.retire();
}

fn a_server_makes_its_life_file_again_and_keeps_its_memory() {
    let home = Home::new();
    let (server, mut count) = home.count();
    for what in ["removed", "replaced"] {
        match what {
            "removed" => fs::remove_file(life(&home)).unwrap(),
            _ => drop(replace(&home, false)),
        }
        eventually("the life file is recreated and locked", || is_held(&life(&home)));
        let (outcome, next) = home.count();
        count += 1;
        assert_eq!((outcome.origin, outcome.pid(), next), (Origin::Joined, server.pid(), count), "{what}");
    }
    home.retire();
}

fn a_client_gives_a_server_time_to_make_its_life_file_again() {
    let home = Home::new();
    let (server, _) = home.count();
    stop(server.pid());
    fs::remove_file(life(&home)).unwrap();
    let log = home.directory().join("steps");
    let client = home.command(&["@client"]).env(trace::LOG, &log).spawn().unwrap();
    eventually("the client waits", || fs::read_to_string(&log).is_ok_and(|steps| steps.contains("Wait")));
    signal(server.pid(), Signal::CONT);
    let stdout = printed(&client.wait_with_output().unwrap());
    assert_eq!(stdout, format!("joined an external server: pid {}, count 2", server.pid()));
    home.retire();
}

fn a_client_waits_for_a_life_file_only_beside_a_whole_record() {
    let home = Home::new();
    let (mut server, _) = home.count();
    for (record, reason) in [(true, Reason::ServerGone), (false, Reason::NoRecord)] {
        kill(&home, server.pid());
        fs::remove_file(life(&home)).unwrap();
        if !record {
            fs::write(home.point(), b"").unwrap();
        }
        let begun = Instant::now();
        let (outcome, count) = home.count();
        assert_eq!((outcome.origin, count), (Origin::StartedExternal(reason), 1));
        assert!(!record || begun.elapsed() > home.limits.check, "{:?}", begun.elapsed());
        server = outcome;
    }
    home.retire();
}

fn a_server_whose_home_is_removed_retires() {
    let home = Home::new();
    home.count();
    // A server that checks in the middle of the removal makes its files again.
    eventually("its home is removed", || fs::remove_dir_all(home.path()).is_ok());
    home.wait_for_all_exits();
}

/// Cleaners remove files that were unused for days.
fn a_server_marks_its_files_as_used() {
    let home = Home::new();
    home.count();
    let mut files: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(home.path());
    let days = SystemTime::now() - Duration::from_secs(11 * 24 * 60 * 60);
    let since = days.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for file in &files {
        let aged = Command::new("touch").args(["-h", "-d", &format!("@{since}")]).arg(file).status();
        assert!(aged.unwrap().success());
    }
    let used = |file: &PathBuf| fs::symlink_metadata(file).unwrap().modified().unwrap() > days;
    eventually("all files are marked as used", || files.iter().all(used));
    home.retire();
}
