//! A connect that is served in its own process.

use tokio::time::sleep;

use super::internal;
use super::net::dial;
use super::net::socket;
use super::report::Report;
use super::welcomed::Welcomed;
use crate::error::Error;
use crate::handler::Factory;
use crate::pid::Pid;
use crate::proto::handshake::Intent;
use crate::proto::timing;
use crate::service::Service;

/// Serves in this process: joins its internal server, or starts it. The connect's deadline bounds it.
pub(super) async fn serve_here(
    service: &Service,
    factory: &Factory,
    report: &mut Report<'_>,
) -> Result<Welcomed, Error> {
    report.here();
    loop {
        let (lease, joined, record) = internal::join(service, factory).await?;
        report.internal(joined);
        // It is this process's own server, so the client waits for its turn without a shorter limit.
        match dial::whole(&service.point, &record, Intent::Connect, service.limits.connect).await {
            Ok((stream, welcome)) => return Ok(Welcomed { welcome, stream, lease: Some(lease) }),
            Err((stage, error)) => {
                let address = socket::endpoint(&service.point, record.address);
                report.suspect(error.suspicion(Pid::new(record.pid), address, stage)?);
                // A server that retires now has a successor. Any other dropped this connection and may accept the next.
                sleep(timing::before_the_own_server_is_dialled_again(lease.is_retiring())).await;
            }
        }
    }
}
