//! Processes: the pipes to a child, the wait for its end, this program's path, session and limits.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
pub(crate) use std::process::{Child, ChildStdout, Command, Stdio, id};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::socket::recv;
#[cfg(feature = "tokio")]
use super::stdio;
use crate::os::line_buffer::LineBuffer;
use crate::proto::pipes::{ORDER_MAX, Order};
use crate::proto::timing::EXIT_GRACE;

/// The spawner's end of a child's standard input.
///
/// It is a socket pair and not a pipe: writing to a dead child's pipe raises SIGPIPE, which kills a host that is not a
/// Rust program.
pub(crate) struct Orders(UnixStream);

impl Orders {
    /// Creates the pair with this order in it, and returns the spawner's end and the child's.
    pub(crate) fn with(order: &Order<'_>) -> io::Result<(Self, Stdio)> {
        let mut line = LineBuffer::<ORDER_MAX>::new();
        order.write(&mut line).map_err(|_| io::ErrorKind::InvalidFilename)?;
        let (ours, theirs) = UnixStream::pair()?;
        let orders = Orders(ours);
        orders.send(line.bytes())?;
        Ok((orders, Stdio::from(OwnedFd::from(theirs))))
    }

    /// Sends a line. It never waits, because the line fits into the pair's empty buffer.
    pub(crate) fn send(&self, line: &[u8]) -> io::Result<()> {
        match rustix::net::send(&self.0, line, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)? {
            sent if sent == line.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Ends the stream for the child, even if a fork of this process holds a copy of the descriptor.
    pub(crate) fn end(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    /// Returns whether a process still has the other end open.
    pub(crate) fn is_connected(&self) -> bool {
        !matches!(rustix::net::recv(&self.0, &mut [0], RecvFlags::DONTWAIT), Ok((0, _)))
    }
}

/// Calls `then` when a child has ended, on a thread of its own. The child is not reaped yet: its owner does that.
pub(crate) fn at_end(id: u32, then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let reaper = thread::Builder::new().name("rendezvous-reaper".into()).stack_size(128 * 1024);
    let wait = move || {
        wait_for_end(id);
        then();
    };
    reaper.spawn(wait).map(drop)
}

/// Waits until a child has ended, without reaping it.
pub(crate) fn wait_for_end(id: u32) {
    let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return };
    while let Err(Errno::INTR) =
        rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
}

/// Kills and reaps a child for which there is no thread. Its program may have run for a moment. This thread sleeps
/// until the child ends, for [`EXIT_GRACE`] at most. A process that the system has not ended by then is not reaped.
pub(crate) fn end_without_a_reaper(child: &mut Child) {
    let _ = child.kill();
    let until = Instant::now() + EXIT_GRACE;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns whether an error of a spawn concerns this program. Other errors mean that no process could be started.
pub(crate) fn cannot_execute(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::ACCESS | Errno::NOEXEC | Errno::TXTBSY))
}

/// Returns the path of the running program, if the system reports it. After a rebuild it is that of the new program.
pub(crate) fn this_program() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(replaced) if !path.exists() => Some(OsStr::from_bytes(replaced).into()),
        _ => Some(path),
    }
}

