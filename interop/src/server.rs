//! The process of a server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use crate::Result;
use crate::contender::{Contender, Speaks};

/// A server's process. Dropping it kills the process, and waits for its end.
pub struct Server {
    pub pid: u32,
    process: OwnedFd,
    /// The child, kept because the server must be able to write to its output.
    _child: Option<Child>,
}

impl Server {
    /// A server that another process started.
    pub fn of(pid: u32) -> Result<Self> {
        let process = Pid::from_raw(i32::try_from(pid)?).ok_or("no process")?;
        Ok(Server { pid, process: pidfd_open(process, PidfdFlags::empty())?, _child: None })
    }

    /// Starts the server of a home, and waits until it is ready.
    pub fn spawn(contender: Contender, speaks: Speaks, home: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", contender.name(), "--home"]).arg(home);
        if speaks == Speaks::Bytes {
            command.arg("--bytes");
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().ok_or("no output")?).read_line(&mut ready)?;
        let mut server = Server::of(child.id())?;
        server._child = Some(child);
        if ready == "ready\n" { Ok(server) } else { Err(format!("{contender} does not serve").into()) }
    }

    /// How often its threads have given up the processor so far.
    pub fn waits(&self) -> Result<f64> {
        let mut waits = 0.0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            waits += number(thread?.path().join("status"), "voluntary_ctxt_switches:")?;
        }
        Ok(waits)
    }

    /// Its resident memory in KiB, file-backed pages included.
    pub fn memory(&self) -> Result<f64> {
        number(format!("/proc/{}/status", self.pid), "VmRSS:")
    }

    pub fn descriptors(&self) -> Result<f64> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid))?.count() as f64)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
        let _ = poll(&mut [PollFd::new(&self.process, PollFlags::IN)], None);
        // Only a child can be waited for; for another process this fails.
        let _ = waitid(WaitId::PidFd(self.process.as_fd()), WaitIdOptions::EXITED);
    }
}

/// Reads the number after this name in a file of names and numbers.
fn number(path: impl AsRef<Path>, name: &str) -> Result<f64> {
    let text = fs::read_to_string(path)?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("no {name}"))?;
    Ok(rest.split_whitespace().next().ok_or("no number")?.parse()?)
}
