//! The errors of this crate, with what to do about them.

mod causes;
pub(crate) mod remedy;
mod start;
#[cfg(test)]
mod tests;
mod usage;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(crate) use self::causes::HandlerToo;
#[cfg(feature = "tokio")]
pub(crate) use self::causes::NotBuilt;
pub use self::causes::{NotHung, Unidentified, Untrusted};
pub use self::start::{StartError, StartFailure};
pub(crate) use self::usage::EPHEMERAL;
pub use self::usage::Usage;
use crate::found::{Incompatibility, ScopeDifference};
use crate::outcome::Outcome;
use crate::pid::{InBrackets, Pid};
use crate::stage::Stage;
use crate::suspicion::{Suspicion, Tried};

/// The error of a handler, of any type. `?` converts to it, and so does `"text".into()`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call of this crate failed.
///
/// `Display` says at which stage, with which path, what was found and what to do, without the causes, which
/// [`source`](std::error::Error::source) returns. With `{:#}` the causes follow in the same line. `Debug` writes a line
/// for each of them, since a `main` that returns an error prints that. [The manual](crate::manual::errors) says what to
/// do about each variant.
///
/// ```
/// # use rendezvous_ipc::{Context, Descriptor, Error};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
/// # let context = Context::ephemeral("org.example.counter")?;
/// let service = Descriptor::new(&context, "counter")?.program("/nowhere/counter", ["serve"]);
/// let error = service.connect().await.unwrap_err();
/// assert!(matches!(error, Error::Start(_)));
/// assert_eq!(error.to_string(), "no server could be started");
/// let all = "no server could be started: the server /nowhere/counter cannot be executed: No such file or directory";
/// assert!(format!("{error:#}").starts_with(all));
/// # Ok(()) }
/// ```
#[non_exhaustive]
pub enum Error {
    /// The program was called, or the crate was used, in a wrong way. The text says what to do instead.
    Usage(Usage),
    /// A file could not be opened, locked, read or written, or a process could not be started for lack of something.
    /// This is a local error, which says nothing about a server.
    File {
        /// The file, the directory or the program.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file may have been made or changed by another user, and was left alone.
    Untrusted {
        /// The file or the directory.
        path: PathBuf,
        /// Why it is not trusted.
        found: Untrusted,
    },
    /// The system refused something that is not a file: a socket, a process, random bytes.
    System {
        /// The step that needed it.
        stage: Stage,
        /// The error of the system.
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
    /// The server is alive and does not support the request.
    Incompatible {
        /// Why the server refused.
        why: Incompatibility,
    },
    /// The server is alive, and offers a newer version of the service than this program understands.
    TooNew {
        /// The server's process.
        pid: Option<Pid>,
        /// The version that it offers.
        offers: u32,
        /// The newest that this program understands.
        newest: u32,
    },
    /// The server is alive, and offers an older version of the service, which this program refuses
    /// ([`Older::Refuse`](crate::Older::Refuse)). It was left alone.
    TooOld {
        /// The server's process.
        pid: Option<Pid>,
        /// The version that it offers.
        offers: u32,
        /// The version of this program.
        wanted: u32,
    },
    /// The server is alive, and speaks another protocol than this program:
    /// [`Descriptor::protocol`](crate::Descriptor::protocol). It was left alone.
    OtherProtocol {
        /// The tag of this program's protocol.
        ours: String,
        /// The tag of the server's protocol.
        theirs: String,
        /// The server's process.
        pid: Option<Pid>,
    },
    /// The server is alive, and serves as many clients as it may ([`Limits::max_clients`](crate::Limits::max_clients)),
    /// or as it has descriptors for. The client waited until its deadline.
    Full {
        /// The server's process.
        pid: Option<Pid>,
        /// The number of its clients.
        clients: u32,
        /// How long the client tried.
        waited: Duration,
    },
    /// The point holds a record of another dialect. Whether its server is alive is not checked.
    OtherDialect {
        /// The point.
        path: PathBuf,
    },
    /// The point holds the record of a server that this program cannot reach: the server listens at a port of another
    /// or an unknown network namespace, or is on another machine that shares the home. The server is alive and the
    /// client waited for it, or whether it is alive cannot be found out here. If the directory was copied together with
    /// the record, remove the point.
    ForeignScope {
        /// The point.
        path: PathBuf,
        /// The process that the record names, by its number there.
        pid: Option<Pid>,
        /// The part in which its scope differs.
        differs: ScopeDifference,
    },
    /// Whether a server is alive cannot be found out: the life file cannot be locked.
    CannotTell {
        /// The life file.
        path: PathBuf,
        /// Why it cannot be locked.
        source: Option<Box<Error>>,
    },
    /// A server holds its lifetime lock and does not welcome this client: it is stopped, or it hangs. It was left alone.
    Unresponsive {
        /// The server's process.
        pid: Option<Pid>,
        /// The last dial, and how it failed.
        suspicion: Box<Suspicion>,
        /// How long the client tried.
        waited: Duration,
    },
    /// [`end_unresponsive`](crate::Descriptor::end_unresponsive) could not identify the server's process for certain.
    /// Nothing was killed.
    Unidentified {
        /// The process that the record names.
        pid: Option<Pid>,
        /// Why the process cannot be identified.
        found: Unidentified,
    },
    /// [`end_unresponsive`](crate::Descriptor::end_unresponsive) found a server that does not answer, but no sign that
    /// it hangs: it may be busy, or other clients may fill its queue. Nothing was killed.
    NotHung {
        /// The process that the record names.
        pid: Option<Pid>,
        /// The last dial, and how it failed.
        suspicion: Box<Suspicion>,
        /// How long it was tried.
        waited: Duration,
        /// Why the server may still work.
        found: NotHung,
    },
    /// The time limit of the call was reached.
    Deadline {
        /// The step at which the call ended.
        stage: Stage,
        /// How long the call took.
        waited: Duration,
        /// The last dial that failed, if one did.
        suspicion: Option<Box<Suspicion>>,
        /// The process that held the lock for which the call waited, if the system reports it.
        holder: Option<Holder>,
    },
    /// [`serve`](crate::Descriptor::serve) found a live server of the same point.
    AlreadyRunning {
        /// The server's process, if its dialect reports it.
        pid: Option<Pid>,
    },
    /// The handler could not be built: its factory failed, panicked, or took longer than
    /// [`Limits::start`](crate::Limits::start).
    Handler(BoxError),
    /// The connection ended before the reply arrived. Whether the server handled the request is not known.
    Disconnected {
        /// How the connection was made.
        outcome: Box<Outcome>,
        /// The error of the connection, if there was one.
        source: Option<BoxError>,
    },
    /// The server cannot listen at a port, since its network namespace is not known and no client could find it.
    UnknownNamespace,
    /// A bug of this crate. Please report it, with the text.
    Internal(String),
    /// A call of the service failed. Needs the feature `capnp`.
    #[cfg(feature = "capnp")]
    #[cfg_attr(docsrs, doc(cfg(feature = "capnp")))]
    Rpc(BoxError),
}

/// The process that held a lock when a call gave up its wait for it. It may have released the lock by now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Holder {
    /// This process held the point lock: a client that starts a server, or a server that checks its record. A process
    /// that is stopped keeps the lock.
    Point(Pid),
    /// This process held the lifetime lock: a server that starts, drains or is stopped. Or it has a share in the lock,
    /// as a backup may, so that no server can take it.
    Lifetime(Pid),
    /// This server held the lifetime lock, and has retired: it waits for the clients that it has left.
    Draining {
        /// The server's process, by the number that it has where it runs.
        pid: Pid,
        /// When its drain is over ([`Limits::drain`](crate::Limits::drain)), by the system's clock. It may end before, and
        /// its handler may take a moment longer.
        until: SystemTime,
    },
}

impl Error {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Error::File { path: path.to_owned(), source }
    }