/// Returns when this file was last modified, in whole seconds since 1970, if the system reports it.
pub(crate) fn modified(path: &Path) -> Option<u32> {
    let seconds = std::fs::metadata(path).ok()?.mtime();
    Some(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
}

/// Returns when the file that this process executes was last modified. On Linux this is that very file, even if another
/// has its path now, or none. Elsewhere it is the file at that path.
pub(crate) fn own_build() -> Option<u32> {
    modified(Path::new("/proc/self/exe")).or_else(|| modified(&std::env::current_exe().ok()?))
}

/// Returns these bytes as a text of the system.
pub(crate) fn os_string(bytes: Vec<u8>) -> OsString {
    OsStringExt::from_vec(bytes)
}

/// Returns the value of an argument if it is `FLAG` or `FLAG=VALUE`. The value need not be text.
pub(crate) fn value_of(argument: &OsStr, flag: &str) -> Option<Option<OsString>> {
    match argument.as_bytes().strip_prefix(flag.as_bytes())? {
        [] => Some(None),
        [b'=', value @ ..] => Some(Some(OsStr::from_bytes(value).to_owned())),
        _ => None,
    }
}

/// Notifies the service manager that this process is ready, if one started it and asked for that.
#[cfg(feature = "tokio")]
pub(crate) fn notify_service_manager() {
    // If this fails, the manager ends the service after its own timeout and logs why.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

/// Returns whether a service manager has opened sockets for this process. The variables of another process are not
/// meant for this one.
pub(crate) fn was_given_sockets() -> bool {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    number("LISTEN_PID") == Some(std::process::id()) && number("LISTEN_FDS").is_some_and(|sockets| sockets > 0)
}

/// Sets the umask so that new files are private.
pub(crate) fn make_new_files_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Starts a session of its own, so that the signals of the caller's terminal do not reach this process.
pub(crate) fn leave_session() {
    // It fails only for the leader of a process group, which a spawned child is not.
    let _ = rustix::process::setsid();
}

/// Checks that a tokio runtime can open its descriptors: to poll, to be woken, and a socket pair for signals.
pub(crate) fn try_room_for_a_runtime() -> io::Result<()> {
    let (one, other) = UnixStream::pair()?;
    let _room = [one.try_clone()?, other.try_clone()?, one.try_clone()?, other.try_clone()?];
    Ok(())
}

/// Returns whether an error means that too many files are open, or that memory is short.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Returns how many files this process may have open. If a filter of system calls forbids to ask, the usual default of
/// 1,024 is assumed.
pub(crate) fn descriptors() -> usize {
    // rustix assumes that this call cannot fail: it panics, or returns memory that was never written.
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(limit, _)| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Raises the limit of open files to the hard limit, but not above what a server can use. The inherited soft limit
/// suits a program without clients.
pub(crate) fn raise_descriptors() {
    const ENOUGH: u64 = 65_536;
    if let Ok((limit, most)) = getrlimit(Resource::RLIMIT_NOFILE)
        && limit < most.min(ENOUGH)
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most.min(ENOUGH), most);
    }
}

/// Makes room in this process's table of open files, for as many as a server usually has.
///
/// Linux doubles the table when it is full. If the process has threads, the one that opens a file then waits until
/// every processor has passed through the scheduler: 6 to 21 ms on a busy machine, in which no waiting connection is
/// accepted.
#[cfg(feature = "tokio")]
pub(crate) fn make_room_for_descriptors() {
    const USUAL: usize = 1024;
    let last = descriptors().min(USUAL).saturating_sub(1);
    if let (Ok(file), Ok(last)) = (stdio::nowhere(), i32::try_from(last)) {
        // The table stays as large as it was for this descriptor, which is closed at once.
        let _ = rustix::io::fcntl_dupfd_cloexec(file, last);
    }
}

/// Returns an error if this process may not let a file grow to this length. A write beyond could kill it by a signal.
pub(crate) fn may_grow_to(len: u64) -> io::Result<()> {
    match getrlimit(Resource::RLIMIT_FSIZE) {
        Ok((limit, _)) if limit < len => Err(Errno::FBIG.into()),
        _ => Ok(()),
    }
}

/// Ends this process as its `main` does that fails.
#[cfg(feature = "tokio")]
pub(crate) fn exit() {
    std::process::exit(1)
}

/// Kills this process at once, whatever its other threads do.
pub(crate) fn end_this_process() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
}

/// The lines that arrive at a socket. Nothing here waits.
pub(crate) struct Lines {
    input: Arc<OwnedFd>,
    buffer: LineBuffer<ORDER_MAX>,
}

/// What has arrived at a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next<T> {
    Line(T),
    /// No whole line, so far.
    Nothing,
    /// The end, or a line that is too long.
    End,
}

impl Lines {
    pub(crate) fn of(input: OwnedFd) -> Self {
        Lines { input: Arc::new(input), buffer: LineBuffer::new() }
    }

    /// Returns the socket.
    pub(crate) fn input(&self) -> Arc<OwnedFd> {
        self.input.clone()
    }

    /// Returns the process that created the pair of sockets of which this reads one, as far as the system reports it.
    pub(crate) fn creator(&self) -> Option<u32> {
        creator(&self.input)
    }

    /// Passes the next line, with its line feed, to `read`.
    pub(crate) fn next<T>(&mut self, read: impl Fn(&[u8]) -> T) -> Next<T> {
        loop {
            if let Some(line) = self.buffer.take_line(&read) {
                return Next::Line(line);
            }
            if self.buffer.room().is_empty() {
                return Next::End;
            }
            match recv(&self.input, self.buffer.room(), RecvFlags::empty()) {
                Ok(len @ 1..) => self.buffer.filled(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Nothing,
                _ => return Next::End,
            }
        }
    }
}

/// Returns the process that created a pair of sockets. The system reports 0 for a process outside of this PID
/// namespace.
#[cfg(target_os = "linux")]
fn creator(socket: &OwnedFd) -> Option<u32> {
    let creator = nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::PeerCredentials).ok()?;
    u32::try_from(creator.pid()).ok().filter(|pid| *pid > 0)
}

/// Only Linux reports it. The parent is the same process, except behind a wrapper.
#[cfg(not(target_os = "linux"))]
fn creator(_socket: &OwnedFd) -> Option<u32> {
    parent()
}

/// Returns the parent of this process.
#[cfg(any(feature = "sequoia", not(target_os = "linux")))]
pub(crate) fn parent() -> Option<u32> {
    rustix::process::getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok())
}

/// A process that stays stopped until this is dropped.
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_without_a_reaper_is_killed_and_reaped() {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let look = || {
            rustix::process::waitid(
                WaitId::Pid(pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
            )
        };
        assert!(look().is_ok_and(|ended| ended.is_none()), "it runs");
        // A busy machine may take longer to end it than one call waits.
        let reaped = (0..100).any(|_| {
            end_without_a_reaper(&mut child);
            matches!(look(), Err(Errno::CHILD))
        });
        assert!(reaped);
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::KILL.as_raw()), "as it was found then");
    }
}
