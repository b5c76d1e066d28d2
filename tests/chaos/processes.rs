//! The processes of a round, seen from outside.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, kill_process, pidfd_open, prlimit};

/// A process identified by a pidfd, so that another process with the same number is not mistaken for it.
pub struct Watched(Option<OwnedFd>);

impl Watched {
    pub fn new(pid: u32) -> Self {
        Watched(pidfd_open(number(pid), PidfdFlags::empty()).ok())
    }

    /// Whether it has ended, or ends within a moment: a killed process takes a moment to be gone.
    pub fn has_ended(&self) -> bool {
        self.ends_within(Duration::from_secs(2))
    }

    pub fn ends_within(&self, time: Duration) -> bool {
        let Some(process) = &self.0 else { return true };
        let moment = Timespec::try_from(time).expect("a short time");
        poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&moment)).is_ok_and(|ended| ended == 1)
    }
}

/// A live process that was started with the round's home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub serves: bool,
    /// What other processes may read of it: its command line and its environment.
    pub public: Vec<u8>,
}

/// Lists the live processes that were started with this home.
pub fn of(home: &Path) -> Vec<Process> {
    let home = home.to_str().expect("a path is text").as_bytes();
    let processes = fs::read_dir("/proc").expect("the system's processes").filter_map(|entry| {
        let entry = entry.ok()?;
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        // A zombie has an empty command line.
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let has = |word: &[u8]| line.split(|byte| *byte == 0).any(|arg| arg == word);
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        has(home).then(|| Process { pid, serves: has(b"@serve"), public: [line.clone(), environment].concat() })
    });
    processes.collect()
}

/// Counts the ended children of these processes that were not waited for.
pub fn zombies(parents: &[u32]) -> usize {
    let zombie = |entry: std::io::Result<fs::DirEntry>| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
        (state == "Z" && parents.contains(&parent)).then_some(())
    };
    fs::read_dir("/proc").expect("the system's processes").filter_map(zombie).count()
}

/// Whether a process is stopped, or gone.
pub fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['T', 'Z', 'X']))
}

pub fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(number(pid), signal);
}

/// Gives a process the same limits as this one.
pub fn unlimit(pid: u32) {
    for resource in [Resource::Nofile, Resource::Fsize, Resource::Nproc] {
        let Rlimit { current, .. } = getrlimit(resource);
        let _ = prlimit(Some(number(pid)), resource, Rlimit { current, ..getrlimit(resource) });
    }
}

fn number(pid: u32) -> Pid {
    Pid::from_raw(pid as i32).expect("a process's number")
}
