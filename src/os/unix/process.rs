//! Processes: a child and what is said to it, how its end is noticed, what a process may take.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
pub(crate) use std::process::Child;
use std::process::{ChildStdout, Stdio};
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::net::unix::pipe;

use crate::os::line_buffer::LineBuffer;

/// The spawner's end of a child's standard input.
///
/// A socket pair and no pipe: writing to a dead child's pipe raises SIGPIPE in a host that is no Rust program.
pub(crate) struct Orders(UnixStream);

impl Orders {
    /// The end to keep, and the child's.
    pub(crate) fn pair() -> io::Result<(Self, Stdio)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Orders(ours), Stdio::from(OwnedFd::from(theirs))))
    }

    /// Sends a line that fits into the empty buffer of the pair, so it never waits.
    pub(crate) fn send(&self, line: &[u8]) -> io::Result<()> {
        match rustix::net::send(&self.0, line, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)? {
            sent if sent == line.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Ends it for the other side, also where a fork of this process holds a copy.
    pub(crate) fn end(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    /// Whether somebody still has the other end.
    pub(crate) fn is_connected(&self) -> bool {
        !matches!(rustix::net::recv(&self.0, &mut [0], RecvFlags::DONTWAIT), Ok((0, _)))
    }
}

/// The spawner's end of a child's standard output.
pub(crate) fn replies(stdout: ChildStdout) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(OwnedFd::from(stdout))
}

/// Waits for a child's end and leaves it as it is, to be reaped by the one who owns it.
pub(crate) fn wait_for_end(id: u32) {
    let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return };
    while let Err(Errno::INTR) =
        rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
}

/// Whether an error of a spawn says that the program cannot be executed, and not that we cannot start any.
pub(crate) fn cannot_execute(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::ACCESS | Errno::NOEXEC | Errno::TXTBSY))
}

/// The path of the running program, where the system says it; if it was replaced by a rebuild, that of the new one.
pub(crate) fn this_program() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(replaced) if !path.exists() => Some(OsStr::from_bytes(replaced).into()),
        _ => Some(path),
    }
}

/// Tells the service manager that started this process, if one did and wants to know, that it is ready.
pub(crate) fn notify_service_manager() {
    // Without it the manager ends the service when its patience is over, and says so.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

/// Leaves the session of whoever started this process: their terminal's signals are not for us. What is made here is
/// for its owner alone.
pub(crate) fn leave_session() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // It fails for the leader of a process group, which a child of a plain spawn is not.
    let _ = rustix::process::setsid();
}

/// Whether a runtime of tokio can have its descriptors: to wait and to be woken, and a pair of sockets for signals.
pub(crate) fn try_room_for_a_runtime() -> io::Result<()> {
    let _room = [UnixStream::pair()?, UnixStream::pair()?, UnixStream::pair()?];
    Ok(())
}

/// Whether an error says that there are too many files open, or too little memory.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// How many files this process may have open. Where the system does not tell, as a filter of system calls may have it,
/// as many as most systems allow.
pub(crate) fn descriptors() -> usize {
    // Not rustix's, which has it that this cannot fail: it panics, or takes for the answer what was never written.
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(limit, _)| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Lets this process open as many files as it may, but no more than a server can use. The limit of whoever happened to
/// start it is that of a program with one client.
pub(crate) fn raise_descriptors() {
    const ENOUGH: u64 = 65_536;
    if let Ok((limit, most)) = getrlimit(Resource::RLIMIT_NOFILE)
        && limit < most.min(ENOUGH)
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most.min(ENOUGH), most);
    }
}

/// Why this process may write to no file, where its limit says so: to try would end it, by a signal.
pub(crate) fn may_write() -> io::Result<()> {
    match getrlimit(Resource::RLIMIT_FSIZE) {
        Ok((0, _)) => Err(Errno::FBIG.into()),
        _ => Ok(()),
    }
}

/// Ends this process at once, whatever its other threads do.
pub(crate) fn end_this_process() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
}

/// What somebody says, line by line.
pub(crate) struct Lines {
    input: OwnedFd,
    buffer: LineBuffer,
}

impl Lines {
    pub(crate) fn of(input: OwnedFd) -> Self {
        Lines { input, buffer: LineBuffer::new() }
    }

    /// Reads the next line, its end included; `None` where there is none, where it is too long or takes too long.
    pub(crate) fn next<T>(&mut self, until: Instant, read: impl Fn(&[u8]) -> T) -> Option<T> {
        loop {
            if let Some(line) = self.buffer.take_line(&read) {
                return Some(line);
            }
            if self.buffer.room().is_empty() {
                return None;
            }
            let left = until.checked_duration_since(Instant::now())?;
            let timeout = Timespec::try_from(left).ok()?;
            match rustix::event::poll(&mut [PollFd::new(&self.input, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return None,
            }
            match rustix::io::read(&self.input, self.buffer.room()) {
                Ok(len @ 1..) => self.buffer.filled(len),
                Err(Errno::INTR | Errno::AGAIN) => {}
                _ => return None,
            }
        }
    }

    /// Returns when the other side is gone, whatever it says until then.
    pub(crate) fn end(self) {
        while matches!(rustix::io::read(&self.input, &mut [0; 64]), Ok(1..) | Err(Errno::INTR)) {}
    }
}

/// A process that is stopped for as long as this lives.
#[cfg(feature = "test-util")]
#[derive(Debug)]
pub(crate) struct StoppedProcess(Pid);

#[cfg(feature = "test-util")]
impl StoppedProcess {
    pub(crate) fn stop(pid: crate::pid::Pid) -> io::Result<Self> {
        let pid = i32::try_from(pid.get()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        rustix::process::kill_process(pid, Signal::STOP)?;
        Ok(StoppedProcess(pid))
    }
}

#[cfg(feature = "test-util")]
impl Drop for StoppedProcess {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.0, Signal::CONT);
    }
}
