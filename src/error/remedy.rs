//! What the user can do about an error of the system, if that is known.

use std::io;

use rustix::io::Errno;

/// Returns what to do about an error of a file, a directory or a program.
pub(crate) fn of_file(error: &io::Error) -> Option<&'static str> {
    if is_out_of_room(error) {
        return Some("make room there, or use another home");
    }
    Some(match Errno::from_io_error(error)? {
        Errno::FBIG => "raise `ulimit -f`",
        Errno::ROFS => {
            "it cannot be written: use another home, in a container on a volume, or `Policy::Internal`, which needs none"
        }
        Errno::ACCESS | Errno::PERM => "give yourself the right to it, or use another home",
        Errno::EXIST => "what stands there is no directory: remove it, or use another home",
        Errno::NOTDIR => "something above it is no directory: use another home",
        Errno::LOOP => "something above it is a symbolic link that leads nowhere: use another home",
        Errno::NAMETOOLONG => "use a shorter home or a shorter name",
        Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS => {
            "file locks do not work there: use a home on another file system"
        }
        _ => return of_system(error),
    })
}

/// Returns whether a file cannot grow or be created because the file system or the quota is full.
pub(crate) fn is_out_of_room(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull || Errno::from_io_error(error) == Some(Errno::DQUOT)
}

/// Returns what to do about the error of a program that could not be executed.
pub(crate) fn of_program(error: &io::Error) -> Option<&'static str> {
    match Errno::from_io_error(error)? {
        Errno::TXTBSY => {
            Some("another process had it open for writing for as long as a start may take: see that its installer ends")
        }
        _ => None,
    }
}

/// Returns what to do about an error of a socket or a process.
pub(crate) fn of_system(error: &io::Error) -> Option<&'static str> {
    Some(match Errno::from_io_error(error)? {
        Errno::MFILE => "this process has too many files open: close some, or raise `ulimit -n`",
        Errno::NFILE => "the system has too many files open: end something",
        Errno::NOMEM | Errno::NOBUFS => "there is not enough memory: end something",
        Errno::AGAIN => "there are too many processes or threads: end some, or raise `ulimit -u`",
        Errno::NAMETOOLONG => "use a shorter home or a shorter name, or mount /proc, which leads to longer ones",
        Errno::AFNOSUPPORT => {
            "sockets of this kind are forbidden here, or there are none: choose the other `Transport`"
        }
        Errno::NETUNREACH | Errno::NETDOWN | Errno::HOSTUNREACH | Errno::ADDRNOTAVAIL => {
            "the loopback interface is down, or out of ports: bring it up"
        }
        _ => return None,
    })
}
