//! What the order of all that was told must be: one handler at a time, and one who holds the point lock.
//!
//! A process tells a step before it does it. So what stands behind another in the pipe came later, whoever told it.

use std::collections::{BTreeMap, BTreeSet};

use crate::processes::Watched;

/// Steps at which the point lock was just got.
const LOCKED: [(&str, &str); 4] =
    [("Connect", "Reread"), ("Serve", "Recheck"), ("Serve", "Withdraw"), ("Serve", "Write")];
/// Steps at which it is not held. At other steps it may be, or not: it is, if it was got and not given back.
const FREE: [&str; 10] = ["Read", "Lock", "Backoff", "Leave", "Serve", "Check", "Drain", "Release", "Done", "Exit"];
/// Steps of handshakes, which go on whatever the machine is at.
const HANDSHAKE: [&str; 3] = ["Answer", "Admit", "Welcome"];

#[derive(Default)]
pub struct Order {
    watched: BTreeMap<u32, Watched>,
    /// Whose handler runs.
    handler: Option<u32>,
    /// Whose handler has to be dead, for another one runs.
    past: BTreeSet<u32>,
    /// Who holds the point lock, in which role, as far as it told.
    holder: Option<Hold>,
    /// Who held it before, and did not tell that it let go: dead, or failed.
    before: Vec<Hold>,
    /// The point was deleted or replaced: whoever had locked the old file goes on, and so may who locks the new one.
    replaced: bool,
    pub violations: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
struct Hold {
    pid: u32,
    role: String,
}

impl Order {
    pub fn hear(&mut self, pid: u32, words: &[&str]) {
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
            ["fate", "Delete" | "Replace", ..] => self.replaced = true,
            ["Connect" | "Serve", step] if !self.replaced => self.step(pid, words[0], step),
            _ => {}
        }
    }

    fn begin(&mut self, pid: u32) {
        if let Some(other) = self.handler.replace(pid).filter(|other| *other != pid) {
            self.past.insert(other);
            // It did not say that its handler has ended, so it was killed.
            if !self.watched[&other].has_ended() {
                self.violations.push(format!("OneHandler: that of {pid} begins while {other} lives"));
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
            self.violations
                .push(format!("LockDiscipline: {pid} is at {step}, but another has locked the point meanwhile"));
        }
        if LOCKED.contains(&(role, step)) {
            // A server by hand goes on with the lock that it took as a client.
            let other = self.holder.replace(hold).filter(|other| other.pid != pid);
            self.before.extend(other);
        } else if self.holder.as_ref() == Some(&hold) && (step == "Unlock" || FREE.contains(&step)) {
            self.holder = None;
        }
    }
}
