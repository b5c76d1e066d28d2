//! A server that welcomed a client, and the connection that comes of it.

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

/// The connection to a server that welcomed us, in this process or in another.
pub(super) fn connection(service: &Service, welcomed: Welcomed, report: &mut Report) -> Connection {
    let Welcomed { welcome, stream, lease } = welcomed;
    let lease = lease.map(|lease| Box::new(lease) as _);
    let keeps = Keeps { lease, _context: service.context.hold() };
    Connection { stream: Stream::new(stream, keeps), outcome: report.outcome(welcome) }
}
