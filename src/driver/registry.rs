//! The internal servers of a process, and the leases of their users.
//!
//! A server that is registered here may run code of its handler, and any other does not. Joins, leaves and ends happen
//! under one lock: a server whose last user has left is requested to retire before another client can join it, and a
//! server that is gone is removed before any waiter is notified.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::shutdown::Shutdown;
use super::sync::{AtomicU32, Mutex, MutexGuard, Ordering, watch};
use crate::error::Error;
use crate::proto::record::Record;

type Servers = BTreeMap<PathBuf, Arc<Server>>;

/// The internal servers of a process, those that retire included.
#[derive(Default)]
pub(super) struct Registry(Mutex<Servers>);

struct Server {
    /// How many connects and connections use it. Changed only under the lock: none never becomes one.
    users: AtomicU32,
    shutdown: Shutdown,
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    Starting,
    Serving(Record),
    Failed(Arc<Error>),
    /// None of its code runs any more.
    Ended,
}

/// A use of an internal server, which stays for as long as this lives.
pub(super) struct Lease {
    registry: Arc<Registry>,
    server: Arc<Server>,
}

/// An internal server, seen by itself. When this is dropped none of its code runs any more.
pub(super) struct Running {
    registry: Arc<Registry>,
    point: PathBuf,
    server: Arc<Server>,
    end: Option<State>,
}

enum Entered {
    Joined(Lease),
    Founded(Lease, Running),
    /// To be waited for.
    Retiring(Arc<Server>),
}

impl Registry {
    /// Joins the server of a point: a use of it, whether it was there, and where it is. Where there is none, `start`
    /// runs one, on a thread of its own.
    pub(super) async fn join(
        self: &Arc<Self>,
        point: &Path,
        start: impl Fn(Running) -> Result<(), Error>,
    ) -> Result<(Lease, bool, Record), Error> {
        loop {
            let (lease, joined) = match self.enter(point) {
                Entered::Joined(lease) => (lease, true),
                Entered::Founded(lease, running) => {
                    start(running)?;
                    (lease, false)
                }
                Entered::Retiring(server) => {
                    server.reaches(|state| matches!(state, State::Failed(_) | State::Ended)).await;
                    continue;
                }
            };
            match lease.server.reaches(|state| !matches!(state, State::Starting)).await {
                State::Serving(record) => return Ok((lease, joined, record)),
                State::Failed(error) => return Err(again(&error)),
                // It was requested to retire before it served.
                State::Starting | State::Ended => {}
            }
        }
    }

    fn enter(self: &Arc<Self>, point: &Path) -> Entered {
        let mut servers = self.servers();
        let lease = |server: &Arc<Server>| Lease { registry: self.clone(), server: server.clone() };
        match servers.get(point) {
            Some(server) if server.shutdown.at().is_some() => Entered::Retiring(server.clone()),
            Some(server) => {
                server.users.fetch_add(1, Ordering::Relaxed);
                Entered::Joined(lease(server))
            }
            None => {
                let state = watch::Sender::new(State::Starting);
                let server = Arc::new(Server { users: AtomicU32::new(1), shutdown: Shutdown::new(), state });
                servers.insert(point.to_owned(), server.clone());
                let (registry, point) = (self.clone(), point.to_owned());
                Entered::Founded(lease(&server), Running { registry, point, server, end: None })
            }
        }
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Returns when it is so.
    async fn reaches(&self, wanted: impl FnMut(&State) -> bool) -> State {
        // It cannot fail: the sender is here.
        self.state.subscribe().wait_for(wanted).await.map_or(State::Ended, |state| state.clone())
    }
}

impl Lease {
    /// Returns whether the server admits no new client, since its handler requested its retirement.
    pub(super) fn is_retiring(&self) -> bool {
        self.server.shutdown.at().is_some()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _servers = self.registry.servers();
        if self.server.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.server.shutdown.request();
        }
    }
}

impl Running {
    pub(super) fn shutdown(&self) -> &Shutdown {
        &self.server.shutdown
    }

    pub(super) fn serves(&self, record: Record) {
        self.server.state.send_replace(State::Serving(record));
    }

    pub(super) fn ended(mut self, result: Result<(), Error>) {
        self.end = Some(result.map_or_else(|error| State::Failed(Arc::new(error)), |()| State::Ended));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.registry.servers().remove(&self.point);
        let end = self.end.take().unwrap_or_else(|| {
            let why = if std::thread::panicking() { "it panicked" } else { "there is no thread for it" };
            State::Failed(Arc::new(Error::Handler(why.into())))
        });
        self.server.state.send_replace(end);
    }
}

/// Copies an error, for several waiters.
fn again(error: &Error) -> Error {
    match error {
        Error::System { stage, source } => {
            Error::System { stage: *stage, source: std::io::Error::new(source.kind(), source.to_string()) }
        }
        Error::Handler(error) => Error::Handler(in_a_line(&**error).into()),
        other => Error::Handler(format!("{other:#}").into()),
    }
}

fn in_a_line(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
