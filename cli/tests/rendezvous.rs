//! Runs the program at servers of the quickstart and of these tests, and at paths that are no points.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rendezvous_ipc::{Context, Descriptor, Limits, Stream};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

/// What the program did: its exit status, and what it printed.
#[derive(PartialEq, Debug)]
struct Did(i32, String);

/// Runs the program in a directory, without any variable of the environment.
fn rendezvous(directory: &Path, args: &[&str]) -> Did {
    let program = Command::new(env!("CARGO_BIN_EXE_rendezvous")).args(args).current_dir(directory).env_clear().output();
    let Output { status, stdout, stderr } = program.unwrap();
    assert!(stdout.is_empty() || stderr.is_empty(), "all goes to one of the two");
    let text = [stdout, stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Did(status.code().unwrap(), text.trim_end().replace(directory.to_str().unwrap(), "HOME"))
}

fn json(Did(exit, text): Did) -> (i32, serde_json::Value) {
    (exit, serde_json::from_str(&text).expect(&text))
}

/// A server of the quickstart, in a home of its own. It is killed in the end.
struct Counter {
    home: TempDir,
    pid: i32,
}

impl Counter {
    fn start() -> Self {
        let home = TempDir::new().unwrap();
        let tests = std::env::current_exe().unwrap();
        let program: PathBuf = tests.parent().unwrap().parent().unwrap().join("examples/counter");
        let output = Command::new(program).arg("--home").arg(home.path()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let pid = said.strip_prefix("started an external server (no record): pid ").expect(&said);
        let pid = pid.split(',').next().unwrap().parse().unwrap();
        Counter { home, pid }
    }

    fn run(&self, args: &[&str]) -> Did {
        rendezvous(self.home.path(), args)
    }

    /// Stops the server, and waits until it is stopped, because the signal takes effect later.
    fn freeze(&self) {
        kill_process(Pid::from_raw(self.pid).unwrap(), Signal::STOP).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while !fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap().contains(") T ") {
            assert!(Instant::now() < until, "the server is not stopped");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_raw(self.pid).unwrap(), Signal::KILL);
    }
}

#[test]
fn a_server_of_another_program_is_reported_and_stopped() {
    let counter = Counter::start();
    let pid = counter.pid;
    let Did(exit, text) = counter.run(&["status", "counter"]);
    assert_eq!(exit, 0, "{text}");
    assert!(text.starts_with(&format!("live: pid {pid}, version 0, for ")), "{text}");
    // The quickstart was the first client, and has left.
    assert!(text.ends_with(" s, 0 clients\nwelcomed 1, refused 0, restored 0\nlog: HOME/counter.log"), "{text}");
    assert_eq!(counter.run(&["end", "counter"]).0, 3, "a server that answers is left alone");

    let absolute = counter.home.path().join("counter");
    let (exit, status) = json(counter.run(&["status", "--json", "--", absolute.to_str().unwrap()]));
    assert_eq!((exit, &status["state"], &status["detail"]["pid"]), (0, &"live".into(), &pid.into()), "{status}");
    assert_eq!((&status["detail"]["welcomed"], &status["detail"]["restored"]), (&1.into(), &0.into()), "{status}");
    assert_eq!((&status["point"], &status["log"]), (&"HOME/counter".into(), &"HOME/counter.log".into()));

    assert_eq!(counter.run(&["stop", "./counter"]), Did(0, format!("retired: pid {pid}")));
    assert_eq!(counter.run(&["status", "counter"]), Did(1, "nothing there\nlog: HOME/counter.log".into()));
    assert_eq!(counter.run(&["stop", "counter"]), Did(1, "nothing there".into()));
    let (exit, none) = json(counter.run(&["stop", "--json", "counter"]));
    assert_eq!((exit, none), (1, serde_json::json!({"result": "no_server", "point": "counter"})));
    assert_eq!(counter.run(&["end", "counter"]), Did(1, "left alone: nothing there".into()));
}

#[test]
fn the_log_is_printed_after_the_older_one() {
    let counter = Counter::start();
    let Did(exit, now) = counter.run(&["log", "counter"]);
    assert_eq!(exit, 0);
    assert!(now.contains(&format!(" {} serves version 0 at ", counter.pid)), "{now}");
    let older = counter.home.path().join("counter.log.1");
    fs::write(&older, b"before \xff\n").unwrap();
    assert_eq!(counter.run(&["log", "counter"]), Did(0, now.clone()));
    let Did(exit, all) = counter.run(&["log", "--all", "counter"]);
    assert_eq!((exit, all), (0, format!("before \u{fffd}\n{now}")));
    let (exit, all) = json(counter.run(&["log", "--all", "--json", "counter"]));
    assert_eq!((exit, &all["older"]), (0, &"before \u{fffd}\n".into()));
    assert_eq!(all["log"].as_str().unwrap().trim_end(), now);

    fs::remove_file(counter.home.path().join("counter.log")).unwrap();
    let Did(exit, text) = counter.run(&["log", "nobody"]);
    assert_eq!(exit, 1);
    assert!(text.starts_with("rendezvous: there is no log HOME/nobody.log"), "{text}");
}

#[test]
fn a_server_that_does_not_answer_is_named_and_ended() {
    let counter = Counter::start();
    counter.freeze();
    let Did(exit, text) = counter.run(&["status", "counter"]);
    assert_eq!(exit, 3, "{text}");
    assert!(text.contains("does not answer") && text.contains(&format!("pid {}", counter.pid)), "{text}");
    let Did(exit, text) = counter.run(&["stop", "counter", "--timeout", "1"]);
    assert!((exit, text.starts_with("rendezvous: the server has not ended within 1 s: ")) == (3, true), "{text}");
    assert_eq!(counter.run(&["end", "counter"]), Did(0, format!("ended: pid {}, for it was stopped", counter.pid)));
    let Did(exit, text) = counter.run(&["status", "counter"]);
    assert_eq!((exit, text.lines().next()), (1, Some(&*format!("gone: pid {}", counter.pid))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_no_longer_than_it_is_told() {
    let home = TempDir::new().unwrap();
    let mut limits = Limits::default();
    limits.drain = Duration::from_secs(600);
    let service = Descriptor::new(&Context::at(home.path()), "drainer").unwrap();
    let service = service
        .limits(limits)
        .version(7)
        .stream_handler(async |_server| Ok(async |_peer, mut stream: Stream| stream.read(&mut [0]).await.map(drop)));
    let serving = tokio::spawn({
        let service = service.clone();
        async move { service.serve().await }
    });
    let client = loop {
        match service.join().await.unwrap().connection() {
            Some(client) => break client,
            None => tokio::task::yield_now().await,
        }
    };
    let run = |args: &'static [&str]| {
        let home = home.path().to_owned();
        async move { tokio::task::spawn_blocking(move || rendezvous(&home, args)).await.unwrap() }
    };
    let Did(exit, text) = run(&["status", "drainer"]).await;
    assert!(text.contains(" s, 1 client\n"), "{text}");
    assert_eq!((exit, text.lines().last()), (0, Some("welcomed 1, refused 0, restored 0")), "no log is named here");
    let Did(exit, text) = run(&["stop", "drainer", "--timeout", "1"]).await;
    let drains = "rendezvous: the server has not ended within 1 s: no record, but a server that starts or drains";
    assert_eq!((exit, &*text), (3, drains));
    assert_eq!(run(&["status", "drainer"]).await.0, 3);
    drop(client);
    serving.await.unwrap().unwrap();
    assert_eq!(run(&["stop", "drainer"]).await.0, 1);
}

/// All files of a directory, with their kinds, modes, sizes and times.
fn all(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<String> = entries
        .map(|entry| {
            let found = entry.metadata().unwrap();
            format!("{:?} {:o} {} {}", entry.file_name(), found.mode(), found.len(), found.mtime_nsec())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_path_that_is_no_point_is_named_and_left_alone() {
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    fs::create_dir(path("directory")).unwrap();
    symlink("notes", path("link")).unwrap();
    let _socket = UnixListener::bind(path("socket")).unwrap();
    fs::write(path("notes"), "remember the milk").unwrap();
    fs::set_permissions(path("notes"), fs::Permissions::from_mode(0o644)).unwrap();
    let private = |name: &str, text: &[u8]| {
        let mut options = fs::OpenOptions::new();
        std::io::Write::write_all(&mut options.create_new(true).write(true).mode(0o600).open(path(name)).unwrap(), text)
    };
    private("diary", b"dear diary").unwrap();
    private("theirs", &[&[7; 32][..], b"127.0.0.1:4000"].concat()).unwrap();
    private("lost.life", b"").unwrap();
    // A point without a server, which may only be read: to lock it, the library would have to change its mode.
    private("empty", b"").unwrap();
    fs::set_permissions(path("empty"), fs::Permissions::from_mode(0o400)).unwrap();
    let before = all(home.path());
    for (point, exit, says) in [
        ("directory", 3, "directory is a directory: give the path of a point in it"),
        (".", 3, ". is a directory: give the path of a point in it"),
        ("link", 3, "link is a symbolic link, as no point is: give the path of the point itself"),
        ("socket", 3, "socket is no point: it is not a regular file"),
        ("notes/x", 3, "notes/x cannot be looked at: Not a directory (os error 20)"),
        ("counter.life", 3, "counter.life is a file beside a point: give the path of the point, such as counter"),
        ("h/counter.log", 3, "h/counter.log is a file beside a point: give the path of the point, such as h/counter"),
        ("c.log.1", 3, "c.log.1 is a file beside a point: give the path of the point, such as c"),
    ] {
        for command in ["status", "stop", "end", "log"] {
            assert_eq!(rendezvous(home.path(), &[command, point]), Did(exit, format!("rendezvous: {says}")));
        }
        let (code, told) = json(rendezvous(home.path(), &["status", "--json", point]));
        assert_eq!((code, told), (exit, serde_json::json!({"error": says, "point": point})));
    }
    let dialect = "rendezvous: HOME/theirs is a point of the dialect of sequoia-ipc: ";
    for (point, exit, says) in [
        ("missing", 1, "rendezvous: HOME/missing is not there: no server has used it"),
        ("nowhere/missing", 1, "rendezvous: HOME/nowhere/missing is not there: no server has used it"),
        (
            "notes",
            3,
            "rendezvous: HOME/notes is no point: no record of yours is in it, and there is no HOME/notes.life",
        ),
        (
            "diary",
            3,
            "rendezvous: HOME/diary is no point: no record of yours is in it, and there is no HOME/diary.life",
        ),
        ("theirs", 3, dialect),
        ("lost", 3, "rendezvous: HOME/lost is not there, and HOME/lost.life is: "),
    ] {
        for command in ["status", "stop", "end"] {
            let Did(code, text) = rendezvous(home.path(), &[command, point]);
            assert!((code, text.starts_with(says)) == (exit, true), "{command} {point}: {code}, {text}");
        }
    }
    assert_eq!(rendezvous(home.path(), &["status", "empty"]), Did(1, "nothing there".into()));
    assert_eq!(rendezvous(home.path(), &["stop", "empty"]), Did(1, "nothing there".into()));
    assert_eq!(all(home.path()), before, "nothing was created or changed");
}

#[test]
fn wrong_use_is_named_before_the_usage() {
    let home = TempDir::new().unwrap();
    for (args, wrong) in [
        (&[][..], "no command"),
        (&["start", "counter"], "no such command: start"),
        (&["status"], "no point"),
        (&["status", "a", "b"], "one point at a time: b"),
        (&["status", "counter", "--all"], "no such flag here: --all"),
        (&["stop", "counter", "--timeout"], "--timeout needs whole seconds, from 1 to a year"),
        (&["stop", "counter", "--timeout", "0"], "--timeout needs whole seconds, from 1 to a year"),
    ] {
        let Did(exit, text) = rendezvous(home.path(), args);
        assert!(text.starts_with(&format!("rendezvous: {wrong}\nusage: rendezvous status POINT")), "{text}");
        assert_eq!(exit, 2);
    }
    let Did(exit, usage) = rendezvous(home.path(), &["--help"]);
    assert!((exit, usage.starts_with("usage: ")) == (0, true), "{usage}");
    assert_eq!(rendezvous(home.path(), &["--", "--json"]).0, 2, "a command comes first");
}
