//! A server that welcomed a client, and the client's connection.

use super::registry::Lease;
use super::report::Report;
use crate::connection::Connection;
use crate::proto::handshake::Welcome;
use crate::service::Service;
use crate::stream::{Keeps, Socket, Stream};

/// A server that welcomed us.
pub(super) struct Welcomed {
    pub(super) welcome: Welcome,
    pub(super) stream: Socket,
    /// A use of it, where it is a server of this process.
    pub(super) lease: Option<Lease>,
}

/// Returns the connection to a server that welcomed this client.
pub(super) fn connection(service: &Service, welcomed: Welcomed, report: &mut Report<'_>) -> Connection {
    let Welcomed { welcome, stream, lease } = welcomed;
    let lease = lease.map(|lease| Box::new(lease) as _);
    let keeps = Keeps { lease, _context: service.context.hold(), ..Keeps::default() };
    Connection { stream: Stream::new(stream, keeps), outcome: report.outcome(welcome) }
}
