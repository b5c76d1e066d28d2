//! Files that a started server inherited from its caller's caller, and how it is rid of them.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{FileType, OFlags};

/// Gives up the files that this process inherited from its caller's caller, by executing it once more.
///
/// A shell's `exec 9>lock; flock 9; client` would leave its lock with the server for good. Nothing but the
/// end of the program's image closes a file that is nobody's value; the PID stays. Where there is none, or
/// where one comes back (something opens it at every start), this returns and does nothing. A server that cannot be
/// rid of them is still a server: what goes wrong here is for the log.
pub(crate) fn close_inherited() -> io::Result<()> {
    if !started_plainly() || !has_inherited()? || !mark_stdin()? {
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
fn has_inherited() -> io::Result<bool> {
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
