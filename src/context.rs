//! The directories of a set of services: the home of their points, and the directory of their programs.

use std::env;
#[cfg(feature = "sequoia")]
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::ephemeral::Ephemeral;
use crate::error::{EPHEMERAL, Error, Usage};
use crate::os::{file, process};
use crate::policy::Policy;
use crate::start::{self, Ordered, Started};

/// A home directory for points, and a lib directory for programs.
///
/// A client sends its context to the server that it starts, and [`serve`](crate::Descriptor::serve) uses that one instead
/// of the server's own. A [`Descriptor`](crate::Descriptor) holds a clone.
///
/// ```
/// # use rendezvous_ipc::{Context, Policy};
/// let context = Context::from_args("org.example.counter")? // --home and --lib, where they are given
///     .with_lib("/usr/lib/counter")
///     .with_policy(Policy::Robust);
/// # Ok::<(), rendezvous_ipc::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    home: PathBuf,
    /// `None` where none was given and the system does not report the path of this program.
    lib: Option<PathBuf>,
    policy: Policy,
    ephemeral: Option<Hold>,
    started: Started,
}

impl Context {
    /// Returns the default context of `name`, which names a directory, best in reverse domain notation.
    ///
    /// The home is the directory `name` in the user's data directory, `$XDG_DATA_HOME` or `$HOME/.local/share`. The
    /// crate creates it when it is first needed, for its owner alone. A home that another user owns, or that others may
    /// write, is refused. The lib directory is that of the running program.
    ///
    /// # Errors
    /// [`Error::Usage`] if `name` is not one path component of 1 to 200 bytes without a leading dot, or if neither
    /// variable names an absolute directory. A process that a client started needs no variable: the client's home stands
    /// in until `serve`.
    ///
    /// ```
    /// # use rendezvous_ipc::Context;
    /// let context = Context::new("org.example.counter")?;
    /// assert!(context.home().ends_with("org.example.counter"));
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    pub fn new(name: &str) -> Result<Self, Error> {
        Self::build(name, Args::default())
    }

    /// Returns a context with this home directory. It needs no name, and neither `HOME` nor `XDG_DATA_HOME`.
    ///
    /// The home is created, checked and resolved as those of [`Context::new`] and [`Context::with_home`] are. The lib
    /// directory is that of the running program.
    ///
    /// ```
    /// # use rendezvous_ipc::Context;
    /// let context = Context::at("/srv/counter");
    /// assert_eq!(context.home(), std::path::Path::new("/srv/counter"));
    /// ```
    pub fn at(home: impl Into<PathBuf>) -> Self {
        Context {
            home: absolute_if_known(home.into()),
            lib: own_directory().map(absolute_if_known),
            policy: Policy::External,
            ephemeral: None,
            started: Started::Hand,
        }
    }

    /// Creates a context that ends with this process, for tests and for services that no other program shares.
    ///
    /// Its home is a new temporary directory for its owner alone. When the last clone of the context is dropped, its
    /// servers retire, and the directory is removed with all its contents. Descriptors and connections hold clones. If
    /// this process is killed instead, its servers notice and retire as well. The directory then stays, with the points
    /// (empty by then), the other files beside them, and the files of the handlers.
    ///
    /// In a process that a client started, and that does not serve yet, no directory is created: the context is that of
    /// the client.
    ///
    /// A home that is set otherwise ([`with_home`](Context::with_home), or `--home` beside `--ephemeral`) is not
    /// removed. The drop does not wait for the servers: the directory is removed before a handler can write at its end.
    /// Where that matters, call [`retire`](crate::Descriptor::retire) first.
    ///
    /// # Errors
    /// As for [`Context::new`], except that no variable is needed; and [`Error::File`] if the directory cannot be
    /// created.
    ///
    /// ```
    /// # use rendezvous_ipc::Context;
    /// let context = Context::ephemeral("org.example.counter")?;
    /// let home = context.home().to_owned();
    /// assert!(home.is_dir());
    /// drop(context);
    /// assert!(!home.exists());
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    pub fn ephemeral(name: &str) -> Result<Self, Error> {
        Self::build(name, Args { ephemeral: true, ..Args::default() })
    }

