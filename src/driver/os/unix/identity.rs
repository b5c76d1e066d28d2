//! A process that is named for good. Its number may be another's at any time.

use rustix::io::Errno;
use rustix::process::Pid;

use super::process;
use crate::error::Error;

/// Names a process by its number and its start: what is named is that process, or nothing.
///
/// The start is read when the process cannot be confused any more. If it is the one that is looked for, the number had
/// not been given away when the process was opened, for whoever has it now began later.
pub(crate) fn identify(pid: u32, started: u64) -> Result<Identity, Error> {
    let unidentified = |found, remedy| Error::Unidentified { pid, found, remedy };
    if pid == std::process::id() {
        return Err(unidentified("it is this process", "let it return from `serve`, or exit"));
    }
    let identity = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH).and_then(Identity::open);
    let identity = match identity {
        Ok(identity) => identity,
        // The latter two, by the kernel's version: it is a thread's.
        Err(Errno::SRCH | Errno::NOENT | Errno::INVAL) => {
            return Err(unidentified("no process has that number any more", RESTORED));
        }
        Err(Errno::NOSYS | Errno::PERM) => return Err(unidentified("this system has no pidfd", BY_HAND)),
        Err(error) => return Err(Error::System { stage: "Kill", source: error.into() }),
    };
    match (process::began(&pid.to_string()), started) {
        (0, _) | (_, 0) => Err(unidentified("when it began is not known", BY_HAND)),
        (began, started) if began == started => Ok(identity),
        _ => Err(unidentified("that number is another process's by now", RESTORED)),
    }
}

const RESTORED: &str = "try again in some seconds: a server that lives restores its record";
const BY_HAND: &str = "see what it is, and end it by hand";

/// A process, and no other, whatever becomes of its number.
#[derive(Debug)]
pub(crate) struct Identity {
    #[cfg(target_os = "linux")]
    process: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Identity {
    fn open(pid: Pid) -> Result<Self, Errno> {
        Ok(Identity { process: rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())? })
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
