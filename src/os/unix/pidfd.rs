//! A process that is named for good. Its number may be another's at any time.

use rustix::io::Errno;
use rustix::process::Pid;

use super::procfs::stat;
use crate::error::{Error, Unidentified};
use crate::pid::Pid as Number;
use crate::stage::Stage;

/// Names a process by its number and its start: what is named is that process, or nothing.
///
/// The start is read when the process cannot be confused any more. If it is the one that is looked for, the number had
/// not been given away when the process was opened, for whoever has it now began later. A number of another PID namespace
/// is another process's here, which began at another time, or nobody's. It is read of the process that was opened, whatever
/// `/proc` shows by the record's number: that may be another PID namespace.
pub(crate) fn identify(pid: u32, started: u64) -> Result<Identity, Error> {
    let unidentified = |found| unidentified(pid, found);
    let is_known_to_differ = |began| began != started && began != 0 && started != 0;
    if pid == std::process::id() && !is_known_to_differ(stat::began("self")) {
        return Err(unidentified(Unidentified::ThisProcess));
    }
    let identity = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH).and_then(Identity::open);
    let identity = match identity {
        Ok(identity) => identity,
        // The latter two, by the kernel's version: it is a thread's.
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

/// Returns the error for a server whose process cannot be told from others.
pub(crate) fn unidentified(pid: u32, found: Unidentified) -> Error {
    Error::Unidentified { pid: Number::new(pid), found }
}

/// A process, and no other, whatever becomes of its number.
#[derive(Debug)]
pub(crate) struct Identity {
    #[cfg(target_os = "linux")]
    process: std::os::fd::OwnedFd,
    /// Its number in `/proc`; 0 where it has none there.
    pub(crate) number: u32,
}

#[cfg(target_os = "linux")]
impl Identity {
    fn open(pid: Pid) -> Result<Self, Errno> {
        use std::os::fd::AsRawFd;
        let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        let told = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).unwrap_or_default();
        let number = told.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
        Ok(Identity { process, number: number.unwrap_or(0) })
    }

    /// Ends it, if it has not ended.
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