    /// Returns the context that this program's command line describes, or else the default context of `name`.
    ///
    /// It is [`parse_args`](Context::parse_args) over the arguments of this process.
    ///
    /// # Errors
    /// As for [`parse_args`](Context::parse_args).
    ///
    /// ```
    /// # use rendezvous_ipc::Context;
    /// // counter serve --home /srv/counter
    /// let context = Context::from_args("org.example.counter")?;
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    pub fn from_args(name: &str) -> Result<Self, Error> {
        Self::parse_args(name, env::args_os().skip(1))
    }

    /// Returns the context that these arguments describe, or else the default context of `name`.
    ///
    /// It reads `--home DIRECTORY`, `--lib DIRECTORY` and `--ephemeral`, which `true` or `false` may follow, up to an
    /// argument `--`. `--home=DIRECTORY` is the same, and so are `--lib=…` and `--ephemeral=…`. The last of several
    /// counts. It ignores all other arguments, which belong to the program. A relative directory is resolved against
    /// the current directory at once. The program's own name is not among the arguments.
    ///
    /// With the feature `sequoia`, a final `--socket 0` marks a process that a client of that dialect starts as a server.
    /// The client's flags are behind the program's arguments, so `--` hides nothing there.
    ///
    /// # Errors
    /// [`Error::Usage`] as for [`Context::new`], or if a flag has no directory or another value; its text names the flag,
    /// and has the usage.
    ///
    /// ```
    /// # use rendezvous_ipc::Context;
    /// let args = ["run", "--home=/srv/counter", "--", "--home", "theirs"];
    /// let context = Context::parse_args("org.example.counter", args)?;
    /// assert_eq!(context.home(), std::path::Path::new("/srv/counter"));
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    pub fn parse_args<A: Into<OsString>>(name: &str, args: impl IntoIterator<Item = A>) -> Result<Self, Error> {
        Self::build(name, Args::parse(args.into_iter().map(Into::into))?)
    }

    fn build(name: &str, args: Args) -> Result<Self, Error> {
        component(name)?;
        let (home, directory) = match (args.home, args.ephemeral) {
            (Some(home), _) => (home, None),
            (None, false) => match (data_directory(), start::pending()) {
                (Ok(data), _) => (data.join(name), None),
                (Err(_), Some(order)) => (order.home.clone(), None),
                (Err(none), None) => return Err(none),
            },
            (None, true) => {
                if let Some(order) = start::pending() {
                    return Ok(Self::at(&order.home).ordered(order));
                }
                let directory = file::create_temporary(name)?;
                (directory.path().to_owned(), Some(directory))
            }
        };
        let lib = args.lib.or_else(own_directory);
        Ok(Context {
            home: absolute(home)?,
            lib: lib.map(absolute).transpose()?,
            policy: Policy::External,
            ephemeral: args.ephemeral.then(|| Hold::Own(Arc::new(Ephemeral::new(directory)))),
            started: args.started,
        })
    }

    /// Sets the home directory. A relative path is resolved against the current directory at once.
    ///
    /// Descriptors that exist already keep the old home. If the path is relative and there is no current directory,
    /// [`Descriptor::new`](crate::Descriptor::new) fails.
    ///
    /// ```
    /// # use rendezvous_ipc::Context;
    /// let context = Context::new("org.example.counter")?.with_home("/srv/counter");
    /// assert_eq!(context.home(), std::path::Path::new("/srv/counter"));
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn with_home(self, home: impl Into<PathBuf>) -> Self {
        Context { home: absolute_if_known(home.into()), ..self }
    }

