//! Where services live, and where their programs are.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::ephemeral::Ephemeral;
use crate::error::{Error, Usage};
use crate::os::{file, process};
use crate::policy::Policy;

/// A home directory for points, and a lib directory for programs.
///
/// A server that is started for a client is given the client's context on its command line, so both sides
/// build it with [`Context::from_args`]. A [`Descriptor`](crate::Descriptor) holds a clone.
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
    /// Not known where none was given and the system does not say where this program is.
    lib: Option<PathBuf>,
    policy: Policy,
    ephemeral: Option<Hold>,
    started: Started,
}

/// By whom this process was started as a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Started {
    /// By nobody: by hand.
    #[default]
    Hand,
    /// By a client: a final `--spawned`.
    Spawned,
    /// By a client of the dialect of sequoia, with the listener as standard input: a final `--socket 0`.
    #[cfg(feature = "sequoia")]
    Socket,
}

impl Context {
    /// The default context of `name`, which names a directory, best in reverse domain notation. For programs that never
    /// serve: one that does takes [`Context::from_args`].
    ///
    /// The home is `name` in the user's data directory: `$XDG_DATA_HOME`, or `$HOME/.local/share`. It is created
    /// when it is needed, for its owner alone; one that is there may not be another's, or written by others. Lib is the directory of the
    /// running program.
    ///
    /// # Errors
    /// [`Error::Usage`] where `name` is not one path component of 1 to 200 bytes without a dot in front, or neither
    /// variable names an absolute directory.
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

    /// A context that ends with its creator, for tests and for what nobody else is to share.
    ///
    /// Its home is a new temporary directory for its owner alone. When the last clone of it is dropped (descriptors hold
    /// one), its servers retire and the directory is removed, with all that is in it. When its creator is killed
    /// instead, its servers notice and retire as well; the directory stays, with the points, which are empty by then,
    /// their other files, and what a handler has made.
    ///
    /// With another home ([`with_home`](Context::with_home), or `--home` beside `--ephemeral`) that one is not removed.
    /// Nothing is awaited: the directory is gone before a handler that writes at its end can do so. Where that matters,
    /// [`retire`](crate::Descriptor::retire) first. Connections hold the context, too.
    ///
    /// # Errors
    /// As of [`Context::new`], but that no variable is needed; and [`Error::File`] where the directory cannot be made.
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

    /// The context that this program's command line asks for, or the default one of `name`.
    ///
    /// Reads `--home DIRECTORY`, `--lib DIRECTORY`, `--ephemeral`, behind which `true` or `false` may stand, and a final
    /// `--spawned` (or, with the feature `sequoia`, `--socket 0`), which says that a client started this process as a server.
    /// All other arguments are the program's own and are not looked at. A relative directory is taken from the current
    /// one, now. There is no `--home=DIRECTORY`.
    ///
    /// # Errors
    /// [`Error::Usage`] as of [`Context::new`], or where a directory is missing behind its flag; its text is the usage.
    ///
    /// ```
    /// # use rendezvous_ipc::Context;
    /// // counter serve --home /srv/counter
    /// let context = Context::from_args("org.example.counter")?;
    /// # Ok::<(), rendezvous_ipc::Error>(())
    /// ```
    pub fn from_args(name: &str) -> Result<Self, Error> {
        Self::build(name, Args::parse(env::args_os().skip(1))?)
    }

    fn build(name: &str, args: Args) -> Result<Self, Error> {
        component(name)?;
        let (home, directory) = match (args.home, args.ephemeral) {
            (Some(home), _) => (home, None),
            (None, false) => (data_directory()?.join(name), None),
            (None, true) => {
                let directory = file::create_temporary(name)?;
                (directory.path().to_owned(), Some(directory))
            }
        };
        let own = || Some(process::this_program()?.parent()?.to_owned());
        let lib = args.lib.or_else(own);
        Ok(Context {
            home: absolute(home)?,
            lib: lib.map(absolute).transpose()?,
            policy: Policy::External,
            ephemeral: args.ephemeral.then(|| Hold::Own(Arc::new(Ephemeral::new(directory)))),
            started: args.started,
        })
    }

    /// Puts the home elsewhere. A relative path is taken from the current directory, now.
    ///
    /// Descriptors that were made before keep the old one. Where the path is relative and there is no current directory,
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

    /// Looks for relative programs elsewhere. A relative path is taken from the current directory, now.
    ///
    /// A descriptor's [`program`](crate::Descriptor::program) goes by the lib that its context had when it was made. Where the
    /// path is relative and there is no current directory, programs have to be given by their whole paths.
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

    /// Starts servers by another policy. [`Policy::External`] unless set. A server that is started does not inherit it.
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

    /// How servers are started, unless a connect says else.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The directory of the points: absolute. It need not be there yet.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The directory of the programs: absolute. `None` where none was given and the system does not say where this
    /// program is, as without `/proc`: a program that only joins needs none.
    pub fn lib(&self) -> Option<&Path> {
        self.lib.as_deref()
    }

