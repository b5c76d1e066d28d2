//! The connection to a server that welcomed a client.

use super::registry::Lease;
use super::report::Report;
use crate::connection::Connection;
use crate::keeps::Keeps;
use crate::proto::handshake::Welcome;
use crate::service::Service;
use crate::stream::{Socket, Stream};

/// Returns the connection to a server that welcomed this client. `lease` is its use of a server of this process.
pub(super) fn connection(
    service: &Service,
    welcome: Welcome,
    stream: Socket,
    lease: Option<Lease>,
    report: &mut Report<'_>,
) -> Connection {
    let lease = lease.map(|lease| Box::new(lease) as _);
    let keeps = Keeps { lease, _context: service.context.hold(), ..Keeps::default() };
    Connection { stream: Stream::new(stream, keeps), outcome: report.outcome(welcome) }
}
