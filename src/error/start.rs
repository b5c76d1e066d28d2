//! The error for a server that did not start.

use std::error::{self, Error as _};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::{causes_if_asked, remedy, report};

/// Why a server could not be started, as [`Error::Start`](crate::Error::Start) reports it.
///
/// ```
/// # use rendezvous_ipc::{Error, StartFailure};
/// fn hint(error: &Error) -> Option<&'static str> {
///     let Error::Start(start) = error else { return None };
///     match &start.failure {
///         StartFailure::CannotExecute(_) => Some("install the server"),
///         StartFailure::Exited(_) if start.output.contains("licence") => Some("renew the licence"),
///         _ => None,
///     }
/// }
/// ```
#[non_exhaustive]
pub struct StartError {
    /// The program.
    pub program: PathBuf,
    /// How the start failed.
    pub failure: StartFailure,
    /// The text that it printed to standard error. Of more than 2 KiB, the beginning and the end.
    pub output: String,
    /// The path of the log, which has all of that text until it is emptied because it has grown.
    pub log: PathBuf,
}

/// How the start of a server failed. [The manual](crate::manual::errors) says what to do about each.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartFailure {
    /// The program cannot be executed: it does not exist, may not be executed, is not a program for this machine, or
    /// was open for writing for as long as a start may take.
    CannotExecute(io::Error),
    /// The server reported why it cannot serve, in 400 characters at most. Most often it is the handler's error.
    Reported(String),
    /// The server ended before it was ready. `None` if the system does not report how.
    Exited(Option<ExitStatus>),
    /// The program sent bytes that are no server's reply. They are not kept, since they may hold a cookie.
    Nonsense {
        /// How many bytes were read.
        bytes: usize,
    },
    /// The server replied as one of another version of this crate does, or its reply was cut short.
    OtherVersion,
    /// The server offers an older version of the service than the client.
    Version {
        /// The version that the server offers.
        offers: u32,
        /// The version of the client.
        wanted: u32,
    },
    /// The program closed its standard output without a reply, and continued.
    Silent,
    /// The server was not ready within this time, which a start may take.
    Overdue(Duration),
    /// The server reported *ready* and does not hold the lifetime lock: it serves another point, or locks do not work
    /// in this directory.
    Unverified,
    /// Every server that was started was gone before the client could reach it.
    Vanished,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StartError { program, failure, output, log } = self;
        write!(f, "the server {} {failure}", program.display())?;
        if !output.is_empty() {
            write!(f, "; it printed (see {}):\n{output}", log.display())?;
        }
        causes_if_asked(self, f)
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        report(self, f)
    }
}

impl error::Error for StartError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.failure {
            StartFailure::CannotExecute(error) => Some(error),
            _ => None,
        }
    }
}

impl StartError {
    /// Returns in one line which server did not start, and why.
    pub(crate) fn in_short(&self) -> String {
        let cause = self.source().map_or_else(String::new, |cause| format!(": {cause}"));
        format!("the server {} {}{cause}", self.program.display(), self.failure)
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartFailure::CannotExecute(error) => {
                f.write_str("cannot be executed")?;
                remedy::of_program(error).iter().try_for_each(|remedy| write!(f, " ({remedy})"))
            }
            StartFailure::Reported(reason) => write!(f, "failed to start: {reason}"),
            StartFailure::Exited(Some(status)) => {
                write!(f, "{} before it was ready", describe(*status))
            }
            StartFailure::Exited(None) => f.write_str("ended before it was ready"),
            StartFailure::Nonsense { bytes } => write!(
                f,
                "answered {bytes} bytes that are no server's reply, and not shown, for they may hold a secret: \
                 does it call `serve` before it, or what wraps it, prints anything to standard output?"
            ),
            StartFailure::OtherVersion => f.write_str(
                "answered in part, or as a server of another version of rendezvous-ipc does: \
                 rebuild it, or this program",
            ),
            StartFailure::Version { offers, wanted } => {
                write!(f, "offers version {offers} of the service, and this client is of version {wanted}: rebuild it")
            }
            StartFailure::Silent => f.write_str("closed its standard output without a reply"),
            StartFailure::Overdue(budget) => write!(
                f,
                "was not ready within {budget:.1?}, and was ended: does it reach `serve`, is its handler built in time, \
                 and does it use this version of rendezvous-ipc?"
            ),
            StartFailure::Unverified => f.write_str(
                "reported that it is ready and does not hold the lifetime lock: \
                 it serves another point, or file locks do not work in this directory",
            ),
            StartFailure::Vanished => {
                f.write_str("was started again and again, and was gone before it could be reached")
            }
        }
    }
}

/// Describes how a process ended.
fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exited with status {code}"),
        // The system's text has the signal's name: "signal: 9 (SIGKILL)".
        None => format!("was killed by {}", status.to_string().replacen(": ", " ", 1)),
    }
}
