//! Processes: what a child inherits, how its end is noticed, what a server does to be on its own.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
pub(crate) use std::process::Child;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal as mask;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::net::unix::pipe;
use tokio::signal::unix::{self as signal, SignalKind};

use super::file::FileId;
use super::socket;
use crate::driver::heard::Heard;

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
}

impl Orders {
    /// Ends it for the other side, also where a fork of this process holds a copy.
    pub(crate) fn end(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    /// Whether somebody still has the other end.
    pub(crate) fn are_heard(&self) -> bool {
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

/// How a process ended, for people.
pub(crate) fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by {}", status_text(status, signal)),
        (None, Some(code)) => format!("exited with status {code}"),
        (None, None) => format!("ended: {status}"),
    }
}

fn status_text(status: ExitStatus, signal: i32) -> String {
    // `ExitStatus` knows the signals' names: "signal: 9 (SIGKILL)".
    status.to_string().strip_prefix("signal: ").map_or(format!("signal {signal}"), |text| format!("signal {text}"))
}

/// Takes standard input and output from this process: what a spawner reads and writes is its own from
/// here on, input is empty, and what is printed goes where errors go.
pub(crate) fn take_stdio() -> io::Result<(OwnedFd, OwnedFd)> {
    let orders = io::stdin().as_fd().try_clone_to_owned()?;
    let replies = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok((orders, replies))
}

/// Takes the listener that is this process's standard input, which is empty from here on; what is printed goes to `log`.
/// `None` where standard input is something else: then nothing is taken.
pub(crate) fn take_listener(log: fs::File) -> io::Result<Option<TcpListener>> {
    if !socket::listens(io::stdin()) {
        return Ok(None);
    }
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(&log)?;
    rustix::stdio::dup2_stderr(log)?;
    Ok(Some(listener))
}

/// Gives up the files that this process inherited from its caller's caller, by executing it once more.
///
/// A shell's `exec 9>lock; flock 9; client` would leave its lock with the server for good. Nothing but the
/// end of the program's image closes a file that is nobody's value; the PID stays. Where there is none, or
/// where one comes back (something opens it at every start), this returns and does nothing. A server that cannot be
/// rid of them is still a server: what goes wrong here is for the log.
pub(crate) fn shed_inherited() -> io::Result<()> {
    if !started_plainly() || !inherited()? || !mark_stdin()? {
        return Ok(());
    }
    close_fds::set_fds_cloexec(3, &[]);
    // By its name first, which is what people see of a process. A program that was replaced, or is just being, cannot be
    // executed by it.
    let error = execute_again(&std::env::current_exe()?);
    tracing::debug!(target: "rendezvous_ipc::serve", %error, "executed by another name");
    Err(execute_again(Path::new("/proc/self/exe")))
}

fn execute_again(program: &Path) -> io::Error {
    let mut args = std::env::args_os();
    let mut command = Command::new(program);
    command.arg0(args.next().unwrap_or_default());
    command.args(args).exec()
}

/// Marks what a spawner gave this process as standard input, a socket of this process alone. Answers whether it could be
/// marked, and was not before.
///
/// The mark is the flag for appending: it means nothing to a socket, stays when a program is executed, and goes with the
/// socket. What is no socket may be used by others, and is left as it is.
fn mark_stdin() -> io::Result<bool> {
    let stdin = io::stdin();
    if !FileType::from_raw_mode(rustix::fs::fstat(&stdin)?.st_mode).is_socket() {
        return Ok(false);
    }
    let is_marked = || rustix::fs::fcntl_getfl(&stdin).map(|flags| flags.contains(OFlags::APPEND));
    if is_marked()? {
        return Ok(false);
    }
    rustix::fs::fcntl_setfl(&stdin, rustix::fs::fcntl_getfl(&stdin)? | OFlags::APPEND)?;
    Ok(is_marked()?)
}

/// The path of the running program, where the system says it; if it was replaced by a rebuild, that of the new one.
pub(crate) fn this_program() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(replaced) if !path.exists() => Some(OsStr::from_bytes(replaced).into()),
        _ => Some(path),
    }
}

/// Whether the program was started with the arguments that it sees, and not by a loader that took some for itself.
fn started_plainly() -> bool {
    let mut line = Vec::new();
    std::env::args_os().for_each(|arg| {
        line.extend_from_slice(arg.as_bytes());
        line.push(0);
    });
    !line.is_empty() && fs::read("/proc/self/cmdline").is_ok_and(|started| started == line)
}

