//! Checks the order of all lines of a round: at most one handler runs, and at most one process holds the point lock.
//!
//! A process sends a step before it runs it. So of two lines in the pipe the later one was sent later, by any process.

use std::collections::{BTreeMap, BTreeSet};

use crate::processes::Watched;

/// Steps that a process reaches just after it got the point lock.
const LOCKED: [(&str, &str); 4] =
    [("Connect", "Reread"), ("Serve", "Recheck"), ("Serve", "Withdraw"), ("Serve", "Write")];
/// Steps at which a process does not hold the lock. At the others it holds the lock if it got it and has not freed it.
const FREE: [&str; 10] = ["Read", "Lock", "Backoff", "Leave", "Serve", "Check", "Drain", "Release", "Done", "Exit"];
/// Steps of handshakes, which run beside the machine's step.
const HANDSHAKE: [&str; 3] = ["Answer", "Admit", "Welcome"];

#[derive(Default)]
pub struct Order {
    watched: BTreeMap<u32, Watched>,
    /// The process whose handler runs.
    handler: Option<u32>,
    /// Processes whose handlers must have ended, because another handler has started since.
    past: BTreeSet<u32>,
    /// The process that holds the point lock, and its role, as far as it was logged.
    holder: Option<Hold>,
    /// Earlier holders that never logged that they freed it: they are dead, or have failed.
    before: Vec<Hold>,
    /// The point was deleted or replaced: the holder of the old file's lock and that of the new file's may both go on.
    replaced: bool,
    pub violations: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
struct Hold {
    pid: u32,
    role: String,
}

impl Order {
    pub fn receive(&mut self, pid: u32, words: &[&str]) {
        self.watched.entry(pid).or_insert_with(|| Watched::new(pid));
        match *words {
            ["begin", ..] => self.begin(pid),
            ["end", ..] => {
                if self.handler == Some(pid) {
                    self.handler = None;
                }
                if self.past.contains(&pid) {
                    self.violations.push(format!("OneHandler: the handler of {pid} ran beside another"));
                }
            }
            ["fault", "Delete" | "Replace", ..] => self.replaced = true,
            ["Connect" | "Serve", step] if !self.replaced => self.step(pid, words[0], step),
            _ => {}
        }
    }

    fn begin(&mut self, pid: u32) {
        if let Some(other) = self.handler.replace(pid).filter(|other| *other != pid) {
            self.past.insert(other);
            // The other handler logged no end, so its process must have been killed.
            if !self.watched[&other].has_ended() {
                self.violations.push(format!("OneHandler: the handler of {pid} starts while {other} lives"));
            }
        }
    }

    fn step(&mut self, pid: u32, role: &str, step: &str) {
        if role == "Serve" && HANDSHAKE.contains(&step) {
            return;
        }
        let hold = Hold { pid, role: role.to_owned() };
        let before = self.before.len();
        self.before.retain(|other| *other != hold);
        if self.before.len() < before && !FREE.contains(&step) {
            self.violations.push(format!(
                "LockDiscipline: {pid} is at {step}, but another process has locked the point meanwhile"
            ));
        }
        if LOCKED.contains(&(role, step)) {
            // A server started by hand keeps the lock that it took as a client.
            let other = self.holder.replace(hold).filter(|other| other.pid != pid);
            self.before.extend(other);
        } else if self.holder.as_ref() == Some(&hold) && (step == "Unlock" || FREE.contains(&step)) {
            self.holder = None;
        }
    }
}
