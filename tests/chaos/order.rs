//! Checks the order of all lines of a round: at most one handler runs, and a process at a step that needs the point lock
//! has it, and no other process has locked the same file meanwhile.
//!
//! A process sends a step before it runs it. So of two lines in the pipe the later one was sent later, by any process.
//! The point may be deleted or replaced: then the holder of the old file's lock and that of the new file's both go on,
//! each by the inode that it locked. But a file that is no longer the point when its lock is tried is no point to lock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::history::History;
use crate::processes::Watched;
use crate::program;

/// Steps at which a client or a server holds the point lock. A client may hold it at its dial, too.
const LOCKED: [(&str, &[&str]); 2] = [
    (
        "Connect",
        &["Reread", "Probe", "Clear", "Spawn", "Await", "Verify", "Write", "Confirm", "Kill", "Fallback", "Unlock"],
    ),
    ("Serve", &["Write", "Recheck", "Reclaim", "Restore", "Withdraw", "Unlock"]),
];
/// Steps that follow as soon as a process got the lock.
const ENTRY: [(&str, &str); 3] = [("Connect", "Reread"), ("Serve", "Recheck"), ("Serve", "Look")];
/// Steps of handshakes, which run beside the machine's step.
const HANDSHAKE: [&str; 3] = ["Answer", "Admit", "Welcome"];

#[derive(Default)]
pub struct Order {
    watched: BTreeMap<u32, Watched>,
    /// The process whose handler runs.
    handler: Option<u32>,
    /// Processes whose handlers must have ended, because another handler has started since.
    past: BTreeSet<u32>,
    /// The process that locked each inode last, as far as it was logged.
    holders: BTreeMap<u64, u32>,
    /// Earlier holders that never logged that they freed it: they are dead, have failed, or dropped their connect.
    before: BTreeSet<(u64, u32)>,
    /// Children of connects that were dropped, and until when they may live.
    dropped: Vec<(u32, Instant)>,
    /// How many lines there were so far.
    lines: usize,
    /// The line at which a process tried the lock last.
    tried: BTreeMap<(u32, String), usize>,
    /// The last line at which the point was deleted or replaced.
    replaced: Option<usize>,
    /// Locks of files that were no longer the point a moment later, and the lines at which they were tried.
    stale: Vec<(usize, String)>,
    violations: Vec<String>,
}

impl Order {
    pub fn receive(&mut self, pid: u32, words: &[&str], fields: &BTreeMap<&str, &str>, history: &History) {
        let child = fields.get("child").and_then(|child| child.parse().ok());
        for pid in [Some(pid), child].into_iter().flatten() {
            self.watched.entry(pid).or_insert_with(|| Watched::new(pid));
        }
        self.lines += 1;
        self.kills_dropped();
        match *words {
            ["cancelled"] => {
                let until = Instant::now() + program::START / 2;
                self.dropped.extend(history.dropped(pid).map(|child| (child, until)));
            }
            ["fault", "Delete" | "Replace", ..] => self.replaced = Some(self.lines),
            ["begin", ..] => self.begin(pid, history),
            ["end", ..] => {
                if self.handler == Some(pid) {
                    self.handler = None;
                }
                if self.past.contains(&pid) && !history.may_overlap(pid) {
                    self.violations.push(format!("OneHandler: the handler of {pid} ran beside another"));
                }
            }
            [role @ ("Connect" | "Serve"), step] => self.step(pid, role, step, fields),
            _ => {}
        }
    }

    /// Returns all violations, when all lines were received.
    pub fn end(&mut self) -> Vec<String> {
        // A fault is announced just after it was injected. So the point may be replaced a moment before its line.
        let stale = std::mem::take(&mut self.stale).into_iter();
        let unexplained = stale.filter(|(tried, _)| self.replaced.is_none_or(|replaced| replaced < *tried));
        self.violations.extend(unexplained.map(|(_, text)| text));
        std::mem::take(&mut self.violations)
    }

    fn begin(&mut self, pid: u32, history: &History) {
        if let Some(other) = self.handler.replace(pid).filter(|other| *other != pid) {
            self.past.insert(other);
            // The other handler logged no end, so its process must have been killed.
            if !history.may_overlap(other) && !self.watched[&other].has_ended() {
                self.violations.push(format!("OneHandler: the handler of {pid} starts while {other} lives"));
            }
        }
    }

    /// A connect that is dropped kills its child at once. Left alone, the child would live for the time of a start.
    fn kills_dropped(&mut self) {
        let (watched, now) = (&self.watched, Instant::now());
        self.dropped.retain(|(child, _)| !watched[child].ends_within(Duration::ZERO));
        for (child, _) in self.dropped.extract_if(.., |(_, until)| *until <= now) {
            self.violations.push(format!("NoChildLeft: {child} lives, and the connect that started it was dropped"));
        }
    }

    fn step(&mut self, pid: u32, role: &str, step: &str, fields: &BTreeMap<&str, &str>) {
        if role == "Serve" && HANDSHAKE.contains(&step) {
            return;
        }
        if step == "Lock" {
            self.tried.insert((pid, role.to_owned()), self.lines);
        }
        let dials = role == "Connect" && fields.get("how") == Some(&"Holding");
        let needs = dials || LOCKED.iter().any(|(of, steps)| *of == role && steps.contains(&step));
        // A process that can open no file does not say which lock it has.
        let Some(lock) = fields.get("lock") else { return };
        match lock.parse::<u64>() {
            Ok(inode) => {
                if self.before.contains(&(inode, pid)) {
                    self.violations.push(format!(
                        "LockDiscipline: {pid} is at {step}, but another process has locked the point meanwhile"
                    ));
                }
                let is_point = fields.get("point").is_none_or(|point| point == lock);
                if ENTRY.contains(&(role, step)) && !is_point {
                    let tried = self.tried.get(&(pid, role.to_owned())).copied().unwrap_or_default();
                    self.stale.push((tried, format!("LockDiscipline: {pid} is at {step}, and has locked no point")));
                }
                if let Some(other) = self.holders.insert(inode, pid).filter(|other| *other != pid) {
                    self.before.insert((inode, other));
                }
            }
            Err(_) => {
                if needs {
                    self.violations.push(format!("LockDiscipline: {pid} is at {step} without the point lock"));
                }
                // It may lock the same file again.
                self.holders.retain(|_, holder| *holder != pid);
                self.before.retain(|(_, holder)| *holder != pid);
            }
        }
    }
}
