//! The calls of programs with a runtime.

use super::handlers::{Handler, Handlers};
use super::inspect::{exit, longest_exit};
use super::launch::{self, Launched};
use super::listener::{Ending, Incoming};
#[cfg(feature = "sequoia")]
use super::sequoia;
use super::system::System;
use super::waiting::Teller;
use super::{end, ending, runtime};
use crate::connection::Connection;
#[cfg(feature = "sequoia")]
use crate::dialect::Dialect;
use crate::error::Error;
use crate::handler::Factory;
use crate::join::Join;
use crate::proto::connect::Policy;
use crate::service::Service;
use crate::start::Started;
use crate::status::{Retirement, Status, Termination};

/// Connects to the server of a service, starting one where there is none.
pub(crate) async fn connect(service: &Service, policy: Policy, factory: Option<&Factory>) -> Result<Connection, Error> {
    runtime::check()?;
    ending::may_connect(service)?;
    let policy = super::connect::policy(policy, factory)?;
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return sequoia::connect(service, policy, factory).await;
    }
    super::connect::connect(service, policy, factory).await
}

/// Joins the server of a service, if there is one.
pub(crate) async fn join(service: &Service) -> Result<Join<Connection>, Error> {
    runtime::check()?;
    ending::may_connect(service)?;
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return sequoia::join(service).await;
    }
    super::connect::join(service).await
}

/// Serves until the server has retired.
pub(crate) async fn serve(service: Service, factory: Factory) -> Result<(), Error> {
    let service = Service { limits: factory.limits(service.limits), ..service };
    launch(service, Handler::Factory(factory))?.ended().await
}

/// Serves, until the listener is dropped, the clients that it accepts.
pub(crate) async fn bind(service: Service) -> Result<(Incoming, Ending), Error> {
    runtime::check().map_err(launch::told)?;
    let (handlers, clients) = Handlers::of_listener();
    Incoming::begun(launch(service, Handler::Listener(Some(handlers)))?, clients).await
}

fn launch(service: Service, handler: Handler) -> Result<Launched, Error> {
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return launch::launch(service, handler, Started::Socket, sequoia::serve);
    }
    launch::launch(service, handler, Started::Spawned, super::serve::run)
}

/// Inspects a point. Takes no lock, unless a dial failed or there is nothing to dial.
pub(crate) async fn inspect(service: &Service) -> Result<Status, Error> {
    runtime::check()?;
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return sequoia::inspect(service).await;
    }
    let teller = Teller::of_inspect(service);
    teller.during(super::inspect::inspect(&mut System::new(service), service, &teller)).await
}

/// Asks the server to retire, and waits until it is about to exit.
pub(crate) async fn retire(service: &Service) -> Result<Retirement, Error> {
    runtime::check()?;
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return Err(sequoia::no_retirement());
    }
    let (teller, mut system) = (Teller::of_connect(service), System::new(service));
    let asked = teller.during(super::inspect::ask_to_retire(&mut system, service, &teller)).await?;
    let Some(server) = asked else { return Ok(Retirement::NoServer) };
    let longest = longest_exit(service);
    let teller = Teller::new(service, longest, longest);
    teller.during(exit(&mut system, service, &teller, server)).await
}

/// Kills the server of the record, if it holds its lifetime lock, does not answer, and makes no progress.
pub(crate) async fn end_unresponsive(service: &Service) -> Result<Termination, Error> {
    runtime::check()?;
    #[cfg(feature = "sequoia")]
    if service.dialect == Dialect::Sequoia {
        return Err(sequoia::no_retirement());
    }
    let teller = Teller::of_end(service);
    teller.during(end::end_unresponsive(&mut System::new(service), service, &teller)).await
}