    /// Sets the directory in which relative programs are looked up. A relative path is resolved against the current
    /// directory at once.
    ///
    /// Descriptors that exist already keep the old one. If the path is relative and there is no current directory,
    /// [`Descriptor::program`](crate::Descriptor::program) needs an absolute path.
    ///
    /// ```
    /// # use rendezvous_ipc::Context;
    /// let context = Context::new("org.example.counter")?.with_lib("/usr/lib/counter");
    /// assert_eq!(context.lib(), Some(std::path::Path::new("/usr/lib/counter")));
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn with_lib(self, lib: impl Into<PathBuf>) -> Self {
        Context { lib: Some(absolute_if_known(lib.into())), ..self }
    }

    /// Sets the policy by which servers are started. The default is [`Policy::External`]. A started server does not
    /// inherit it.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Policy};
    /// let context = Context::new("org.example.counter")?;
    /// assert_eq!(context.policy(), Policy::External);
    /// assert_eq!(context.with_policy(Policy::Robust).policy(), Policy::Robust);
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Context { policy, ..self }
    }

    /// Returns the policy by which servers are started, which a connect can override.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Returns the absolute path of the directory of the points. The directory need not exist yet.
    ///
    /// In a process that a client started, the server's home is that of
    /// [`ServerHandle::context`](crate::ServerHandle::context), and not of a context that the program made.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the absolute path of the directory of the programs.
    ///
    /// It is `None` if none was set and the system does not report the path of this program, as without `/proc`. A
    /// program that only joins servers needs none.
    pub fn lib(&self) -> Option<&Path> {
        self.lib.as_deref()
    }

    /// Returns the context that a client has ordered, with the policy of this one.
    pub(crate) fn ordered(&self, order: &Ordered) -> Self {
        Context {
            home: order.home.clone(),
            lib: order.lib.clone(),
            policy: self.policy,
            ephemeral: order.ephemeral.then(|| Hold::Own(Arc::new(Ephemeral::new(None)))),
            started: Started::Spawned,
        }
    }

    /// Returns the context of a simulated server that a client has started.
    #[cfg(rendezvous_sim)]
    pub(crate) fn of_a_started_server(self) -> Self {
        Context { started: Started::Spawned, ..self }
    }

    /// Fails if the home is relative, which it is only where there was no current directory.
    pub(crate) fn check_home(&self) -> Result<(), Error> {
        if self.home.is_absolute() { Ok(()) } else { Err(Error::file(&self.home, io::ErrorKind::NotFound.into())) }
    }

    /// Returns what keeps the servers of an ephemeral context alive, or `None` if the context is not ephemeral or has
    /// ended.
    pub(crate) fn hold(&self) -> Option<Arc<Ephemeral>> {
        match self.ephemeral.as_ref()? {
            Hold::Own(hold) => Some(hold.clone()),
            Hold::Lent(hold) => hold.upgrade(),
        }
    }

    /// Returns the same context for a server in this process. It does not keep an ephemeral context alive.
    pub(crate) fn lent(&self) -> Self {
        let ephemeral = self.ephemeral.as_ref().map(|hold| match hold {
            Hold::Own(hold) => Hold::Lent(Arc::downgrade(hold)),
            Hold::Lent(hold) => Hold::Lent(hold.clone()),
        });
        Context { ephemeral, ..self.clone() }
    }

    /// Returns whether the context is ephemeral: by [`Context::ephemeral`], by `--ephemeral` on the command line, or because
    /// the client that started this server has an ephemeral one.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral.is_some()
    }

    /// Returns how this process was started.
    pub(crate) fn started(&self) -> Started {
        self.started
    }

    /// Returns whether a client started this process as a server. It is true for every context of such a process.
    pub fn is_spawned(&self) -> bool {
        self.started != Started::Hand || start::is_started()
    }

    /// Returns the arguments by which servers of the dialect of sequoia expect their context, in this order.
    #[cfg(feature = "sequoia")]
    pub(crate) fn to_sequoia_args(&self) -> impl Iterator<Item = &OsStr> {
        let ephemeral = if self.is_ephemeral() { "true" } else { "false" };
        let lib = self.lib.iter().flat_map(|lib| [OsStr::new("--lib"), lib.as_os_str()]);
        let home = [OsStr::new("--home"), self.home.as_os_str()].into_iter();
        home.chain(lib).chain(["--ephemeral", ephemeral, "--socket", "0"].map(OsStr::new))
    }
}

