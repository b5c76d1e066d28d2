//! The listener of a server, by either transport, and the sockets that dead servers left.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::socket::{BACKLOG, SUFFIX, path};
use crate::driver::files::life::Life;
use crate::driver::random;
use crate::error::Error;
use crate::os::listener::{self, ListenError, SocketFile};
use crate::os::stream;
use crate::proto::address::{Address, SocketName};
use crate::stage::Stage;
use crate::stream::Socket;
use crate::transport::Transport;

/// Removes the sockets that dead servers left beside a point. The caller holds the lifetime lock. A process that only
/// found it free, even under the point lock, may see a deleted point beside a live server.
pub(crate) fn sweep(_life: &Life, point: &Path) {
    let (Some(directory), Some(name)) = (point.parent(), point.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let is_socket = |file: &str| {
        let digits = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(SUFFIX));
        digits.and_then(SocketName::parse).is_some()
    };
    // Sockets that are left do no harm.
    match listener::sweep(directory, is_socket) {
        Ok(left) => {
            if let [(path, error), ..] = &left[..] {
                let (count, path) = (left.len(), path.display());
                tracing::warn!(target: "rendezvous_ipc::serve", count, %path, %error, "sockets are left, the first of them");
            }
        }
        Err(error) => {
            tracing::warn!(target: "rendezvous_ipc::serve", %error, "sockets of servers that are gone are left")
        }
    }
}

/// Where a server listens, and the file that leads there. Dropping it ends both.
pub(crate) struct Listener {
    incoming: Incoming,
    file: Option<SocketFile>,
}

/// The connections that arrive at a listener.
pub(crate) enum Incoming {
    Tcp(listener::Listener),
    Unix(listener::Listener),
}

impl Listener {
    /// Listens by this transport beside this point, and returns where.
    ///
    /// A port does not replace a socket that failed for a reason the user can remove: all users of the machine can reach a
    /// port.
    pub(crate) fn open(transport: Transport, point: &Path) -> Result<(Self, Address), Error> {
        if transport == Transport::Unix {
            let name = SocketName(random::bytes()?);
            match Listener::at(point, name) {
                Ok(listener) => return Ok((listener, Address::Unix(name))),
                Err(ListenError::Unsupported(error)) => {
                    let path = path(point, name);
                    let path = path.display();
                    tracing::warn!(target: "rendezvous_ipc::serve", %path, %error, "there can be no socket: a port instead");
                }
                Err(ListenError::Failed(error)) => return Err(Error::file(&path(point, name), error)),
            }
        }
        Listener::at_port().map_err(Error::system(Stage::Listen))
    }

    fn at_port() -> io::Result<(Self, Address)> {
        let listener = port()?;
        let address = Address::new(listener.local_addr()?).map_err(io::Error::other)?;
        Ok((Listener::on(listener)?, address))
    }

    /// Listens at a socket whose name is the caller's own.
    pub(crate) fn at(point: &Path, name: SocketName) -> Result<Self, ListenError> {
        let (listener, file) = listener::Listener::at(&path(point, name), BACKLOG)?;
        Ok(Listener { incoming: Incoming::Unix(listener), file: Some(file) })
    }

    /// Listens on a port that is open already.
    pub(crate) fn on(listener: TcpListener) -> io::Result<Self> {
        let listener = listener::Listener::on(listener.into_std()?.into())?;
        Ok(Listener { incoming: Incoming::Tcp(listener), file: None })
    }

    pub(crate) fn into_parts(self) -> (Incoming, Option<SocketFile>) {
        (self.incoming, self.file)
    }
}

impl Incoming {
    /// The next connection. An error is one of accepting: one that is gone already, or another user's, is skipped.
    pub(crate) async fn accept(&self) -> io::Result<Socket> {
        loop {
            match self {
                Incoming::Tcp(listener) => {
                    let stream = TcpStream::from_std(listener.accept_port().await?)?;
                    // One that cannot be set is gone already.
                    let _ = stream.set_nodelay(true);
                    return Ok(Socket::Tcp(stream));
                }
                Incoming::Unix(listener) => {
                    if let Some(stream) = stream::Stream::accepted(listener.accept().await?) {
                        return Ok(Socket::Unix(stream));
                    }
                }
            }
        }
    }
}

/// Listens on a port of the system's choice, of IPv4 or, where there is none, of IPv6.
fn port() -> io::Result<TcpListener> {
    loopback().or_else(|error| bind((Ipv6Addr::LOCALHOST, 0).into()).map_err(|_| error))
}

/// Listens on a port of `127.0.0.1`.
pub(crate) fn loopback() -> io::Result<TcpListener> {
    bind((Ipv4Addr::LOCALHOST, 0).into())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
