//! A connect of tokio's driver, which serves in this process where it has to.

use tracing::Instrument;

use super::effects::Effects;
use super::ending::{self, Ended};
use super::files::point::Guard;
use super::here::serve_here;
use super::report::{Report, start_error};
use super::system::System;
use super::waiting::Teller;
use super::welcomed::connection;
use crate::connection::Connection;
use crate::error::{Error, Usage};
use crate::handler::Factory;
use crate::join::Join;
use crate::proto::connect::{Goal, Policy};
use crate::proto::handshake::Welcome;
use crate::service::Service;

/// Whether a server by hand may serve.
pub(super) enum Turn {
    /// This server may serve: it holds the point lock.
    Serve(Guard),
    /// Another server serves already.
    Taken(Welcome),
}

/// Returns the policy that a connect can keep to.
pub(super) fn policy(policy: Policy, factory: Option<&Factory>) -> Result<Policy, Error> {
    match (policy, factory) {
        (Policy::Internal, None) => Err(Error::Usage(Usage::NoHandler)),
        // Without a handler there is nothing to fall back to.
        (Policy::Robust, None) => Ok(Policy::External),
        (policy, _) => Ok(policy),
    }
}

/// Connects to the server of a service, starting one where there is none.
pub(super) async fn connect(service: &Service, policy: Policy, factory: Option<&Factory>) -> Result<Connection, Error> {
    let teller = Teller::of_connect(service);
    let (mut report, mut system, goal) = (Report::new(&teller), System::new(service), Goal::Connect(policy));
    let connecting = async {
        match ending::attempt(&mut system, service, goal, &mut report).await? {
            Ended::Welcomed(welcome, stream) => Ok((welcome, stream, None)),
            Ended::Internal(failure) => {
                if let Some((failure, log_begin)) = failure {
                    report.not_started(&start_error(service, failure, log_begin));
                }
                let factory = factory.ok_or(Error::Usage(Usage::NoHandler))?;
                let served = serve_here(service, factory, &mut report).await;
                let (welcome, stream, lease) = served.map_err(|error| report.both(error))?;
                Ok((welcome, stream, Some(lease)))
            }
            Ended::Start(_) | Ended::Absent => Err(Error::missing("the server that was connected to")),
        }
    };
    let connecting = System::within(service.limits.connect, connecting.instrument(ending::span(service, goal)));
    let connected = teller.during(connecting).await;
    let (welcome, stream, lease) = connected.unwrap_or_else(|| Err(report.deadline(service)))?;
    Ok(connection(service, welcome, stream, lease, &mut report))
}

/// Joins the server of a service, if there is one.
pub(super) async fn join(service: &Service) -> Result<Join<Connection>, Error> {
    let teller = Teller::of_connect(service);
    let mut report = Report::new(&teller);
    match teller.during(ending::run(&mut System::new(service), service, Goal::Join, &mut report)).await? {
        Ended::Welcomed(welcome, stream) => Ok(Join::Joined(connection(service, welcome, stream, None, &mut report))),
        Ended::Absent => Ok(Join::Absent),
        Ended::Start(_) | Ended::Internal(_) => Err(Error::missing("the server that was to be joined")),
    }
}

/// Finds out whether a server by hand may serve.
pub(super) async fn claim_turn(service: &Service) -> Result<Turn, Error> {
    let teller = Teller::of_connect(service);
    let mut report = Report::new(&teller);
    match teller.during(ending::run(&mut System::new(service), service, Goal::Serve, &mut report)).await? {
        Ended::Start(point) => Ok(Turn::Serve(point)),
        Ended::Welcomed(welcome, _) => Ok(Turn::Taken(welcome)),
        Ended::Absent | Ended::Internal(_) => Err(Error::missing("the point lock of a server by hand")),
    }
}
