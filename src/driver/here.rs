//! A connect that is served in its own process.

use tokio::time::sleep;

use super::ending::other_protocol;
use super::internal;
use super::net::dial::{self, DialError};
use super::net::socket;
use super::registry::Lease;
use super::report::Report;
use super::system::System;
use crate::error::Error;
use crate::handler::Factory;
use crate::pid::Pid;
use crate::proto::connect::DialFailure;
use crate::proto::handshake::{Intent, Welcome};
use crate::proto::timing;
use crate::service::Service;
use crate::stream::Socket;

/// Serves in this process: joins its internal server, or starts it. The connect's deadline bounds it.
pub(super) async fn serve_here(
    service: &Service,
    factory: &Factory,
    report: &mut Report<'_>,
) -> Result<(Welcome, Socket, Lease), Error> {
    report.here();
    let mut system = System::new(service);
    loop {
        let (lease, joined, record) = internal::join(service, factory).await?;
        report.internal(joined);
        // It is this process's own server, so no silence of it is a failure. If it is full, it says so.
        match dial::whole(&mut system, &record, Intent::Connect, service.limits.connect).await {
            Ok((stream, welcome)) => return Ok((welcome, stream, lease)),
            Err((_, DialError::Failed(DialFailure::OtherProtocol(tag)))) => {
                return Err(other_protocol(service, Pid::new(record.pid), tag));
            }
            Err((_, DialError::Failed(DialFailure::TurnedAway(clients)))) => {
                return Err(report.no_room(Pid::new(record.pid), clients));
            }
            Err((stage, error)) => {
                let address = socket::endpoint(&service.point, record.address);
                report.own_dial_failed(error, Pid::new(record.pid), address, stage)?;
                // A server that retires now has a successor. Any other dropped this connection and may accept the next.
                sleep(timing::before_the_own_server_is_dialled_again(lease.is_retiring())).await;
            }
        }
    }
}
