//! The causes of some errors: what was found, in words, and what to do about it.

use std::error::Error;
use std::fmt;

use crate::error::BoxError;
use crate::outcome::Failed;
use crate::proto::unresponsive::Spared;

/// Why a file or a directory was left alone, as [`Error::Untrusted`](crate::Error::Untrusted) reports it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Untrusted {
    /// A symbolic link stands where a file should be.
    SymbolicLink,
    /// A directory stands where a file should be.
    Directory,
    /// A FIFO stands where a file should be.
    Fifo,
    /// A socket stands where a file should be.
    Socket,
    /// A device stands where a file should be.
    Device,
    /// Another user owns the file.
    OthersFile,
    /// Others than its owner may use the file.
    SharedFile,
    /// The file has more than one name.
    LinkedFile,
    /// Another user owns the directory.
    OthersDirectory,
    /// Others than its owner may write the directory.
    SharedDirectory,
}

impl Untrusted {
    /// Returns what to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Untrusted::SymbolicLink
            | Untrusted::Directory
            | Untrusted::Fifo
            | Untrusted::Socket
            | Untrusted::Device => "remove it",
            Untrusted::OthersFile | Untrusted::OthersDirectory => "be that user, or use a home of your own",
            Untrusted::SharedFile => "chmod 600 it",
            Untrusted::LinkedFile => "remove it if its directory was copied by links",
            Untrusted::SharedDirectory => "chmod go-w it, or use another home",
        }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Untrusted::SymbolicLink => "a symbolic link",
            Untrusted::Directory => "a directory",
            Untrusted::Fifo => "a FIFO",
            Untrusted::Socket => "a socket",
            Untrusted::Device => "a device",
            Untrusted::OthersFile => "another user's file",
            Untrusted::SharedFile => "a file that others may use",
            Untrusted::LinkedFile => "a file with more than one name",
            Untrusted::OthersDirectory => "another user's directory",
            Untrusted::SharedDirectory => "a directory that others may write",
        })
    }
}

/// Why the process of a server cannot be identified, as [`Error::Unidentified`](crate::Error::Unidentified) reports it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Unidentified {
    /// The server is this process.
    ThisProcess,
    /// No process here has the number of the record.
    NoProcess,
    /// Another process has the number of the record now, or has it in this PID namespace.
    OtherProcess,
    /// The process that listens at the server's socket has another number in this PID namespace.
    OtherListener,
    /// The process does not hold the lifetime lock.
    NotTheHolder,
    /// The start time of the process is not known.
    UnknownStart,
    /// This system has no pidfd.
    NoPidfd,
}

impl Unidentified {
    /// Returns what to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Unidentified::ThisProcess => "let it return from `serve`, or exit",
            Unidentified::NoProcess
            | Unidentified::OtherProcess
            | Unidentified::OtherListener
            | Unidentified::NotTheHolder => {
                "if it is in another PID namespace (a container), end it there; if not, try again in some seconds, for a \
                 server that lives restores its record"
            }
            Unidentified::UnknownStart | Unidentified::NoPidfd => "see what it is, and end it by hand",
        }
    }
}

impl fmt::Display for Unidentified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unidentified::ThisProcess => "it is this process",
            Unidentified::NoProcess => "no process has that number here",
            Unidentified::OtherProcess => "that number is another process's here",
            Unidentified::OtherListener => {
                "the process that listens at its socket has another number here, or none, as one in a container has"
            }
            Unidentified::NotTheHolder => "the process of that number does not hold its lifetime lock",
            Unidentified::UnknownStart => "when it began is not known",
            Unidentified::NoPidfd => "this system has no pidfd",
        })
    }
}

/// Why a server that does not answer was not killed, as [`Error::NotHung`](crate::Error::NotHung) reports it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum NotHung {
    /// It closed the connection or sent an unexpected reply, so it is running.
    Reacts,
    /// It makes progress: its serving thread got CPU time, or accepted a connection.
    Runs,
    /// It is not stopped, and no longer listens: it may be waiting for its last clients.
    Draining,
    /// It is not stopped, and the mode of its socket admits no process.
    OutOfReach,
    /// Whether it makes progress cannot be observed.
    NotKnown,
}

impl NotHung {
    /// Returns what to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            NotHung::Reacts | NotHung::Runs => {
                "it may be busy, or others crowd it: try again when that is over, and if it hangs all the same, end it by \
                 hand"
            }
            NotHung::Draining => "wait for its end",
            NotHung::OutOfReach => "change the mode of its socket to 0600",
            NotHung::NotKnown => "see what it does, and end it by hand",
        }
    }

    pub(crate) fn of(spared: Spared) -> Self {
        match spared {
            Spared::Acts => NotHung::Reacts,
            Spared::GoesOn => NotHung::Runs,
            Spared::Closed => NotHung::Draining,
            Spared::Shut => NotHung::OutOfReach,
            Spared::NotKnown => NotHung::NotKnown,
        }
    }
}

impl fmt::Display for NotHung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotHung::Reacts => "it hung up or sent something else, and so it does something",
            NotHung::Runs => "it goes on",
            NotHung::Draining => "it is not stopped, and may be waiting for its last clients",
            NotHung::OutOfReach => "it is not stopped, and no client can connect to it",
            NotHung::NotKnown => "whether it goes on cannot be seen",
        })
    }
}

/// Why a handler was not built, if its factory returned no error. It is the source of an
/// [`Error::Handler`](crate::Error::Handler).
#[derive(Debug)]
pub(crate) enum NotBuilt {
    /// Its factory panicked.
    Panicked,
    /// Its factory took too long.
    Overdue,
    /// The server was requested to retire before the handler was built.
    Abandoned,
}

impl fmt::Display for NotBuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotBuilt::Panicked => "it panicked",
            NotBuilt::Overdue => "it was not built in time",
            NotBuilt::Abandoned => "no caller waits for it any more",
        })
    }
}

impl Error for NotBuilt {}

/// The failure to build a handler in this process, after a server could not be started. It is the source of an
/// [`Error::Handler`](crate::Error::Handler).
#[derive(Debug)]
pub(crate) struct HandlerToo {
    /// The server that did not start.
    pub(crate) failed: Failed,
    /// Why the handler was not built here.
    pub(crate) error: BoxError,
}

impl fmt::Display for HandlerToo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (and before that, {})", self.error, self.failed)
    }
}

impl Error for HandlerToo {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