    /// Fails where the home is relative, for there was no current directory.
    pub(crate) fn check_home(&self) -> Result<(), Error> {
        if self.home.is_absolute() { Ok(()) } else { Err(Error::file(&self.home, io::ErrorKind::NotFound.into())) }
    }

    /// What holds the servers of an ephemeral context; `None` where that is over, too.
    pub(crate) fn hold(&self) -> Option<Arc<Ephemeral>> {
        match self.ephemeral.as_ref()? {
            Hold::Own(hold) => Some(hold.clone()),
            Hold::Lent(hold) => hold.upgrade(),
        }
    }

    /// The same context for a server in this process, which does not keep alive what its users let go.
    pub(crate) fn lent(&self) -> Self {
        let ephemeral = self.ephemeral.as_ref().map(|hold| match hold {
            Hold::Own(hold) => Hold::Lent(Arc::downgrade(hold)),
            Hold::Lent(hold) => Hold::Lent(hold.clone()),
        });
        Context { ephemeral, ..self.clone() }
    }

    /// Whether it ends with its creator: made by [`Context::ephemeral`], or of arguments that say so.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral.is_some()
    }

    /// By whom this process was started as a server.
    pub(crate) fn started(&self) -> Started {
        self.started
    }

    /// Whether a client started this process as a server, as the arguments of [`Context::from_args`] tell.
    pub fn is_spawned(&self) -> bool {
        self.started != Started::Hand
    }

    /// The arguments that give this context to a server.
    pub(crate) fn to_args(&self) -> impl Iterator<Item = &OsStr> {
        let ephemeral = self.ephemeral.as_ref().map(|_| OsStr::new("--ephemeral"));
        self.places().chain(ephemeral).chain([OsStr::new("--spawned")])
    }

    /// The same, as servers of the dialect of sequoia expect it: in this order, and with a value.
    #[cfg(feature = "sequoia")]
    pub(crate) fn to_sequoia_args(&self) -> impl Iterator<Item = &OsStr> {
        let ephemeral = if self.is_ephemeral() { "true" } else { "false" };
        self.places().chain(["--ephemeral", ephemeral, "--socket", "0"].map(OsStr::new))
    }

    fn places(&self) -> impl Iterator<Item = &OsStr> {
        let lib = self.lib.iter().flat_map(|lib| [OsStr::new("--lib"), lib.as_os_str()]);
        [OsStr::new("--home"), self.home.as_os_str()].into_iter().chain(lib)
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
        let mut parsed = Args { started: started(&args), ..Args::default() };
        let mut args = args.into_iter().peekable();
        while let Some(arg) = args.next() {
            let directory = match arg.to_str() {
                Some("--home") => &mut parsed.home,
                Some("--lib") => &mut parsed.lib,
                Some("--ephemeral") => {
                    let value = args.next_if(|value| value == "true" || value == "false");
                    parsed.ephemeral = value.is_none_or(|value| value == "true");
                    continue;
                }
                _ => continue,
            };
            match args.next() {
                Some(path) if !path.is_empty() => *directory = Some(path.into()),
                _ => return Err(Error::Usage(Usage::Arguments)),
            }
        }
        Ok(parsed)
    }
}

/// Whether a client started this process as a server, whatever context it has made of its arguments.
pub(crate) fn started_as_server() -> bool {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    started(&args) != Started::Hand
}

fn started(args: &[OsString]) -> Started {
    match args {
        [.., last] if last == "--spawned" => Started::Spawned,
        #[cfg(feature = "sequoia")]
        [.., flag, last] if flag == "--socket" && last == "0" => Started::Socket,
        _ => Started::Hand,
    }
}

/// Checks that a name is one path component that can stand in front of a suffix.
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

/// Returns the path as it is where there is no current directory.
fn absolute_if_known(path: PathBuf) -> PathBuf {
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
    fn only_known_flags_are_read_and_spawned_only_at_the_end() {
        let args = parse(&["serve", "--spawned", "--home", "/h", "--verbose", "--lib", "l"]).ok().unwrap();
        assert_eq!((args.home, args.lib, args.started), (Some("/h".into()), Some("l".into()), Started::Hand));
        assert_eq!(parse(&["serve", "--spawned"]).ok().unwrap().started, Started::Spawned);
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
    fn a_flag_without_its_directory_is_told_the_usage() {
        for args in [&["--home"][..], &["--lib", ""]] {
            assert!(matches!(parse(args), Err(Error::Usage(Usage::Arguments))));
        }
    }

    #[tokio::test]
    async fn a_relative_program_needs_a_directory_if_our_own_is_unknown() {
        let home = tempfile::tempdir().unwrap();
        let context = Context::new("org.example.counter").unwrap().with_home(home.path());
        let context = Context { lib: None, ..context };
        assert!(!context.to_args().any(|arg| arg == "--lib"));
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
