//! The driver: the machines of [`crate::proto`] over files, locks, sockets, processes and timers.
//!
//! The driver decides nothing. Each file performs the effects of one kind. The two loops, `connect` and `serve`,
//! perform the effect that a step asks for and give its result back to the machine.

mod acceptor;
mod admission;
mod child;
mod clock;
mod connect;
mod connecting;
mod effects;
mod end;
mod files;
mod handlers;
mod here;
mod inspect;
mod internal;
mod launch;
mod listener;
mod net;
mod random;
mod reaper;
mod registry;
mod report;
mod reserve;
mod runtime;
#[cfg(feature = "sequoia")]
mod sequoia;
mod serve;
mod serving;
mod shutdown;
#[cfg(feature = "log")]
mod subscriber;
mod supervise;
mod sync;
mod system;
mod waiting;
mod watchdog;
mod welcomed;

pub(crate) use self::handlers::local_runtime;
use self::handlers::{Handler, Handlers};
use self::launch::Launched;
pub(crate) use self::listener::{Ending, Incoming};
#[cfg(feature = "log")]
pub use self::subscriber::log_to_stderr;
#[cfg(feature = "test-util")]
pub(crate) use self::{files::point::leave_record, random::draw};
use crate::connection::Connection;
#[cfg(feature = "sequoia")]
use crate::dialect::Dialect;
use crate::error::Error;
use crate::handler::Factory;
use crate::join::Join;
use crate::os;
use crate::proto::connect::Policy;
use crate::service::Service;
use crate::start::Started;
use crate::status::{Retirement, Status, Termination};

/// Connects to the server of a service, starting one where there is none.
pub(crate) async fn connect(service: &Service, policy: Policy, factory: Option<&Factory>) -> Result<Connection, Error> {
    runtime::check()?;
    connect::may_connect(service)?;
    let policy = connect::policy(policy, factory)?;
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return sequoia::connect(service, policy, factory).await;
    }
    connect::connect(service, policy, factory).await
}

/// Joins the server of a service, if there is one.
pub(crate) async fn join(service: &Service) -> Result<Join, Error> {
    runtime::check()?;
    connect::may_connect(service)?;
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return sequoia::join(service).await;
    }
    connect::join(service).await
}

/// Serves until the server has retired.
pub(crate) async fn serve(service: Service, factory: Factory) -> Result<(), Error> {
    let service = Service { limits: factory.limits(service.limits), ..service };
    launch(service, Handler::Factory(factory))?.ended().await
}

/// Serves, until the listener is dropped, the clients that it accepts.
pub(crate) async fn bind(service: Service) -> Result<(Incoming, Ending), Error> {
    runtime::check()?;
    let (handlers, clients) = Handlers::of_listener();
    Incoming::begun(launch(service, Handler::Listener(Some(handlers)))?, clients).await
}

fn launch(service: Service, handler: Handler) -> Result<Launched, Error> {
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return launch::launch(service, handler, Started::Socket, sequoia::serve);
    }
    launch::launch(service, handler, Started::Spawned, serve::run)
}

/// Inspects a point. Takes no lock, unless a dial failed or there is nothing to dial.
pub(crate) async fn inspect(service: &Service) -> Result<Status, Error> {
    runtime::check()?;
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return sequoia::inspect(service).await;
    }
    inspect::inspect(service).await
}

/// Asks the server to retire, and waits until it is about to exit.
pub(crate) async fn retire(service: &Service) -> Result<Retirement, Error> {
    runtime::check()?;
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return Err(sequoia::no_retirement());
    }
    inspect::retire(service).await
}

/// Kills the server of the record, if it holds its lifetime lock, does not answer, and makes no progress.
pub(crate) async fn end_unresponsive(service: &Service) -> Result<Termination, Error> {
    runtime::check()?;
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return Err(sequoia::no_retirement());
    }
    end::end_unresponsive(service).await
}
