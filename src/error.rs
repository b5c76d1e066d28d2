//! What can go wrong, and what to do about it.

pub(crate) mod remedy;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::outcome::{Outcome, Suspicion};
use crate::proto::handshake::Answer;
use crate::proto::scope::Difference;

/// The error of a handler, of whatever type it is: `?` makes one, and so does `"text".into()`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call of this crate failed.
///
/// `Display` says at which stage, with which path, what was found and what to do about it. `Debug` says
/// the same with all sources, since that is what a `main` that returns an error prints.
/// [The manual](crate::manual::errors) says of each variant what to do.
///
/// ```
/// # use rendezvous_ipc::{Context, Descriptor, Error};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
/// # let context = Context::ephemeral("org.example.counter")?;
/// let service = Descriptor::new(&context, "counter")?.program("/nowhere/counter", ["serve"]);
/// let error = service.connect().await.unwrap_err();
/// assert!(matches!(error, Error::Start(_)));
/// assert!(error.to_string().starts_with("the server /nowhere/counter cannot be executed: "));
/// # Ok(()) }
/// ```
#[non_exhaustive]
pub enum Error {
    /// The program was called, or the crate was used, in a way that makes no sense. The text says what would.
    Usage(String),
    /// A file could not be opened, locked, read or written, or a process not be started for want of something: our own
    /// trouble, which says nothing about a server.
    File {
        /// The file, the directory or the program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what only its owner could have made, and was left alone.
    Untrusted {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The system refused us something that is no file: a socket, a process, random bytes.
    System {
        /// The step at which it was asked for, named as in the protocol.
        stage: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A server could not be started.
    Start(Box<StartError>),
    /// The point is served by a program whose records are of a newer format.
    Newer {
        /// The point.
        path: PathBuf,
        /// The format of its record.
        format: u32,
    },
    /// The server is alive and does not support what was asked for.
    Incompatible {
        /// What it answered.
        answer: Answer,
    },
    /// The server is alive, and offers a newer version of the service than this program understands.
    TooNew {
        /// Its process.
        pid: u32,
        /// The version that it offers.
        offers: u32,
        /// The newest that this program understands.
        newest: u32,
    },
    /// The point holds a record of another dialect, that of `sequoia-ipc`. Whether its server lives was not asked.
    OtherDialect {
        /// The point.
        path: PathBuf,
    },
    /// The point holds the record of a server that cannot be reached from here: it listens at a port of another network
    /// namespace, or of nobody knows which, or it is another machine's in a home that machines share. Either it lives, and
    /// was waited for, or nobody can tell here. Where the directory was copied, the record came along: remove the point.
    ForeignScope {
        /// The point.
        path: PathBuf,
        /// The process that the record names, by its number there.
        pid: u32,
        /// In which part its scope differs.
        differs: Difference,
    },
    /// Nobody can tell whether a server is alive: the life file cannot be asked.
    CannotTell {
        /// The life file.
        path: PathBuf,
        /// Why it cannot be asked.
        source: Option<Box<Error>>,
    },
    /// A server holds its lifetime lock and does not welcome us: it is stopped, it hangs, or it serves as many clients
    /// as it may ([`Limits::clients`](crate::Limits::clients)). It was left alone.
    Unresponsive {
        /// Its process.
        pid: u32,
        /// What was tried last, and what it came to.
        suspicion: Suspicion,
        /// For how long it was tried.
        waited: Duration,
    },
    /// A server that was to be ended ([`end_unresponsive`](crate::Descriptor::end_unresponsive)) cannot be told for
    /// certain from other processes. Nothing was killed.
    Unidentified {
        /// The process that the record names.
        pid: u32,
        /// Why that is not enough.
        found: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A server that was to be ended ([`end_unresponsive`](crate::Descriptor::end_unresponsive)) does not answer, and
    /// nothing shows that it hangs: it may be busy, or others may crowd it. Nothing was killed.
    NotHung {
        /// The process that the record names.
        pid: u32,
        /// What was tried last, and what it came to.
        suspicion: Box<Suspicion>,
        /// For how long it was tried.
        waited: Duration,
        /// What was seen of it.
        found: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The time that was given is over.
    Deadline {
        /// The step at which it ended, named as in the protocol.
        stage: &'static str,
        /// What that step waits for.
        waiting_for: &'static str,
        /// How long it took.
        waited: Duration,
        /// What was tried until then, if anything.
        suspicion: Option<Box<Suspicion>>,
        /// Who held the lock then, where it waited for one and the system tells.
        holder: Option<Holder>,
    },
    /// [`serve`](crate::Descriptor::serve) found a live server of the same point.
    AlreadyRunning {
        /// Its process; 0 where its dialect does not tell.
        pid: u32,
    },
    /// The handler could not be built: its factory failed, panicked, or took longer than
    /// [`Limits::start`](crate::Limits::start).
    Handler(BoxError),
    /// The connection ended before the answer came. Whether the server did what it was asked for is not known.
    Disconnected {
        /// What it was connected to.
        outcome: Box<Outcome>,
        /// What the connection said, if anything.
        source: Option<BoxError>,
    },
    /// A call of the service failed.
    #[cfg(feature = "capnp")]
    Rpc(BoxError),
}

/// A server that could not be started: the inside of [`Error::Start`].
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
#[derive(Debug)]
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

/// The process that held a lock which was waited for, when the wait was over. It may have released the lock by now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Holder {
    /// It held the point lock: a client that starts a server, or a server that looks after its record. One that is
    /// stopped keeps it.
    Point(u32),
    /// It held the lifetime lock: a server that starts or drains, or one that is stopped. Or it has a share in it, so that no
    /// server can have it, as a backup may.
    Lifetime(u32),
}

impl Error {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Error::File { path: path.to_owned(), source }
    }

    pub(crate) fn untrusted(path: &Path, found: &'static str, remedy: &'static str) -> Self {
        Error::Untrusted { path: path.to_owned(), found, remedy }
    }

    pub(crate) fn system(stage: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Error::System { stage, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(text) => f.write_str(text),
            Error::File { path, source } => {
                write!(f, "{}: {source}", path.display())?;
                remedy::of_file(source).iter().try_for_each(|remedy| write!(f, ": {remedy}"))
            }
            Error::Untrusted { path, found, remedy } => {
                write!(f, "{} is {found} and was left alone: {remedy}", path.display())
            }
            Error::System { stage, source } => {
                write!(f, "at {stage}: {source}")?;
                remedy::of_system(source).iter().try_for_each(|remedy| write!(f, ": {remedy}"))
            }
            Error::Start(start) => start.fmt(f),
            Error::Newer { path, format } => write!(
                f,
                "{} is served by a newer program (record format {format}): update this one, or retire that server",
                path.display()
            ),
            Error::Incompatible { answer } => write!(f, "the server is not for this program: {answer}"),
            Error::TooNew { pid, offers, newest } => write!(
                f,
                "the server (pid {pid}) offers version {offers} of the service, and this program understands \
                 {newest} at most: update it"
            ),
            Error::OtherDialect { path } => {
                write!(f, "{} belongs to servers of another dialect: use another name or home", path.display())
            }
            Error::ForeignScope { path, pid, differs } => {
                let path = path.display();
                write!(
                    f,
                    "{path} belongs to a server (pid {pid} there) that cannot be reached from here, for {differs}: "
                )?;
                f.write_str(match differs {
                    Difference::Machine | Difference::Boot => "use a home that is not shared",
                    Difference::Namespace | Difference::UnknownNamespace => "have it listen at a Unix socket",
                })?;
                write!(f, ", or, if this directory was copied, remove {path}")
            }
            Error::CannotTell { path, source } => {
                write!(f, "cannot tell whether a server is alive, for {} cannot be locked", path.display())?;
                source.iter().try_for_each(|source| write!(f, ": {source}"))
            }
            Error::Unresponsive { pid, suspicion, waited } if suspicion.lets_wait() => write!(
                f,
                "the server (pid {pid}) has no room for another client, or hangs: it proved itself, and let this one \
                 wait for its welcome, {waited:.1?} in all"
            ),
            Error::Unresponsive { pid, suspicion, waited } if suspicion.user.is_some() => write!(
                f,
                "the server (pid {pid}) is alive and out of reach: {suspicion}, tried for {waited:.1?}; if it gave up its \
                 user after it was started, let it not, and if somebody else owns the home, use one of your own"
            ),
            Error::Unresponsive { pid, suspicion, waited } if suspicion.socket.is_some() => write!(
                f,
                "the server (pid {pid}) is alive and out of reach: {suspicion}, tried for {waited:.1?}; change it to 0600, \
                 as a server does that is not stopped and does not hang"
            ),
            Error::Unresponsive { pid, suspicion, waited } => write!(
                f,
                "the server (pid {pid}) is alive and does not answer: {suspicion}, tried for {waited:.1?}; \
                 if it is stopped, continue it, and if it hangs, end it"
            ),
            Error::Unidentified { pid, found, remedy } => {
                write!(f, "the server (pid {pid}) does not answer and was not ended, for {found}: {remedy}")
            }
            Error::NotHung { pid, suspicion, waited, found, remedy } => write!(
                f,
                "the server (pid {pid}) does not answer ({suspicion}, tried for {waited:.1?}) and was not ended, for \
                 {found}: {remedy}"
            ),
            Error::Deadline { stage, waiting_for, waited, suspicion, holder } => {
                write!(f, "gave up after {waited:.1?} at {stage}, waiting for {waiting_for}")?;
                holder.iter().try_for_each(|holder| write!(f, ": {holder}"))?;
                suspicion.iter().try_for_each(|suspicion| write!(f, " ({suspicion})"))
            }
            Error::AlreadyRunning { pid: 0 } => f.write_str("a server is already running"),
            Error::AlreadyRunning { pid } => write!(f, "a server is already running: pid {pid}"),
            Error::Handler(error) => write!(f, "the handler could not be built: {error}"),
            Error::Disconnected { outcome, source } => {
                write!(f, "the connection ended before the answer came ({outcome})")?;
                source.iter().try_for_each(|source| write!(f, ": {source}"))
            }
            #[cfg(feature = "capnp")]
            Error::Rpc(error) => error.fmt(f),
        }
    }
}

/// Reads like [`Display`](fmt::Display): each variant names its sources there.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::File { source, .. } | Error::System { source, .. } => Some(source),
            Error::Start(start) => match &start.failure {
                StartFailure::CannotExecute(error) => Some(error),
                _ => None,
            },
            Error::CannotTell { source, .. } => source.as_deref().map(|error| error as _),
            Error::Handler(error) => Some(&**error),
            Error::Disconnected { source, .. } => source.as_deref().map(|error| error as _),
            #[cfg(feature = "capnp")]
            Error::Rpc(error) => Some(&**error),
            _ => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StartError { program, failure, said, log } = self;
        write!(f, "the server {} {failure}", program.display())?;
        if !said.is_empty() {
            write!(f, "; it printed (see {}):\n{said}", log.display())?;
        }
        Ok(())
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartFailure::CannotExecute(error) => {
                write!(f, "cannot be executed: {error}")?;
                remedy::of_program(error).iter().try_for_each(|remedy| write!(f, ": {remedy}"))
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

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Point(pid) => write!(f, "pid {pid} holds the point lock"),
            Holder::Lifetime(pid) => write!(f, "pid {pid} holds the lifetime lock"),
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

#[cfg(feature = "capnp")]
impl From<capnp::Error> for Error {
    fn from(error: capnp::Error) -> Self {
        Error::Rpc(error.into())
    }
}
