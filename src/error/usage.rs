//! The errors of a program or its user that used this crate in a wrong way.

use std::fmt;
use std::path::PathBuf;

use crate::proto::pipes::{VARIABLE, VERSION};

/// A wrong use of this crate, as [`Error::Usage`](crate::Error::Usage) reports it. `Display` says what to do instead.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Usage {
    /// A flag has no directory, or `--ephemeral=` another value than `true` or `false`. The text has the usage of the flags
    /// that this crate reads.
    Arguments {
        /// The flag.
        flag: &'static str,
    },
    /// The name of a context or a service is not one path component of 1 to 200 bytes without a leading dot.
    Name(String),
    /// The name of a service ends in `.life`, `.log`, `.log.1` or `.sock`, as the names of its other files do.
    ReservedName(String),
    /// Neither `$XDG_DATA_HOME` nor `$HOME` is an absolute directory, and no home was given.
    NoHome,
    /// The tag of a protocol is not 1 to 32 printable ASCII characters without spaces.
    Protocol(String),
    /// The limits break this rule.
    Limits(&'static str),
    /// The service has no handler.
    NoHandler,
    /// The service has no program.
    NoProgram,
    /// The service's program is relative, and the directory of programs is not known.
    RelativeProgram,
    /// The service's program is this one, and the system does not report its path.
    UnknownProgram,
    /// A server's version is that of its build (`restart_when_rebuilt`), and the system does not report that.
    UnknownBuild,
    /// `newest` is below `version`.
    NewestBelowVersion,
    /// A call was made outside of a tokio runtime.
    NoRuntime,
    /// The runtime has no time. The crate needs it for its limits.
    RuntimeWithoutTime,
    /// The runtime has no I/O. The crate needs it for its connections.
    RuntimeWithoutIo,
    /// A service manager has opened the sockets of this process (`LISTEN_FDS`), which is to serve.
    SocketActivation,
    /// A process that was started as a server connects to its own point before it serves, or is the third in a row that
    /// connects to any.
    ServerConnects,
    /// A process that was started as a server of one point serves another.
    StartedForOtherPoint {
        /// The point that the client has ordered.
        ordered: PathBuf,
        /// The point that the program serves.
        serves: PathBuf,
    },
    /// A process was started as a server by a program with another version of this crate.
    StartedByOtherVersion,
    /// A process was started as a server, and its environment lacks the variable that shows it.
    VariableMissing,
    /// A process was started as a server, and something took its order from standard input before `serve`.
    OrderTaken,
    /// A process that was started to serve one service tries to serve again, or to serve another one, too.
    ServesAlready {
        /// The point that it serves.
        serves: PathBuf,
        /// The point that it tries to serve.
        too: PathBuf,
    },
    /// A process that was started as a server of one dialect serves in the other.
    StartedForOtherDialect,
    /// This flag of the dialect of sequoia was given by hand. Needs the feature `sequoia`.
    #[cfg(feature = "sequoia")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
    StartedByHand(&'static str),
    /// A process that was started as a server of the dialect of sequoia has a context that was not made from its
    /// arguments. Needs the feature `sequoia`.
    #[cfg(feature = "sequoia")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
    ContextWithoutArguments,
    /// The dialect of sequoia has no versions. Needs the feature `sequoia`.
    #[cfg(feature = "sequoia")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
    DialectWithoutVersions,
    /// The dialect of sequoia has no retirement by request. Needs the feature `sequoia`.
    #[cfg(feature = "sequoia")]
    #[cfg_attr(docsrs, doc(cfg(feature = "sequoia")))]
    DialectWithoutRetirement,
}

/// The only flag that names no directory.
pub(crate) const EPHEMERAL: &str = "--ephemeral";

const ARGUMENTS: &str = "\
usage: PROGRAM [ARGUMENT …] [--home DIRECTORY] [--lib DIRECTORY] [--ephemeral [true|false]] [-- ARGUMENT …]
  --home DIRECTORY   where the points of services are (default: NAME in the user's data directory)
  --lib DIRECTORY    where relative programs are looked for (default: this program's own directory)
  --ephemeral        servers end with this program, and so does its home, unless one is given";

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Usage::Arguments { flag } => {
                let needs = if *flag == EPHEMERAL { "no value, or `true` or `false`" } else { "a directory" };
                return write!(f, "{flag} needs {needs}\n{ARGUMENTS}");
            }
            Usage::Name(name) => {
                return write!(f, "{name:?} cannot name a service: 1 to 200 bytes, no slash, no dot in front");
            }
            Usage::ReservedName(name) => {
                return write!(f, "{name:?} cannot name a service: it ends as its other files do");
            }
            Usage::NoHome => "there is no absolute home directory: set HOME or XDG_DATA_HOME, or give --home DIRECTORY",
            Usage::Limits(rule) => return write!(f, "these limits do not hang together: {rule}"),
            Usage::NoHandler => {
                "this service has no handler: give it one by `handler`, `stream_handler` or `thread_handler`, or serve \
                 by `bind` or `serve_with`"
            }
            Usage::NoProgram => "this service has no program: give it one by `program` or `this_program`",
            Usage::RelativeProgram => {
                "this service has no program: it is relative, and the system does not say where this program is (is \
                 there no /proc?): give --lib DIRECTORY, or its whole path"
            }
            Usage::UnknownProgram => {
                "this service has no program: the system does not say which program this is (is there no /proc?): give \
                 its whole path by `program`"
            }
            Usage::Protocol(tag) => {
                return write!(f, "{tag:?} is no tag of a protocol: use 1 to 32 printable ASCII characters without spaces");
            }
            Usage::UnknownBuild => {
                "the system does not say when this program was built (is there no /proc?): give the service a `version` in \
                 place of `restart_when_rebuilt`"
            }
            Usage::NewestBelowVersion => "a client understands its own version at least: `newest` is below `version`",
            Usage::NoRuntime => {
                "there is no tokio runtime here: call it within one, or use the call of this name that ends in \
                 `_blocking`, if there is one"
            }
            Usage::RuntimeWithoutTime => "this runtime has no time: build it with `enable_all()`",
            Usage::RuntimeWithoutIo => "this runtime has no I/O: build it with `enable_all()`",
            Usage::SocketActivation => {
                "a service manager has opened a socket for this process (LISTEN_FDS), and a server of this crate opens its \
                 own, which only those who know its cookie find: start it without a socket unit"
            }
            Usage::ServerConnects => "this process was started as a server and connects instead: call `serve` first",
            Usage::StartedForOtherPoint { ordered, serves } => {
                let (ordered, serves) = (ordered.display(), serves.display());
                return write!(f, "this process was started for {ordered} and serves {serves}: serve what is ordered");
            }
            Usage::StartedByOtherVersion => {
                return write!(
                    f,
                    "this process was started by a program with another version of rendezvous-ipc (this one reads \
                     orders of version {VERSION}): rebuild both, and stop the program that still runs"
                );
            }
            Usage::VariableMissing => {
                return write!(
                    f,
                    "this process was started as a server, and {VARIABLE} is not in its environment: what wraps it \
                     has to pass that variable on"
                );
            }
            Usage::OrderTaken => {
                "something has read the order of the client that started this process: read nothing from standard \
                 input before `serve`"
            }
            Usage::ServesAlready { serves, too } => {
                let (serves, too) = (serves.display(), too.display());
                return write!(
                    f,
                    "this process was started for {serves}, serves it, and may not serve {too}, too: only a process that is \
                     started by hand serves several"
                );
            }
            Usage::StartedForOtherDialect => "this process was started for a service of the other dialect",
            #[cfg(feature = "sequoia")]
            Usage::StartedByHand(flag) => {
                return write!(f, "{flag} is for servers that a client starts; by hand, leave it out");
            }
            #[cfg(feature = "sequoia")]
            Usage::ContextWithoutArguments => {
                "this process was started as a server (--socket 0), and its context does not know: make it by \
                 `Context::from_args`"
            }
            #[cfg(feature = "sequoia")]
            Usage::DialectWithoutVersions => "the sequoia dialect has no versions of a service: leave them out",
            #[cfg(feature = "sequoia")]
            Usage::DialectWithoutRetirement => {
                "a server of the sequoia dialect cannot be asked to retire, and says nothing of its process: find it, \
                 and send it a SIGTERM"
            }
        })
    }
}
