//! The surroundings of a server that a client starts: environment, working directory, umask, log.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::context::absolute_if_known;
use crate::service::beside;

/// The suffix of the log's name.
pub(crate) const LOG: &str = "log";

/// What a server runs in if a client starts it. By default: the environment of that client, the home as its working
/// directory, the umask 077, and the log beside the point.
///
/// The client that starts the server applies the environment and the directory, the server its umask, and both the log.
/// So build the same descriptor in both. A server that is started by hand, or as a thread, keeps what its process has.
///
/// A setter never fails: what the system refuses is an error of the start.
///
/// ```
/// # use rendezvous_ipc::{Context, Descriptor, Surroundings};
/// # let context = Context::new("org.example.shells")?;
/// // Shells that look as if the user had opened them, and a log in a directory of its own.
/// let surroundings = Surroundings::new()
///     .env_keep(["PATH", "HOME", "LANG", "SHELL", "USER"])
///     .env("RUST_LOG", "info")
///     .current_dir(".") // where the client is
///     .keep_umask()
///     .log("/var/log/shells/shells.log");
/// let service = Descriptor::new(&context, "shells")?.this_program(["serve"]).surroundings(surroundings);
/// assert_eq!(service.log(), std::path::Path::new("/var/log/shells/shells.log"));
/// # Ok::<(), rendezvous_ipc::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surroundings {
    pub(crate) environment: Vec<Change>,
    /// `None`: the home.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) keeps_umask: bool,
    /// `None`: beside the point.
    pub(crate) log: Option<PathBuf>,
}

/// One change of the environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Set(OsString, OsString),
    Remove(OsString),
    /// Removes all others, and what was set before.
    Keep(Vec<OsString>),
}

impl Surroundings {
    /// Returns the defaults.
    pub fn new() -> Self {
        Surroundings::default()
    }

    /// Sets a variable of the server's environment.
    ///
    /// The changes of the environment are done in the order of these calls, to the environment that the client has when
    /// it starts the server.
    #[must_use]
    pub fn env(self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.change(Change::Set(name.into(), value.into()))
    }

    /// Removes a variable.
    #[must_use]
    pub fn env_remove(self, name: impl Into<OsString>) -> Self {
        self.change(Change::Remove(name.into()))
    }

    /// Removes all variables, also those that were set by earlier calls. The server has `RENDEZVOUS_START` nevertheless, by
    /// which it knows that it was started.
    #[must_use]
    pub fn env_clear(self) -> Self {
        self.change(Change::Keep(Vec::new()))
    }

    /// Keeps these variables of the client, where it has them, and removes all others, also those that were set by
    /// earlier calls.
    #[must_use]
    pub fn env_keep<N: Into<OsString>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.change(Change::Keep(names.into_iter().map(Into::into).collect()))
    }

    /// Sets the server's working directory, which has to exist. A relative path is resolved against the current
    /// directory at once, so `.` is the directory of the client.
    ///
    /// A file system cannot be unmounted while it has a working directory in it.
    #[must_use]
    pub fn current_dir(self, directory: impl Into<PathBuf>) -> Self {
        Surroundings { directory: Some(absolute_if_known(directory.into())), ..self }
    }

    /// Keeps the umask of the client that starts the server, for files of the handler and of the processes that it
    /// starts. The files of this crate are for their owner alone under every umask.
    #[must_use]
    pub fn keep_umask(self) -> Self {
        Surroundings { keeps_umask: true, ..self }
    }

    /// Sets the path of the log. A relative path is resolved against the home, which client and server share.
    ///
    /// Its directory has to exist. The log is created for its owner alone, and a file that others may use is refused.
    /// Its length is [bounded](crate::manual::life_of_a_server): the older log is the same path with `.1` added. Choose
    /// another path for each service.
    #[must_use]
    pub fn log(self, path: impl Into<PathBuf>) -> Self {
        Surroundings { log: Some(path.into()), ..self }
    }

    /// Returns the path of the log of the server of this point.
    pub(crate) fn log_of(&self, point: &Path) -> PathBuf {
        match &self.log {
            Some(path) => point.with_file_name(path),
            None => beside(point, LOG),
        }
    }

    fn change(mut self, change: Change) -> Self {
        self.environment.push(change);
        self
    }
}
