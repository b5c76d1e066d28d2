//! A handle of a process. A process number can be reused at any time; a handle always means the same process.

use rustix::io::Errno;
use rustix::process::Pid;

use super::procfs::stat;
use crate::error::{Error, Unidentified};
use crate::pid::Pid as Number;
use crate::stage::Stage;

/// Opens the process with this number and this start time, or returns an error.
///
/// The start time is read after the process is open, when it can no longer be confused with another. If the times are
/// equal, the number had not been reused when the process was opened, because the new process would have started later.
/// A number of another PID namespace belongs to no process here, or to one with another start time. The start time is
/// read by the number in the handle, not by the record's: `/proc` may show another PID namespace.
pub(crate) fn identify(pid: u32, started: u64) -> Result<Identity, Error> {
    let unidentified = |found| unidentified(pid, found);
    let is_known_to_differ = |began| began != started && began != 0 && started != 0;
    if pid == std::process::id() && !is_known_to_differ(stat::began("self")) {
        return Err(unidentified(Unidentified::ThisProcess));
    }
    let identity = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH).and_then(Identity::open);
    let identity = match identity {
        Ok(identity) => identity,
        // NOENT and INVAL, depending on the kernel's version: the number is that of a thread.
        Err(Errno::SRCH | Errno::NOENT | Errno::INVAL) => {
            return Err(unidentified(Unidentified::NoProcess));
        }
        Err(Errno::NOSYS | Errno::PERM) => return Err(unidentified(Unidentified::NoPidfd)),
        Err(error) => return Err(Error::System { stage: Stage::Kill, source: error.into() }),
    };
    match (stat::began(identity.number), started) {
        (0, _) | (_, 0) => Err(unidentified(Unidentified::UnknownStart)),
        (began, started) if began == started => Ok(identity),
        _ => Err(unidentified(Unidentified::OtherProcess)),
    }
}

/// Returns the error for a server whose process cannot be identified.
pub(crate) fn unidentified(pid: u32, found: Unidentified) -> Error {
    Error::Unidentified { pid: Number::new(pid), found }
}

/// A handle of one process, which stays valid when its number is reused.
#[derive(Debug)]
pub(crate) struct Identity {
    #[cfg(target_os = "linux")]
    process: std::os::fd::OwnedFd,
    /// The number of the process in `/proc`, or 0 if it has none there.
    pub(crate) number: u32,
}

#[cfg(target_os = "linux")]
impl Identity {
    fn open(pid: Pid) -> Result<Self, Errno> {
        use std::os::fd::AsRawFd;
        let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).unwrap_or_default();
        let number = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
        Ok(Identity { process, number: number.unwrap_or(0) })
    }

    /// Kills the process, unless it has ended already.
    pub(crate) fn kill(&self) -> Result<(), Error> {
        match rustix::process::pidfd_send_signal(&self.process, rustix::process::Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(Error::System { stage: Stage::Kill, source: error.into() }),
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Identity {
    fn open(_: Pid) -> Result<Self, Errno> {
        Err(Errno::NOSYS)
    }

    pub(crate) fn kill(&self) -> Result<(), Error> {
        Err(Error::System { stage: Stage::Kill, source: Errno::NOSYS.into() })
    }
}