    pub(crate) fn untrusted(path: &Path, found: Untrusted) -> Self {
        Error::Untrusted { path: path.to_owned(), found }
    }

    pub(crate) fn system(stage: Stage) -> impl FnOnce(io::Error) -> Self {
        move |source| Error::System { stage, source }
    }

    /// Returns the error for a value that is missing because of a bug in this crate.
    pub(crate) fn missing(what: &str) -> Self {
        Error::Internal(format!("{what} is not there"))
    }

    /// Writes the error and its remedy, without the causes.
    fn message(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(usage) => write!(f, "{usage}"),
            Error::File { path, source } => {
                write!(f, "cannot use {}", path.display())?;
                remedy::of_file(source).iter().try_for_each(|remedy| write!(f, " ({remedy})"))
            }
            Error::Untrusted { path, found } => {
                write!(f, "{} is {found} and was left alone: {}", path.display(), found.remedy())
            }
            Error::System { stage, source } => {
                write!(f, "the system refused what is needed at {stage}")?;
                remedy::of_system(source).iter().try_for_each(|remedy| write!(f, " ({remedy})"))
            }
            Error::Start(_) => f.write_str("no server could be started"),
            Error::Newer { path, format } => write!(
                f,
                "{} is served by a newer program (record format {format}): update this one, or retire that server",
                path.display()
            ),
            Error::Incompatible { why } => write!(f, "the server is not for this program: {why}"),
            Error::TooNew { pid, offers, newest } => write!(
                f,
                "the server{} offers version {offers} of the service, and this program understands {newest} at most: \
                 update it",
                InBrackets(*pid)
            ),
            Error::TooOld { pid, offers, wanted } => write!(
                f,
                "the server{} offers version {offers} of the service, and this program is of version {wanted}: have it \
                 retire, or choose to replace older servers",
                InBrackets(*pid)
            ),
            Error::OtherDialect { path } => {
                write!(f, "{} belongs to servers of another dialect: use another name or home", path.display())
            }
            Error::ForeignScope { path, pid, differs } => {
                let path = path.display();
                let there = pid.map_or_else(String::new, |pid| format!(" (pid {pid} there)"));
                write!(f, "{path} belongs to a server{there} that cannot be reached from here, for {differs}: ")?;
                f.write_str(match differs {
                    ScopeDifference::Machine | ScopeDifference::Boot => "use a home that is not shared",
                    ScopeDifference::Namespace | ScopeDifference::UnknownNamespace => "have it listen at a Unix socket",
                })?;
                write!(f, ", or, if this directory was copied, remove {path}")
            }
            Error::CannotTell { path, .. } => {
                write!(f, "cannot tell whether a server is alive, because {} cannot be locked", path.display())
            }
            Error::OtherProtocol { ours, theirs, pid } => write!(
                f,
                "the server{} speaks {theirs}, and this program {ours}: use another name, or the same program",
                InBrackets(*pid)
            ),
            Error::Full { pid, clients, waited } => write!(
                f,
                "the server{} has no room for another client beside {clients}, tried for {waited:.1?}: try again later, or raise \
                 its `max_clients`",
                InBrackets(*pid)
            ),
            Error::Unresponsive { pid, suspicion, waited } if suspicion.user.is_some() => write!(
                f,
                "the server{} is alive and out of reach: {}; a server must not \
                 change its user after its start; if another user owns the home, use one of your own",
                InBrackets(*pid),
                Tried(suspicion, *waited)
            ),
            Error::Unresponsive { pid, suspicion, waited } if suspicion.socket.is_some() => write!(
                f,
                "the server{} is alive and out of reach: {}; change it to 0600, as a server \
                 does that is not stopped and does not hang",
                InBrackets(*pid),
                Tried(suspicion, *waited)
            ),
            Error::Unresponsive { pid, suspicion, waited } => write!(
                f,
                "the server{} is alive and does not answer: {}; if it is stopped, continue \
                 it, and if it hangs, end it",
                InBrackets(*pid),
                Tried(suspicion, *waited)
            ),
            Error::Unidentified { pid, found } => write!(
                f,
                "the server{} does not answer and was not ended, for {found}: {}",
                InBrackets(*pid),
                found.remedy()
            ),
            Error::NotHung { pid, suspicion, waited, found } => write!(
                f,
                "the server{} does not answer ({}) and was not ended, for {found}: {}",
                InBrackets(*pid),
                Tried(suspicion, *waited),
                found.remedy()
            ),
            Error::Deadline { stage, waited, suspicion, holder } => {
                write!(f, "gave up after {waited:.1?} at {stage}, waiting for {}", stage.waits_for())?;
                holder.iter().try_for_each(|holder| write!(f, ": {holder}"))?;
                suspicion.iter().try_for_each(|suspicion| write!(f, " ({suspicion})"))
            }
            Error::AlreadyRunning { pid } => {
                f.write_str("a server is already running")?;
                pid.iter().try_for_each(|pid| write!(f, ": pid {pid}"))
            }
            Error::Handler(_) => f.write_str("the handler could not be built"),
            Error::Disconnected { outcome, .. } => {
                write!(f, "the connection ended before the answer came ({outcome})")
            }
            Error::UnknownNamespace => f.write_str(
                "no client can find a port whose network namespace is not known: mount /proc, or listen at a Unix socket",
            ),
            Error::Internal(what) => write!(f, "an internal error of rendezvous-ipc, please report it: {what}"),
            #[cfg(feature = "capnp")]
            Error::Rpc(error) if is_disconnected(error) => f.write_str(
                "a call of the service failed, because the connection ended: connect again, and repeat what may be repeated",
            ),
            #[cfg(feature = "capnp")]
            Error::Rpc(_) => f.write_str("a call of the service failed"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message(f)?;
        causes_if_asked(self, f)
    }
}

/// Writes a line for each cause.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        report(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::File { source, .. } | Error::System { source, .. } => Some(source),
            Error::Start(start) => Some(&**start),
            Error::CannotTell { source, .. } => source.as_deref().map(|error| error as _),
            Error::Handler(error) => Some(&**error),
            Error::Disconnected { source, .. } => source.as_deref().map(|error| error as _),
            #[cfg(feature = "capnp")]
            Error::Rpc(error) => Some(&**error),
            _ => None,
        }
    }
}

