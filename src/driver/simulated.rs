//! What simulated processes run: the driver itself, with tasks in place of the threads of a server.
//!
//! Left out are `launch` and `start`, which take apart how a process was started, and the thread that makes room for
//! descriptors.

use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::handlers::{self, Clients, Handler, Handlers};
use super::launch::Prepared;
use super::os::signals::Signals;
use super::os::{process, stdio};
use super::shutdown::Shutdown;
use super::watchdog::{self, Looked, Watchdog};
use super::{clock, serve, wheel};
use crate::error::Error;
use crate::handler::Factory;
use crate::service::Service;
use crate::stage::Stage;

/// Begins the clock of the machines for a run.
pub(crate) fn begin() {
    clock::now();
    wheel::begins();
}

/// Serves as a process does that a client has started, or that was started by hand.
pub(crate) async fn run(service: Service, factory: Factory) -> Result<(), Error> {
    let spawned = service.context.is_spawned();
    let spawner = if spawned {
        let (orders, replies) = stdio::take().map_err(Error::system(Stage::Watch))?;
        Some((watch(&service), orders, replies))
    } else {
        None
    };
    let handlers = Some(handle(factory.clone()));
    let signals = Signals::new(spawned).map_err(Error::system(Stage::Watch))?;
    let prepared = Prepared { signals, changes: None, spawner, handlers };
    serve::run(&service, prepared, Handler::Factory(factory), Shutdown::new()).await
}

/// Starts the watchdog, as a task.
fn watch(service: &Service) -> Watchdog {
    let (watchdog, budget, began) = (Watchdog::idle(), service.limits.start, Instant::now());
    let watches = watchdog.clone();
    spawn_local(async move {
        loop {
            match watchdog::look(&watches.0, began.elapsed(), budget) {
                Looked::Registered => return,
                Looked::Over => return process::end_this_process(),
                Looked::Again(pause) => sleep(pause).await,
            }
        }
    });
    watchdog
}

/// Starts the handlers, as a task.
fn handle(factory: Factory) -> Handlers {
    let (handlers, Clients { begun, built, waiting, quitting, runs }) = Handlers::new(false);
    spawn_local(async move {
        let _runs = runs;
        handlers::run(factory, begun, built, waiting, quitting).await;
    });
    handlers
}
