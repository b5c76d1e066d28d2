//! A stream to a server: connects to a port of the loopback, or to a socket file beside the point.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::socket::path;
use crate::os::{listener, stream};
use crate::proto::address::Address;
use crate::proto::record::Record;
use crate::stream::Socket;

/// The pause before the next try to connect to a socket whose queue is full.
const FULL: Duration = Duration::from_millis(2);

/// Why a connection is not used.
pub(crate) enum Unusable {
    /// The port is connected to itself.
    Myself,
    /// Another user's process is at the other side.
    User(u32),
    /// The mode of this socket keeps its own user out.
    Shut(PathBuf),
}

/// Connects to a server of this point. The stream sends small messages at once.
pub(crate) async fn connect(point: &Path, address: Address) -> io::Result<Result<Socket, Unusable>> {
    loop {
        let connected = match address {
            Address::Tcp(address) => connect_port(address.socket_addr()).await,
            Address::Unix(name) => connect_file(&path(point, name)),
        };
        match connected {
            // The attempt goes on in the kernel, on a socket that is gone: a fresh one is as good.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The queue is full. At a port the kernel would go on trying.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL).await,
            other => return other,
        }
    }
}

async fn connect_port(address: SocketAddr) -> io::Result<Result<Socket, Unusable>> {
    let stream = TcpStream::connect(address).await?;
    if stream.local_addr()? == address {
        return Ok(Err(Unusable::Myself));
    }
    stream.set_nodelay(true)?;
    Ok(Ok(Socket::Tcp(stream)))
}

fn connect_file(path: &Path) -> io::Result<Result<Socket, Unusable>> {
    match stream::Stream::connect(path) {
        // The mode of a socket of this user was changed. A live server restores it; for a dead one it proves nothing.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && listener::is_not_accessible(path) => {
            Ok(Err(Unusable::Shut(path.to_owned())))
        }
        connected => Ok(connected?.map(Socket::Unix).map_err(Unusable::User)),
    }
}

/// Returns whether another process than the record's is known to listen at its socket. A process in another PID namespace
/// has another number here, or none. Nothing is known of a port, or of a socket whose queue is full.
pub(crate) fn is_anothers(point: &Path, record: &Record) -> bool {
    let Address::Unix(name) = record.address else { return false };
    matches!(connect_file(&path(point, name)), Ok(Ok(socket)) if socket.peer() != Some(record.pid))
}
