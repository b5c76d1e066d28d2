//! The sockets of both transports: a port of the loopback, or a file beside the point.

use std::future::{pending, poll_fn};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

use super::dial::{self, Trouble};
use super::life::Life;
use super::os::socket::{self, SocketFile, Unheard};
use crate::error::Error;
use crate::proto::address::{Address, SocketName};
use crate::proto::connect::Came;
use crate::proto::record::Record;

/// By what a server is reached. It is the server's choice: a client goes by what the record says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Transport {
    /// A socket beside the point, `POINT.NAME.sock`, which no other user can reach; the faster one. Where there can be
    /// none (a file system without sockets, a path that is too long) it is a port, and the log warns of it. Whatever else
    /// keeps a socket from being made is an error.
    #[default]
    Unix,
    /// A port of the loopback, which every user of the machine can reach, and none can use without the cookie.
    Tcp,
}

/// Connections that may wait to be accepted: as many as the lobby takes in. Whom the system turns away at a port tries
/// again after a second, which is most of a client's patience.
pub(super) const BACKLOG: u32 = 1024;
/// What stands behind the point's name and a socket's own.
const SUFFIX: &str = ".sock";
/// Between two tries to connect to a socket that too many wait at.
const FULL: Duration = Duration::from_millis(2);

/// The path of a socket beside a point.
pub(super) fn path(point: &Path, name: SocketName) -> PathBuf {
    let mut path = point.as_os_str().to_owned();
    path.push(format!(".{name}{SUFFIX}"));
    path.into()
}

