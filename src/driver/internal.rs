//! Internal servers: one per point and process, a thread of this process that is never registered.
//!
//! All connects of the process share it. It takes no lock and touches no file, so it works in a home that
//! cannot be written. It begins to retire when its last user is gone; one who comes at that moment waits
//! until the old one's handler is gone, as the lifetime lock would have it, and gets a new server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::watch;
use tokio::time::timeout;

use super::dial;
use super::hall::{Hall, Told};
use super::handlers::{Factory, Handlers, Start, local_runtime};
use super::lobby::{Host, Lobby};
use crate::error::Error;
use crate::proto::cookie::Cookie;
use crate::proto::record::Record;
use crate::proto::serve::Retire;
use crate::service::Service;

/// The internal servers of this process, those that retire included.
static SERVERS: Mutex<BTreeMap<PathBuf, Arc<Server>>> = Mutex::new(BTreeMap::new());

/// An internal server, seen from its users.
struct Server {
    /// How many connects and connections use it. Changed only under the lock of [`SERVERS`]: none never becomes one.
    users: AtomicUsize,
    told: Told,
    state: watch::Receiver<State>,
}

#[derive(Clone)]
enum State {
    Starting,
    Serving(Record),
    Failed(Arc<Error>),
    /// None of its code runs any more.
    Ended,
}

impl Server {
    /// Whether none of its code runs any more. Without a word it panicked.
    fn is_over(&self) -> bool {
        matches!(*self.state.borrow(), State::Failed(_) | State::Ended) || self.state.has_changed().is_err()
    }
}

/// A use of an internal server, which stays for as long as this lives.
pub(super) struct Lease(Arc<Server>);

impl Lease {
    /// Whether the server takes nobody new: its handler had it retire.
    pub(super) fn is_told(&self) -> bool {
        self.0.told.at().is_some()
    }
}

/// Joins the internal server of a service, starting it where there is none: whether it was there, and where it is.
pub(super) async fn join(service: &Service, factory: &Factory) -> Result<(Lease, bool, Record), Error> {
    loop {
        let (lease, joined) = match lease(service, factory)? {
            Ok(lease) => lease,
            Err(mut retiring) => {
                let _ = retiring.wait_for(|state| matches!(state, State::Failed(_) | State::Ended)).await;
                continue;
            }
        };
        let mut state = lease.0.state.clone();
        let state = state.wait_for(|state| !matches!(state, State::Starting)).await.map(|state| state.clone());
        match state {
            Ok(State::Serving(record)) => return Ok((lease, joined, record)),
            Ok(State::Failed(error)) => return Err(again(&error)),
            Ok(State::Starting | State::Ended) if lease.is_told() => {}
            _ => return Err(Error::Handler("it panicked".into())),
        }
    }
}

/// An error that several are told.
fn again(error: &Error) -> Error {
    match error {
        Error::System { stage, source } => {
            Error::System { stage, source: std::io::Error::new(source.kind(), source.to_string()) }
        }
        Error::Handler(error) => Error::Handler(error.to_string().into()),
        other => Error::Handler(other.to_string().into()),
    }
}

/// A use of the server that is there or is started now, or the state of one that retires: to wait for.
type Use = Result<(Lease, bool), watch::Receiver<State>>;

fn lease(service: &Service, factory: &Factory) -> Result<Use, Error> {
    let mut servers = servers();
    match servers.get(&service.point) {
        Some(server) if server.is_over() => {}
        Some(server) if server.told.at().is_some() => return Ok(Err(server.state.clone())),
        Some(server) => {
            server.users.fetch_add(1, Ordering::Relaxed);
            return Ok(Ok((Lease(server.clone()), true)));
        }
        None => {}
    }
    let (tell, state) = watch::channel(State::Starting);
    let told = Told::new();
    let server = Arc::new(Server { users: AtomicUsize::new(1), told: told.clone(), state });
    let point = service.point.clone();
    let (service, factory) = (Service { context: service.context.lent(), ..service.clone() }, factory.clone());
    thread::Builder::new()
        .name("rendezvous-internal".into())
        .spawn(move || {
            let result = match local_runtime() {
                Ok(runtime) => runtime.block_on(run(&service, factory, told, &tell)),
                Err(source) => Err(Error::System { stage: "Build", source }),
            };
            tell.send_replace(match result {
                Ok(()) => State::Ended,
                Err(error) => State::Failed(Arc::new(error)),
            });
            self::servers().retain(|_, server| !server.state.same_channel(&tell.subscribe()));
        })
        .map_err(Error::system("Build"))?;
    servers.insert(point, server.clone());
    Ok(Ok((Lease(server), false)))
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _servers = servers();
        if self.0.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.told.tell();
        }
    }
}

async fn run(service: &Service, factory: Factory, told: Told, tell: &watch::Sender<State>) -> Result<(), Error> {
    let limits = &service.limits;
    let hall = Hall::new();
    let start = Start { context: service.context.clone(), hall: hall.clone(), told: told.clone() };
    let mut handlers = Handlers::start(factory, start)?;
    let served = async {
        let built = tokio::select! {
            biased;
            built = timeout(limits.start, handlers.built()) => built,
            () = told.told() => return Ok(()),
        };
        built.unwrap_or_else(|_| Err(Error::Handler("it was not built in time".into())))?;
        let cookie = Cookie::new(dial::random()?);
        let (listener, host) = Host::listen(service, &hall, &told, handlers.sessions(), cookie)?;
        hall.open();
        let record = host.record.clone();
        let lobby = Lobby::open(listener, host);
        tell.send_replace(State::Serving(record));
        told.told().await;
        let _shut = hall.look(Retire::Told);
        drop(lobby);
        let _ = timeout(limits.drain, hall.empty()).await;
        Ok(())
    }
    .await;
    // However long it takes: who comes next waits until then, or until its own deadline.
    handlers.ended().await;
    served
}

fn servers() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<Server>>> {
    SERVERS.lock().unwrap_or_else(PoisonError::into_inner)
}