/// Writes the causes of an error after its message, if the format is `{:#}`.
fn causes_if_asked(error: &dyn std::error::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if f.alternate() { causes(error).try_for_each(|cause| write!(f, ": {cause}")) } else { Ok(()) }
}

/// Writes an error with a line for each of its causes.
fn report(error: &dyn std::error::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    if error.source().is_some() {
        f.write_str("\n\nCaused by:")?;
    }
    causes(error).try_for_each(|cause| write!(f, "\n    {cause}"))
}

fn causes<'a>(error: &'a (dyn std::error::Error + 'a)) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause| cause.source())
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Point(pid) => write!(f, "pid {pid} holds the point lock"),
            Holder::Lifetime(pid) => write!(f, "pid {pid} holds the lifetime lock"),
            Holder::Draining { pid, until } => {
                write!(f, "pid {pid} drains until {} at most", humantime::format_rfc3339_seconds(*until))
            }
        }
    }
}

/// Returns whether a call failed because the connection ended.
#[cfg(feature = "capnp")]
fn is_disconnected(error: &BoxError) -> bool {
    error.downcast_ref::<capnp::Error>().is_some_and(|error| error.kind == capnp::ErrorKind::Disconnected)
}

#[cfg(feature = "capnp")]
impl From<capnp::Error> for Error {
    fn from(error: capnp::Error) -> Self {
        Error::Rpc(error.into())
    }
}