/// Whether a file beyond standard error is open that a child would inherit.
fn inherited() -> io::Result<bool> {
    const CLOEXEC: u32 = OFlags::CLOEXEC.bits();
    let Ok(open) = fs::read_dir("/proc/self/fdinfo") else { return Ok(false) };
    // The flags stand in the second line: one read has them.
    let mut info_of = [0; 128];
    for entry in open {
        let entry = entry?;
        let Some(fd) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // The directory that is being read is among them, and may be closed by the time it is looked at.
        let Ok(len) = fs::File::open(entry.path()).and_then(|mut info| info.read(&mut info_of)) else { continue };
        let info = str::from_utf8(&info_of[..len]).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        if fd > 2 && flags.is_some_and(|flags| flags & CLOEXEC == 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The file that this process prints its errors to.
pub(crate) fn errors() -> io::Result<FileId> {
    FileId::of(io::stderr())
}

/// Prints a line where errors go, whole; answers whether that went well.
///
/// It is one write, past std's lock: whoever has that, and hangs, does not hold this up.
pub(crate) fn print_error(line: &[u8]) -> bool {
    loop {
        match rustix::io::write(io::stderr(), line) {
            Err(Errno::INTR) => {}
            written => return written == Ok(line.len()),
        }
    }
}

/// Empties the file that this process prints its errors to where it is longer than `most`.
pub(crate) fn bound_errors(most: u64) {
    let len = rustix::fs::fstat(io::stderr()).map_or(0, |errors| u64::try_from(errors.st_size).unwrap_or(0));
    if len > most {
        let _ = rustix::fs::ftruncate(io::stderr(), 0);
    }
}

/// Has this process print to another file what it prints to `before`, its errors and its output.
pub(crate) fn print_to(file: &fs::File, before: FileId) -> io::Result<FileId> {
    if FileId::of(io::stdout()).is_ok_and(|output| output == before) {
        rustix::stdio::dup2_stdout(file)?;
    }
    rustix::stdio::dup2_stderr(file)?;
    FileId::of(file)
}

/// A file that takes all, and keeps nothing.
pub(crate) fn nowhere() -> io::Result<fs::File> {
    fs::File::options().write(true).open("/dev/null")
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
    heard: Heard,
}

impl Lines {
    pub(crate) fn of(input: OwnedFd) -> Self {
        Lines { input, heard: Heard::new() }
    }

    /// Reads the next line, its end included; `None` where there is none, where it is too long or takes too long.
    pub(crate) fn next<T>(&mut self, until: Instant, read: impl Fn(&[u8]) -> T) -> Option<T> {
        loop {
            if let Some(line) = self.heard.take(&read) {
                return Some(line);
            }
            if self.heard.room().is_empty() {
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
            match rustix::io::read(&self.input, self.heard.room()) {
                Ok(len @ 1..) => self.heard.heard(len),
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
#[derive(Debug)]
pub(crate) struct StoppedProcess(Pid);

impl StoppedProcess {
    pub(crate) fn stop(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        rustix::process::kill_process(pid, Signal::STOP)?;
        Ok(StoppedProcess(pid))
    }
}

impl Drop for StoppedProcess {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.0, Signal::CONT);
    }
}

/// The signals of timers. A timer outlives the execution of another program, which did not ask for it.
const TIMERS: [mask::Signal; 3] = [mask::Signal::SIGALRM, mask::Signal::SIGVTALRM, mask::Signal::SIGPROF];

/// Has this thread, the threads that it starts and the programs that they execute block no signals but those of timers, which
/// a started server is to live through until it handles them. Whoever started this process may have blocked any.
pub(crate) fn block_only_timers() {
    block(mask::SigSet::from_iter(TIMERS));
}

fn block(signals: mask::SigSet) {
    if let Err(error) = signals.thread_set_mask() {
        tracing::warn!(target: "rendezvous_ipc::serve", %error, "signals that were blocked may stay so");
    }
}

/// The signals that ask a server to end, and those that must not end it.
pub(crate) struct Signals {
    terminate: signal::Signal,
    interrupt: signal::Signal,
    /// Of a terminal that is gone: for a server that has none of its own.
    hangup: Option<signal::Signal>,
    _child: signal::Signal,
    _file_size: signal::Signal,
    _timers: Vec<signal::Signal>,
}

impl Signals {
    /// Takes the signals from this process. One that was started for a client takes more of them, and blocks none in this
    /// thread and in those that it starts from here on.
    pub(crate) fn new(started: bool) -> io::Result<Self> {
        let timers: &[mask::Signal] = if started { &TIMERS } else { &[] };
        let signals = Signals {
            terminate: signal::signal(SignalKind::terminate())?,
            interrupt: signal::signal(SignalKind::interrupt())?,
            // A terminal that a handler opens may become this process's own, for it leads a session. Its end is not ours.
            hangup: started.then(|| signal::signal(SignalKind::hangup())).transpose()?,
            // A caller that ignores the ends of its children hands that to its children, and a handler that starts
            // a process could not wait for it.
            _child: signal::signal(SignalKind::child())?,
            // A file that may not grow any more is an error of its write, and not the end of the process: the limit is
            // that of whoever happened to start this server.
            _file_size: signal::signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?,
            _timers: timers
                .iter()
                .map(|timer| signal::signal(SignalKind::from_raw(*timer as i32)))
                .collect::<Result<_, _>>()?,
        };
        if started {
            block(mask::SigSet::empty());
        }
        Ok(signals)
    }

    /// Returns at the next signal that asks to end.
    pub(crate) async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                () = hung_up(&mut self.hangup) => {
                    tracing::info!(target: "rendezvous_ipc::serve", "a terminal hung up (SIGHUP), and this server goes on");
                }
            }
        }
    }
}

async fn hung_up(hangup: &mut Option<signal::Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}
