//! How this process was started, and what the client that started it has ordered.
//!
//! A process that a client starts has an order waiting at its standard input, and the order's tag in its environment
//! ([`Order`](crate::proto::pipes::Order)). This looks once, and takes nothing: a process that the program starts before
//! it serves may find the same, and one that it starts afterwards finds no order.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use crate::error::{Error, Usage};
use crate::os::{process, stdio};
use crate::proto::pipes::{Serves, Start, VARIABLE, Waiting};
use crate::proto::scope::Kernel;

/// How this process was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Started {
    /// Not by a client.
    #[default]
    Hand,
    /// By a client, whose order waits at standard input.
    Spawned,
    /// By a client of the dialect of sequoia, with the listener as standard input: a final `--socket 0`.
    #[cfg(feature = "sequoia")]
    Socket,
}

/// What this process found when it looked first.
static FOUND: LazyLock<Found> = LazyLock::new(|| look(Duration::ZERO));
/// The point that this process, started as a server, has begun to serve.
static SERVES: OnceLock<PathBuf> = OnceLock::new();

struct Found {
    start: Start,
    ordered: Option<Ordered>,
}

/// What the client has ordered. Its cookie is read when the order is taken.
#[derive(Debug)]
pub(crate) struct Ordered {
    name: OsString,
    depth: u8,
    pub(crate) home: PathBuf,
    pub(crate) lib: Option<PathBuf>,
    pub(crate) ephemeral: bool,
    pub(crate) kernel: Kernel,
    budget: Duration,
}

impl Ordered {
    fn point(&self) -> PathBuf {
        self.home.join(&self.name)
    }
}

fn look(patience: Duration) -> Found {
    let variable = env::var_os(VARIABLE);
    stdio::peek(patience, |bytes| {
        let waiting = Waiting::read(bytes);
        let start = waiting.start(variable.as_deref().map(OsStr::as_encoded_bytes));
        let ordered = match waiting {
            Waiting::Order(order) => Some(Ordered {
                name: process::os_string(order.name.bytes().collect()),
                depth: order.depth,
                home: process::os_string(order.home.bytes().collect()).into(),
                lib: order.lib.map(|lib| process::os_string(lib.bytes().collect()).into()),
                ephemeral: order.ephemeral,
                kernel: order.kernel,
                budget: order.budget,
            }),
            Waiting::Nothing | Waiting::OtherVersion => None,
        };
        Found { start, ordered }
    })
}

/// Returns whether a client of the dialect of sequoia started this process, by its arguments alone.
#[cfg(feature = "sequoia")]
pub(crate) fn started_with_a_listener() -> bool {
    static FOUND: LazyLock<bool> = LazyLock::new(|| {
        let args: Vec<OsString> = env::args_os().skip(1).collect();
        by_arguments(&args) != Started::Hand
    });
    *FOUND
}

/// Returns how a process with these arguments was started.
pub(crate) fn by_arguments(args: &[OsString]) -> Started {
    match args {
        #[cfg(feature = "sequoia")]
        [.., flag, last] if flag == "--socket" && last == "0" => Started::Socket,
        _ => Started::Hand,
    }
}

/// Returns whether a client started this process as a server.
pub(crate) fn is_started() -> bool {
    FOUND.start == Start::Proved
}

/// Returns whether the client's order is still at standard input.
pub(crate) fn order_waits() -> bool {
    look(Duration::ZERO).start == Start::Proved
}

/// Returns what the client has ordered, in a process that it started and that does not serve yet.
pub(crate) fn pending() -> Option<&'static Ordered> {
    FOUND.ordered.as_ref().filter(|_| is_started() && !serves())
}

/// Returns what the client has ordered, or `None` if this process serves by hand. `point` is the point of the service.
///
/// # Errors
/// The process may not serve this point.
pub(crate) fn order_of(point: &Path, patience: Duration) -> Result<Option<&'static Ordered>, Usage> {
    let mut start = FOUND.start;
    // A spawner before version 2 sends its order after the start, and marks its child on the command line.
    if start == Start::None && env::args_os().next_back().is_some_and(|last| last == "--spawned") {
        start = look(patience).start;
    }
    let ordered = FOUND.ordered.as_ref();
    let same_name = ordered.is_some_and(|ordered| point.file_name() == Some(ordered.name.as_os_str()));
    match (start.serves(same_name), ordered) {
        // Before this process executes itself again, which would find nothing then.
        (Serves::ForTheSpawner, Some(_)) if !order_waits() => Err(Usage::OrderTaken),
        (Serves::ForTheSpawner, Some(ordered)) => Ok(Some(ordered)),
        (Serves::ByHand, _) => Ok(None),
        (Serves::OtherPoint, Some(ordered)) => {
            Err(Usage::StartedForOtherPoint { ordered: ordered.point(), serves: point.to_owned() })
        }
        (Serves::Unproved, _) => Err(Usage::VariableMissing),
        (Serves::OtherVersion | Serves::ForTheSpawner | Serves::OtherPoint, _) => Err(Usage::StartedByOtherVersion),
    }
}

/// Returns how long the client waits for the reply, if it has sent an order.
pub(crate) fn budget() -> Option<Duration> {
    FOUND.ordered.as_ref().map(|ordered| ordered.budget)
}

/// Returns the depth for the order to a child of this process.
///
/// # Errors
/// [`Usage::ServerConnects`] in a process that was started as a server and may not connect to this point.
pub(crate) fn depth_below(point: &Path) -> Result<u8, Error> {
    let serves = serves();
    #[cfg(feature = "sequoia")]
    if !serves && started_with_a_listener() {
        return Err(Error::Usage(Usage::ServerConnects));
    }
    let ordered = FOUND.ordered.as_ref();
    let depth = ordered.map_or(0, |ordered| ordered.depth);
    let same_point = ordered.is_some_and(|ordered| ordered.point() == point);
    match FOUND.start.may_connect(serves, same_point, depth) {
        true if serves || ordered.is_none() => Ok(0),
        true => Ok(depth + 1),
        false => Err(Error::Usage(Usage::ServerConnects)),
    }
}

/// Returns whether this process, started as a server, has begun to serve.
pub(crate) fn serves() -> bool {
    SERVES.get().is_some()
}

/// Returns an error if this process, started as a server, has begun to serve. `point` is what it is to serve, too.
pub(crate) fn check_serves_nothing(point: &Path) -> Result<(), Error> {
    match SERVES.get() {
        None => Ok(()),
        Some(serves) => Err(Error::Usage(Usage::ServesAlready { serves: serves.to_owned(), too: point.to_owned() })),
    }
}

/// Marks that this process, started as a server, begins to serve. It can do so once.
pub(crate) fn begin_to_serve(point: &Path) -> Result<(), Error> {
    SERVES.set(point.to_owned()).or_else(|_| check_serves_nothing(point))
}
