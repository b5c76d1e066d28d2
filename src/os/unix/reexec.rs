//! Closes the files that a started server inherited, by executing its program once more.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, openat};

/// Closes the files that this process inherited from its client's caller, by executing the program once more.
///
/// After a shell's `exec 9>lock; flock 9; client` the server would hold the lock until it ends. Safe Rust cannot close
/// a descriptor that no value owns, but an exec can; the PID stays. This returns without an exec if no file was
/// inherited, and if the program was already executed again, since a file that something opens at every start would
/// come back. The server can run without this, so the caller only logs an error.
pub(crate) fn close_inherited() -> io::Result<()> {
    if !has_inherited()? || !started_plainly() || !mark_stdin()? {
        return Ok(());
    }
    close_fds::set_fds_cloexec(3, &[]);
    // The program's path comes first, because `ps` shows it. It fails while the program is replaced, and afterwards.
    let error = execute_again(&std::env::current_exe()?);
    tracing::debug!(target: "rendezvous_ipc::serve", %error, "cannot be executed by its path, trying /proc/self/exe");
    Err(execute_again(Path::new("/proc/self/exe")))
}

fn execute_again(program: &Path) -> io::Error {
    let mut args = std::env::args_os();
    let mut command = Command::new(program);
    command.arg0(args.next().unwrap_or_default());
    command.args(args).exec()
}

/// Marks standard input as seen by this process. Returns whether it is marked now and was not before.
///
/// The client gives each server a socket of its own as standard input. The mark is that socket's append flag: it means
/// nothing to a socket, survives an exec, and ends with the socket. Other kinds of files may be shared with other
/// processes and are left as they are.
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

/// Returns whether the program was started with exactly the arguments that it sees. A loader takes some for itself.
fn started_plainly() -> bool {
    let mut line = Vec::new();
    std::env::args_os().for_each(|arg| {
        line.extend_from_slice(arg.as_bytes());
        line.push(0);
    });
    !line.is_empty() && fs::read("/proc/self/cmdline").is_ok_and(|started| started == line)
}

/// Returns whether a file other than the three standard streams is open and would be inherited by a child.
fn has_inherited() -> io::Result<bool> {
    const CLOEXEC: u32 = OFlags::CLOEXEC.bits();
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let open = openat(CWD, "/proc/self/fdinfo", flags | OFlags::DIRECTORY, Mode::empty());
    let Ok(mut open) = open.and_then(Dir::new) else { return Ok(false) };
    // The flags are in the second line, so one short read is enough.
    let mut info_of = [0; 128];
    while let Some(entry) = open.read() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(3..) = name.to_str().ok().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // The descriptor of this directory listing is an entry, too. Another thread may close others meanwhile.
        let info = openat(open.fd()?, name, flags, Mode::empty());
        let Ok(len) = info.and_then(|info| rustix::io::read(info, &mut info_of)) else { continue };
        let info = str::from_utf8(&info_of[..len]).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        if flags.is_some_and(|flags| flags & CLOEXEC == 0) {
            return Ok(true);
        }
    }
    Ok(false)
}
