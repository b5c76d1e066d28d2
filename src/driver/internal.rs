//! Internal servers: one per point and process, a thread of this process that is never registered.
//!
//! All connects of the process share it. It takes no lock and touches no file, so it works in a home that
//! cannot be written. It begins to retire when its last user is gone. A connect that comes at that moment waits
//! until the old handler is gone, as with a lifetime lock, and gets a new server.

use std::sync::{Arc, LazyLock};
use std::thread;

use tokio::time::timeout;

use super::acceptor::{Acceptor, ServerState};
use super::admission::Admission;
use super::counters::SharedCounters;
use super::handlers::{Handlers, handle};
use super::random;
use super::registry::{Lease, Registry, Running};
use super::reserve::Reserve;
use super::{runtime, supervise};
use crate::error::{Error, NotBuilt};
use crate::handler::Factory;
use crate::proto::cookie::Cookie;
use crate::proto::record::Record;
use crate::proto::serving::Retire;
use crate::service::Service;
use crate::stage::Stage;
use crate::transport::Transport;

static SERVERS: LazyLock<Arc<Registry>> = LazyLock::new(Arc::default);

/// Joins the internal server of a service, starting it where there is none: whether it was there, and where it is.
pub(super) async fn join(service: &Service, factory: &Factory) -> Result<(Lease, bool, Record), Error> {
    SERVERS.join(&service.point, |running| start(service, factory, running)).await
}

fn start(service: &Service, factory: &Factory, running: Running) -> Result<(), Error> {
    // By a port: there may be no home, or none that can be written.
    let (context, limits) = (service.context.lent(), factory.limits(service.limits));
    let service = Service { context, transport: Transport::Tcp, limits, ..service.clone() };
    let factory = factory.clone();
    let body = move || {
        let result = match runtime::local() {
            Ok(runtime) => runtime.block_on(run(&service, factory, &running)),
            Err(source) => Err(Error::System { stage: Stage::Build, source }),
        };
        running.ended(result);
    };
    thread::Builder::new().name("rendezvous-internal".into()).spawn(body).map(drop).map_err(Error::system(Stage::Build))
}

async fn run(service: &Service, factory: Factory, running: &Running) -> Result<(), Error> {
    let (limits, shutdown) = (&service.limits, running.shutdown());
    let (admission, counters) = (Admission::new(), Arc::default());
    let mut handlers = Some(Handlers::start(factory)?);
    let serves =
        supervise::caught("the internal server", serve(service, (&admission, &counters), running, &mut handlers)).await;
    // Whatever became of this server, the next join waits for its successor.
    shutdown.request();
    let _shut = admission.look(Retire::Requested);
    shutdown.announce(Retire::Requested);
    let _ = timeout(limits.drain, admission.empty()).await;
    // This has no limit: the next client waits until then, or until its own deadline.
    if let Some(handlers) = handlers {
        handlers.ended().await;
    }
    // A stream may be left in a thread of the program's own.
    admission.empty().await;
    serves?
}

/// Serves until retirement is requested. Clients that were welcomed by then are served further.
async fn serve(
    service: &Service,
    (admission, counters): (&Arc<Admission>, &Arc<SharedCounters>),
    running: &Running,
    handlers: &mut Option<Handlers>,
) -> Result<(), Error> {
    let shutdown = running.shutdown();
    let start = handle(&service.context, (admission, counters), shutdown);
    let Some(building) = handlers.as_mut() else { return Ok(()) };
    building.begin(start);
    // As a server of its own process does, it listens while its handler is built.
    let cookie = Cookie::drawn(random::draw()?);
    let listens =
        ServerState::listen(service, (admission, counters), shutdown, building.sessions(), cookie, Reserve::none());
    let built = tokio::select! {
        biased;
        built = timeout(service.limits.start, building.built()) => built,
        () = shutdown.requested() => return Ok(()),
    };
    built.unwrap_or_else(|_| Err(Error::Handler(NotBuilt::Overdue.into())))?;
    let (listener, state) = listens?;
    counters.begin();
    admission.open();
    let record = state.record.clone();
    let mut acceptor = Some(Acceptor::open(listener, state));
    running.serves(record);
    let served = tokio::select! {
        biased;
        () = shutdown.requested() => Ok(()),
        dead = supervise::lost(&mut acceptor, handlers) => Err(dead),
    };
    // Before the acceptor is dropped: a client that is not counted by now is not welcomed.
    let _shut = admission.look(Retire::Requested);
    served
}