/// Removes the sockets that dead servers left beside a point. Only for who holds the lifetime lock: whoever else has it
/// as free, even under the point lock, may stand before a point that was deleted, and beside a server that lives.
pub(super) fn sweep(_life: &Life, point: &Path) {
    let (Some(directory), Some(name)) = (point.parent(), point.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let is_socket = |file: &str| {
        let digits = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(SUFFIX));
        digits.and_then(SocketName::parse).is_some()
    };
    // What is left is in nobody's way.
    match socket::sweep(directory, is_socket) {
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
pub(super) struct Listener {
    incoming: Incoming,
    file: Option<SocketFile>,
}

/// Those who connect.
pub(super) enum Incoming {
    Tcp(socket::Listener),
    Unix(socket::Listener),
}

impl Listener {
    /// Listens by this transport beside this point, and says where.
    ///
    /// A port is no substitute for a socket that somebody could make possible: all users of the machine can reach it.
    pub(super) fn open(transport: Transport, point: &Path) -> Result<(Self, Address), Error> {
        if transport == Transport::Unix {
            let name = SocketName(dial::random()?);
            match Listener::at(point, name) {
                Ok(listener) => return Ok((listener, Address::Unix(name))),
                Err(Unheard::Impossible(error)) => {
                    let path = path(point, name);
                    let path = path.display();
                    tracing::warn!(target: "rendezvous_ipc::serve", %path, %error, "there can be no socket: a port instead");
                }
                Err(Unheard::Wrong(error)) => return Err(Error::file(&path(point, name), error)),
            }
        }
        Listener::at_port().map_err(Error::system("Listen"))
    }

    fn at_port() -> io::Result<(Self, Address)> {
        let listener = port()?;
        let address = Address::new(listener.local_addr()?).map_err(io::Error::other)?;
        Ok((Listener::on(listener)?, address))
    }

    /// Listens at a socket whose name is the caller's own.
    pub(super) fn at(point: &Path, name: SocketName) -> Result<Self, Unheard> {
        let (listener, file) = socket::Listener::at(&path(point, name), BACKLOG)?;
        Ok(Listener { incoming: Incoming::Unix(listener), file: Some(file) })
    }

    /// Listens on a port that is open already.
    pub(super) fn on(listener: TcpListener) -> io::Result<Self> {
        let listener = socket::Listener::on(listener.into_std()?.into())?;
        Ok(Listener { incoming: Incoming::Tcp(listener), file: None })
    }

    pub(super) fn into_parts(self) -> (Incoming, Option<SocketFile>) {
        (self.incoming, self.file)
    }
}

impl Incoming {
    /// The next connection. An error is one of accepting: one that is gone already, or another user's, is skipped.
    pub(super) async fn accept(&self) -> io::Result<Socket> {
        loop {
            match self {
                Incoming::Tcp(listener) => {
                    let stream = TcpStream::from_std(listener.accept().await?.into())?;
                    // One that cannot be set is gone already.
                    let _ = stream.set_nodelay(true);
                    return Ok(Socket::Tcp(stream));
                }
                Incoming::Unix(listener) => {
                    if let Some(stream) = socket::Stream::accepted(listener.accept().await?) {
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
pub(super) fn loopback() -> io::Result<TcpListener> {
    bind((Ipv4Addr::LOCALHOST, 0).into())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// One side of a connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(socket::Stream),
}

/// A socket on its way from one thread's runtime to another's.
pub(super) enum Handover {
    Tcp(std::net::TcpStream),
    Unix(socket::Stream),
}

impl Socket {
    /// Connects to a server of this point. The socket sends small messages at once.
    pub(super) async fn connect(point: &Path, address: Address) -> io::Result<Result<Self, Trouble>> {
        loop {
            let connected = match address {
                Address::Tcp(address) => connect_port(address.socket_addr()).await,
                Address::Unix(name) => connect_file(&path(point, name)),
            };
            match connected {
                // The attempt goes on in the kernel, on a socket that is gone: a fresh one is as good.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Too many wait. At a port the kernel would go on trying.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL).await,
                other => return other,
            }
        }
    }

    /// Sends all of a short message, or none of it.
    pub(super) fn send_at_once(&self, message: &[u8]) -> Option<()> {
        let sent = match self {
            Socket::Tcp(stream) => stream.try_write(message),
            Socket::Unix(stream) => stream.send(message),
        };
        (sent.ok()? == message.len()).then_some(())
    }

    /// Returns when the other side has ended the connection. What it may have said already stays unread.
    pub(super) async fn ended(&mut self) {
        match self {
            Socket::Tcp(stream) => port_ended(stream).await,
            Socket::Unix(stream) => {
                if poll_fn(|cx| stream.poll_peek(cx)).await.unwrap_or(false) {
                    pending().await
                }
            }
        }
    }

    /// To be used by another thread.
    pub(super) fn hand_over(self) -> io::Result<Handover> {
        match self {
            Socket::Tcp(stream) => stream.into_std().map(Handover::Tcp),
            Socket::Unix(stream) => Ok(Handover::Unix(stream.unwatched())),
        }
    }

    fn end(&self) {
        match self {
            Socket::Tcp(stream) => socket::end(stream),
            Socket::Unix(stream) => stream.end(),
        }
    }

    /// Leaves it open for as long as this process lives.
    pub(super) fn leave(self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => drop(stream.into_std()?.into_raw_fd()),
            Socket::Unix(stream) => stream.leave(),
        }
        Ok(())
    }

    /// The process at the other end when it connected, where the system says so.
    pub(super) fn peer(&self) -> Option<u32> {
        match self {
            Socket::Tcp(_) => None,
            Socket::Unix(stream) => stream.peer,
        }
    }
}

impl Handover {
    pub(super) fn take(self) -> io::Result<Socket> {
        match self {
            Handover::Tcp(stream) => TcpStream::from_std(stream).map(Socket::Tcp),
            Handover::Unix(stream) => Ok(Socket::Unix(stream)),
        }
    }
}

/// As [`Socket::ended`].
pub(super) async fn port_ended(stream: &TcpStream) {
    if let Ok(1..) = stream.peek(&mut [0]).await {
        pending().await
    }
}

async fn connect_port(address: SocketAddr) -> io::Result<Result<Socket, Trouble>> {
    let stream = TcpStream::connect(address).await?;
    if stream.local_addr()? == address {
        return Ok(Err(Trouble::Came(Came::Myself)));
    }
    stream.set_nodelay(true)?;
    Ok(Ok(Socket::Tcp(stream)))
}

fn connect_file(path: &Path) -> io::Result<Result<Socket, Trouble>> {
    match socket::Stream::connect(path) {
        // Somebody has changed the mode of a socket of ours. Its server changes it back; of one that is dead it says nothing.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && socket::is_shut(path) => {
            Ok(Err(Trouble::Shut(path.to_owned())))
        }
        connected => Ok(connected?.map(Socket::Unix).map_err(Trouble::User)),
    }
}

/// Whether the system says that another process than the record's listens at its socket. One in another PID namespace has
/// another number here, or none. At a port it does not say, and neither where too many wait.
pub(super) fn is_anothers(point: &Path, record: &Record) -> bool {
    let Address::Unix(name) = record.address else { return false };
    matches!(connect_file(&path(point, name)), Ok(Ok(socket)) if socket.peer() != Some(record.pid))
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Unix(stream) => stream.poll_read(cx, buf),
        }
    }
}

// Not vectored: that would be `writev`, which raises SIGPIPE in a host that is no Rust program.
impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        let written = match socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => stream.poll_write(cx, buf),
        };
        if matches!(written, Poll::Ready(Err(_))) {
            // Who reads has to see it, too: a session whose answers do not leave is over.
            socket.end();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Poll::Ready(stream.shut_down()),
        }
    }
}
