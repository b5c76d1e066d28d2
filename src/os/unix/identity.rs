//! A process that is named for good. Its number may be another's at any time.

use rustix::io::Errno;
use rustix::process::Pid;

use super::stat;
use crate::error::Error;

/// Names a process by its number and its start: what is named is that process, or nothing.
///
/// The start is read when the process cannot be confused any more. If it is the one that is looked for, the number had
/// not been given away when the process was opened, for whoever has it now began later. A number of another PID namespace
/// is another process's here, which began at another time, or nobody's. It is read of the process that was opened, whatever
/// `/proc` shows by the record's number: that may be another PID namespace.
pub(crate) fn identify(pid: u32, started: u64) -> Result<Identity, Error> {
    let unidentified = |found, remedy| Error::Unidentified { pid, found, remedy };
    let is_known_to_differ = |began| began != started && began != 0 && started != 0;
    if pid == std::process::id() && !is_known_to_differ(stat::began("self")) {
        return Err(unidentified("it is this process", "let it return from `serve`, or exit"));
    }
    let identity = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH).and_then(Identity::open);
    let identity = match identity {
        Ok(identity) => identity,
        // The latter two, by the kernel's version: it is a thread's.
        Err(Errno::SRCH | Errno::NOENT | Errno::INVAL) => {
            return Err(unidentified("no process has that number here", NOT_HERE));
        }
        Err(Errno::NOSYS | Errno::PERM) => return Err(unidentified("this system has no pidfd", BY_HAND)),
        Err(error) => return Err(Error::System { stage: "Kill", source: error.into() }),
    };
    match (stat::began(identity.number), started) {
        (0, _) | (_, 0) => Err(unidentified("when it began is not known", BY_HAND)),
        (began, started) if began == started => Ok(identity),
        _ => Err(unidentified("that number is another process's here", NOT_HERE)),
    }
}

/// Why a server is not ended at whose socket another process listens than the record's, as far as can be seen from here.
pub(crate) fn elsewhere(pid: u32) -> Error {
    let found = "the process that listens at its socket has another number here, or none, as one in a container has";
    Error::Unidentified { pid, found, remedy: NOT_HERE }
}

/// Why a server is not ended whose process does not hold the lifetime lock.
pub(crate) fn not_the_server(pid: u32) -> Error {
    Error::Unidentified { pid, found: "the process of that number does not hold its lifetime lock", remedy: NOT_HERE }
}

const NOT_HERE: &str = "if it is in another PID namespace (a container), end it there; if not, try again in some seconds, for a \
                        server that lives restores its record";
const BY_HAND: &str = "see what it is, and end it by hand";

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
            Err(error) => Err(Error::System { stage: "Kill", source: error.into() }),
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Identity {
    fn open(_: Pid) -> Result<Self, Errno> {
        Err(Errno::NOSYS)
    }

    pub(crate) fn kill(&self) -> Result<(), Error> {
        Err(Error::System { stage: "Kill", source: Errno::NOSYS.into() })
    }
}
