//! Runs the README's first example, and compares what it prints.
#![cfg(feature = "capnp")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Signal, kill_process};

/// The example, which cargo builds beside the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join("examples/quickstart")
}

/// A command of the example, in a home of its own.
fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).arg("--home").arg(home);
    command
}

/// Runs the example in a home of its own, and returns what it prints.
fn quickstart(home: &Path, arguments: &[&str]) -> String {
    let output = command(home, arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_quickstart_starts_joins_reports_and_stops() {
    goes_well(tempfile::tempdir().unwrap().path());
}

#[test]
fn the_quickstart_takes_a_home_that_is_not_utf_8() {
    goes_well(&tempfile::tempdir().unwrap().path().join(OsStr::from_bytes(b"h\xf6me")));
}

#[test]
fn the_quickstart_says_whom_it_waits_for() {
    let home = tempfile::tempdir().unwrap();
    let started = quickstart(home.path(), &[]);
    let pid = started.split_once("pid ").and_then(|(_, rest)| rest.split_once(',')).expect(&started).0;
    let server = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    kill_process(server, Signal::STOP).unwrap();
    let mut client = command(home.path(), &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut errors, mut line) = (BufReader::new(client.stderr.take().unwrap()), String::new());
    errors.read_line(&mut line).unwrap();
    kill_process(server, Signal::CONT).unwrap();
    assert!(line.starts_with(&format!("waiting for an answer of server {pid}: at most ")), "{line}");
    let output = String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(output, format!("joined an external server: pid {pid}, counter 2\n"));
    assert_eq!(quickstart(home.path(), &["stop"]), format!("retired: pid {pid}"));
}

fn goes_well(home: &Path) {
    assert_eq!(quickstart(home, &["status"]), "nothing there");
    let started = quickstart(home, &[]);
    let pid = started.strip_prefix("started an external server (no record): pid ").expect(&started);
    let pid = pid.strip_suffix(", counter 1").expect(&started);
    assert_eq!(quickstart(home, &[]), format!("joined an external server: pid {pid}, counter 2"));
    let live = quickstart(home, &["status"]);
    assert!(live.starts_with(&format!("live: pid {pid}, ")), "{live}");
    assert_eq!(quickstart(home, &["stop"]), format!("retired: pid {pid}"));
    assert_eq!(quickstart(home, &["stop"]), "nothing there");
    assert_eq!(quickstart(home, &["status"]), "nothing there");
}

#[test]
fn a_flag_without_its_directory_is_named_before_the_usage() {
    let output = Command::new(program()).arg("--home").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.starts_with("Error: --home needs a directory\nusage: "), "{told}");
}