#[derive(Clone, Debug)]
enum Hold {
    Own(Arc<Ephemeral>),
    Lent(Weak<Ephemeral>),
}

#[derive(Default)]
struct Args {
    home: Option<PathBuf>,
    lib: Option<PathBuf>,
    ephemeral: bool,
    started: Started,
}

impl Args {
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, Error> {
        let args: Vec<OsString> = args.collect();
        let mut parsed = Args { started: start::by_arguments(&args), ..Args::default() };
        let mut args = args.into_iter().peekable();
        while let Some(arg) = args.next() {
            if arg == "--" && parsed.started == Started::Hand {
                break;
            }
            let value = |flag| process::value_of(&arg, flag);
            if let Some(given) = value("--home") {
                parsed.home = Some(directory("--home", given.or_else(|| args.next()))?);
            } else if let Some(given) = value("--lib") {
                parsed.lib = Some(directory("--lib", given.or_else(|| args.next()))?);
            } else if let Some(given) = value(EPHEMERAL) {
                let switch = |value: &OsString| value == "true" || value == "false";
                let given = match given {
                    Some(given) if !switch(&given) => return Err(Error::Usage(Usage::Arguments { flag: EPHEMERAL })),
                    Some(given) => Some(given),
                    None => args.next_if(switch),
                };
                parsed.ephemeral = given.is_none_or(|value| value == "true");
            }
        }
        Ok(parsed)
    }
}

/// Returns the directory that a flag names, if it names one.
fn directory(flag: &'static str, value: Option<OsString>) -> Result<PathBuf, Error> {
    value.filter(|path| !path.is_empty()).map(PathBuf::from).ok_or(Error::Usage(Usage::Arguments { flag }))
}

/// Returns the directory of the running program.
fn own_directory() -> Option<PathBuf> {
    Some(process::this_program()?.parent()?.to_owned())
}

/// Checks that a name is one path component to which a suffix can be added.
pub(crate) fn component(name: &str) -> Result<&str, Error> {
    let short = (1..=200).contains(&name.len());
    let plain = !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    match short && plain {
        true => Ok(name),
        false => Err(Error::Usage(Usage::Name(name.to_owned()))),
    }
}

fn data_directory() -> Result<PathBuf, Error> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    directory.ok_or(Error::Usage(Usage::NoHome))
}

/// Returns the absolute path, or the path unchanged if there is no current directory.
pub(crate) fn absolute_if_known(path: PathBuf) -> PathBuf {
    absolute(path.clone()).unwrap_or(path)
}

