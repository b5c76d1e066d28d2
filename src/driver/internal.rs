//! Internal servers: one per point and process, a thread of this process that is never registered.
//!
//! All connects of the process share it. It takes no lock and touches no file, so it works in a home that
//! cannot be written. It begins to retire when its last user is gone; one who comes at that moment gets a
//! new server, which is built when the old one's handler is gone.

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
use crate::error::{BoxError, Error};
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
    Failed(Arc<str>),
    /// None of its code runs any more.
    Ended,
}

/// A use of an internal server, which stays for as long as this lives.
pub(crate) struct Lease(Arc<Server>);

/// Joins the internal server of a service, starting it where there is none: whether it was there, and where it is.
pub(super) async fn join(service: &Service, factory: &Factory) -> Result<(Lease, bool, Record), Error> {
    let (lease, joined) = lease(service, factory)?;
    let mut state = lease.0.state.clone();
    let state = state.wait_for(|state| !matches!(state, State::Starting)).await;
    match state.as_deref() {
        Ok(State::Serving(record)) => Ok((lease, joined, record.clone())),
        Ok(State::Failed(reason)) => Err(Error::Handler(BoxError::from(&**reason))),
        _ => Err(Error::Handler("it ended at once".into())),
    }
}

fn lease(service: &Service, factory: &Factory) -> Result<(Lease, bool), Error> {
    let mut servers = servers();
    let before = servers.get(&service.point);
    if let Some(server) = before
        && server.told.at().is_none()
        && !matches!(*server.state.borrow(), State::Failed(_) | State::Ended)
    {
        server.users.fetch_add(1, Ordering::Relaxed);
        return Ok((Lease(server.clone()), true));
    }
    let before = before.map(|server| server.state.clone());
    let (tell, state) = watch::channel(State::Starting);
    let told = Told::new();
    let server = Arc::new(Server { users: AtomicUsize::new(1), told: told.clone(), state });
    let point = service.point.clone();
    let (service, factory) = (service.clone(), factory.clone());
    thread::Builder::new()
        .name("rendezvous-internal".into())
        .spawn(move || {
            let result = match local_runtime() {
                Ok(runtime) => runtime.block_on(run(&service, factory, told, before, &tell)),
                Err(source) => Err(Error::System { stage: "Build", source }),
            };
            tell.send_replace(match result {
                Ok(()) => State::Ended,
                Err(error) => State::Failed(error.to_string().into()),
            });
            self::servers().retain(|_, server| !server.state.same_channel(&tell.subscribe()));
        })
        .map_err(Error::system("Build"))?;
    servers.insert(point, server.clone());
    Ok((Lease(server), false))
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _servers = servers();
        if self.0.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.told.tell();
        }
    }
}

async fn run(
    service: &Service,
    factory: Factory,
    told: Told,
    before: Option<watch::Receiver<State>>,
    tell: &watch::Sender<State>,
) -> Result<(), Error> {
    let limits = &service.limits;
    if let Some(mut before) = before {
        // As the lifetime lock would have it. It is bounded by the other's drain; then it is gone, or hangs for good.
        let over = |state: &State| matches!(state, State::Failed(_) | State::Ended);
        let _ = timeout(limits.drain + limits.patience, before.wait_for(over)).await;
    }
    let hall = Hall::new();
    let start = Start { context: service.context.clone(), hall: hall.clone(), told: told.clone() };
    let mut handlers = Handlers::start(factory, start)?;
    let served = async {
        let built = timeout(limits.start, handlers.built()).await;
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
    handlers.end(limits.patience).await;
    served
}

fn servers() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<Server>>> {
    SERVERS.lock().unwrap_or_else(PoisonError::into_inner)
}
