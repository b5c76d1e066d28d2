//! Runs the example: it builds, lets others wait, and cancels what nobody wants any more.

#[path = "../../support/program.rs"]
mod program;

use std::fs;
use std::process::Command;

use program::Program;
use tempfile::TempDir;

/// A project, and a daemon elsewhere.
struct Project {
    mk: Program,
    home: TempDir,
}

impl Project {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        // Each takes the lock of the project, and has it until its process is gone.
        for (target, script) in
            [("short", "echo one; echo two"), ("fails", "exit 3"), ("endless", "echo begun; exec sleep 100000")]
        {
            let script = format!("exec 9<.; flock 9; {script}");
            fs::write(home.path().join(target).with_extension("sh"), script).expect("a script");
        }
        Project { mk: Program::new(env!("CARGO_BIN_EXE_mk"), "--daemon"), home }
    }

    fn start(&self, target: &str) -> program::Running {
        self.mk.start([&format!("--home={}", self.home.path().display()), "run", target])
    }
}

#[test]
fn a_build_shows_its_progress_and_returns_its_status() {
    let project = Project::new();
    assert_eq!(project.start("short").rest(), "one\ntwo");
    assert_eq!(project.start("fails").end(), (String::new(), Some(3)));
    assert!(project.mk.run(["status"]).starts_with("live: pid "));
    assert!(project.mk.home().join("mk").exists());
    assert_eq!(fs::read_dir(project.home.path()).expect("a directory").count(), 3, "--home is the program's own");
    assert!(project.mk.run(["stop"]).starts_with("retired: pid "));
    assert_eq!(project.mk.run(["status"]), "nothing there");
}

#[test]
fn ctrl_c_cancels_the_build_in_the_daemon() {
    let project = Project::new();
    let endless = project.start("endless");
    assert_eq!(endless.line(), "begun");
    let next = project.start("short");
    assert_eq!(next.line(), "waiting for another build");
    let interrupt = Command::new("sh").args(["-c", &format!("kill -INT {}", endless.child.id())]).status();
    assert!(interrupt.expect("a shell").success());
    assert_eq!(endless.end(), (String::new(), None), "the signal has ended it");
    assert_eq!(next.rest(), "one\ntwo");
    assert!(project.mk.run(["stop"]).starts_with("retired: pid "));
}

#[test]
fn a_stop_tells_the_client_and_ends_its_build() {
    let project = Project::new();
    let endless = project.start("endless");
    assert_eq!(endless.line(), "begun");
    assert!(project.mk.run(["stop"]).starts_with("retired: pid "));
    assert_eq!(endless.end(), ("stopped: its retirement was requested".into(), Some(1)));
}
