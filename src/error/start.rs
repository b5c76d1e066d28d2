//! Why a server did not start.

use std::error::{self, Error as _};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::{causes_if_asked, remedy, report};

/// A server that could not be started: the inside of [`Error::Start`](crate::Error::Start).
///
/// ```
/// # use rendezvous_ipc::{Error, StartFailure};
/// fn hint(error: &Error) -> Option<&'static str> {
///     let Error::Start(start) = error else { return None };
///     match &start.failure {
///         StartFailure::CannotExecute(_) => Some("install the server"),
///         StartFailure::Exited(_) if start.said.contains("licence") => Some("renew the licence"),
///         _ => None,
///     }
/// }
/// ```
#[non_exhaustive]
pub struct StartError {
    /// The program.
    pub program: PathBuf,
    /// How it failed.
    pub failure: StartFailure,
    /// What it printed to standard error, if anything: the beginning and the end where that is more than 2 KiB.
    pub said: String,
    /// Where all of it is: a file that is emptied when it has grown to 1 MiB.
    pub log: PathBuf,
}

/// How the start of a server failed. [The manual](crate::manual::errors) says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartFailure {
    /// The program cannot be executed: not there, not allowed, no program for this machine, or open for writing for as
    /// long as a start may take.
    CannotExecute(io::Error),
    /// It said why it cannot serve: most often its handler's error, 400 characters at most.
    Said(String),
    /// It ended before it was ready; `None` where the system does not tell how.
    Exited(Option<ExitStatus>),
    /// It answered with something else than a server's reply, which is not kept: it may hold a record, and so a cookie.
    Nonsense {
        /// How many bytes of it were read.
        bytes: usize,
    },
    /// It answered as a server of another version of this crate does, or cut its reply short.
    OtherVersion,
    /// It offers a version of the service that the client is not for.
    Version {
        /// What it offers.
        offers: u32,
        /// What the client is of.
        wanted: u32,
    },
    /// It closed its standard output without a word, and went on.
    Silent,
    /// It was not ready in the time that a start may take.
    Overdue(Duration),
    /// It said *ready* and does not hold the lifetime lock: another program, or locks do not work here.
    Unverified,
    /// Every server that was started was gone again before it could be reached.
    Vanished,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StartError { program, failure, said, log } = self;
        write!(f, "the server {} {failure}", program.display())?;
        if !said.is_empty() {
            write!(f, "; it printed (see {}):\n{said}", log.display())?;
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
    /// Says which server did not start, and why, in one line.
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
            StartFailure::Said(reason) => write!(f, "failed to start: {reason}"),
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
                "was not ready within {budget:.1?}, and was ended: does it reach `serve`, and is its handler built in time?"
            ),
            StartFailure::Unverified => f.write_str(
                "said that it is ready and does not hold the lifetime lock: \
                 it serves another point, or file locks do not work in this directory",
            ),
            StartFailure::Vanished => {
                f.write_str("was started again and again, and was gone before it could be reached")
            }
        }
    }
}

/// How a process ended, for people.
fn describe(status: ExitStatus) -> String {
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
