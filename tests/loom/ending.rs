//! The end of a child process, concurrent with a connect that gives it up.

use loom::thread;

use crate::explore;
use crate::os::process::{self, Child, State};
use crate::reaper::Process;
use crate::sync::oneshot;

#[test]
fn a_child_is_reaped_once_and_its_pid_is_never_killed_afterwards() {
    explore(3, || {
        let (report, exit) = oneshot::channel();
        let child = Process::reaped(Child, move |status| _ = report.send(status)).unwrap();
        let ends = thread::spawn(process::end);
        // The connect is dropped, or reaches its deadline.
        child.kill();
        ends.join().unwrap();
        let exit = exit.recv().expect("the end of the child is reported");
        assert!(exit.is_some() && process::state() == State::Reaped);
        child.kill();
    });
}

#[test]
fn a_child_that_is_given_up_ends_and_is_reaped() {
    explore(3, || {
        let (report, exit) = oneshot::channel();
        let child = Process::reaped(Child, move |status| _ = report.send(status)).unwrap();
        let gives_up = thread::spawn(move || child.kill());
        // If the child kept running or were never reaped, this would deadlock.
        exit.recv().expect("the end of the child is reported");
        assert_eq!(process::state(), State::Reaped);
        gives_up.join().unwrap();
    });
}
