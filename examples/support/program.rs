//! Runs an example as its user does. Every wait is bounded.
#![allow(dead_code, reason = "each test uses a part")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Longer than any step takes, also on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A program, with a directory of its own for its service. Its server retires when the directory is gone.
pub struct Program {
    path: &'static str,
    flag: &'static str,
    home: TempDir,
}

impl Program {
    /// `flag` is how the program takes the directory of its service.
    pub fn new(path: &'static str, flag: &'static str) -> Self {
        Program { path, flag, home: tempfile::tempdir().expect("a directory") }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs the program to its end, and returns what it prints.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        self.start(args).rest()
    }

    /// Starts the program.
    pub fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Running {
        // As from a terminal: a test in the background ignores Ctrl-C, and so would the program.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", self.path]).args(args).arg(self.flag).arg(self.home.path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (send, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Running { child, lines }
    }
}

/// A program that runs. It is killed if it is dropped before its end.
pub struct Running {
    pub child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Waits for the next line that the program prints.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(LONG).expect("a line")
    }

    /// Waits for the end of the program, which has to succeed, and returns what it prints until then.
    pub fn rest(self) -> String {
        let (lines, status) = self.end();
        assert_eq!(status, Some(0), "{lines}");
        lines
    }

    /// Waits for the end of the program, and returns what it prints until then, and its status; `None`: a signal.
    pub fn end(mut self) -> (String, Option<i32>) {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(LONG) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it neither prints nor ends: {lines:?}"),
            }
        }
        (lines.join("\n"), self.child.wait().expect("its status").code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