fn absolute(path: PathBuf) -> Result<PathBuf, Error> {
    std::path::absolute(&path).map_err(|error| Error::file(&path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, Error> {
        Args::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn only_known_flags_are_read() {
        let args = parse(&["serve", "--spawned", "--home", "/h", "--verbose", "--lib", "l"]).ok().unwrap();
        assert_eq!((args.home, args.lib, args.started), (Some("/h".into()), Some("l".into()), Started::Hand));
        assert_eq!(parse(&["serve", "--spawned"]).ok().unwrap().started, Started::Hand);
    }

    #[cfg(feature = "sequoia")]
    #[test]
    fn the_flags_of_the_other_dialect_are_read_in_its_spelling() {
        for (value, ephemeral) in [("true", true), ("false", false)] {
            let theirs = ["--home", "/h", "--lib", "/l", "--ephemeral", value, "--socket", "0"];
            let args = parse(&theirs).ok().unwrap();
            assert_eq!((args.home, args.lib), (Some("/h".into()), Some("/l".into())));
            assert_eq!((args.ephemeral, args.started), (ephemeral, Started::Socket));
        }
        assert!(parse(&["--ephemeral", "serve"]).ok().unwrap().ephemeral);
        for other in [&["--socket", "1"][..], &["--socket", "0", "serve"], &["0"]] {
            assert_eq!(parse(other).ok().unwrap().started, Started::Hand, "{other:?}");
        }
    }

    #[cfg(feature = "sequoia")]
    #[test]
    fn a_server_of_the_other_dialect_is_given_the_context_in_its_spelling() {
        let context = Context::new("org.example.counter").unwrap().with_home("/h").with_lib("/l");
        let args: Vec<_> = context.to_sequoia_args().collect();
        assert_eq!(args, ["--home", "/h", "--lib", "/l", "--ephemeral", "false", "--socket", "0"]);
        let context = Context::ephemeral("org.example.counter").unwrap();
        assert!(context.to_sequoia_args().any(|arg| arg == "true"));
    }

    #[test]
    fn a_flag_may_have_its_value_after_an_equals_sign() {
        let args = parse(&["--home=/h=1", "--lib=l", "--ephemeral=true", "--homely=/x"]).ok().unwrap();
        assert_eq!((args.home, args.lib, args.ephemeral), (Some("/h=1".into()), Some("l".into()), true));
        assert!(!parse(&["--ephemeral", "--ephemeral=false"]).ok().unwrap().ephemeral);
        let bytes: OsString = std::os::unix::ffi::OsStringExt::from_vec(b"--home=/\xff".to_vec());
        let args = Args::parse([bytes].into_iter()).ok().unwrap();
        assert_eq!(args.home.unwrap().into_os_string().len(), 2, "a directory need not be text");
    }

    #[test]
    fn nothing_behind_two_dashes_is_read_but_by_a_started_server() {
        let args = parse(&["--home", "/h", "--", "--home", "/theirs", "--lib"]).ok().unwrap();
        assert_eq!((args.home, args.lib), (Some("/h".into()), None));
        #[cfg(feature = "sequoia")]
        {
            let args = parse(&["serve", "--", "--home", "/h", "--socket", "0"]).ok().unwrap();
            assert_eq!((args.home, args.started), (Some("/h".into()), Started::Socket));
        }
    }

    #[test]
    fn a_context_at_a_directory_has_that_home_and_our_lib() {
        let context = Context::at("/srv/counter");
        assert_eq!((context.home(), context.lib()), (Path::new("/srv/counter"), own_directory().as_deref()));
        assert!(!context.is_ephemeral() && Context::at("relative").home().is_absolute());
    }

    #[test]
    fn a_flag_without_its_directory_is_wrong_use() {
        let (home, lib) = ("--home needs a directory", "--lib needs a directory");
        for (args, wrong) in [
            (&["--home"][..], home),
            (&["--lib", ""], lib),
            (&["--home="], home),
            (&["--lib="], lib),
            (&["--ephemeral=", "true"], "--ephemeral needs no value, or `true` or `false`"),
        ] {
            let error = parse(args).err().expect("wrong use").to_string();
            assert!(error.starts_with(&format!("{wrong}\nusage: PROGRAM")), "{error}");
        }
    }

    #[tokio::test]
    async fn a_relative_program_needs_a_directory_if_our_own_is_unknown() {
        let home = tempfile::tempdir().unwrap();
        let context = Context::new("org.example.counter").unwrap().with_home(home.path());
        let context = Context { lib: None, ..context };
        assert_eq!(context.lib(), None);
        let service = crate::Descriptor::new(&context, "counter").unwrap();
        match service.clone().program("counterd", [""; 0]).connect().await {
            Err(Error::Usage(Usage::RelativeProgram)) => {}
            other => panic!("{other:?}"),
        }
        match service.program("/nowhere/counterd", [""; 0]).connect().await {
            Err(Error::Start(error)) => assert_eq!(error.program, Path::new("/nowhere/counterd")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_is_one_path_component() {
        for name in ["", ".", "..", ".hidden", "a/b", "a\0b", &"x".repeat(201)] {
            assert!(component(name).is_err(), "{name:?}");
        }
        assert_eq!(component("org.example.counter").unwrap(), "org.example.counter");
    }
}
