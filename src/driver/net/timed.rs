//! The connection and the messages of a dial, each within tokio's time.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use super::dial::{DialError, judge};
use super::socket::path;
use super::stream::{FULL, Unusable, connect_file};
use crate::os::stream;
use crate::proto::address::Address;
use crate::proto::connect::DialFailure;
use crate::stream::Socket;

/// Connects to a server of a point.
pub(in crate::driver) async fn connect(point: &Path, address: Address, until: Instant) -> Result<Socket, DialError> {
    within(until, reach(point, address)).await?.map_err(DialError::from)
}

/// Sends a message. The server sends nothing before it has it, so there is nothing to receive until then.
pub(in crate::driver) async fn send(stream: &mut Socket, message: &[u8], until: Instant) -> Result<(), DialError> {
    stream.forget_readiness();
    within(until, stream.write_all(message)).await
}

/// Receives a message of a fixed size, and not a byte more.
pub(in crate::driver) async fn receive<const N: usize>(
    stream: &mut Socket,
    until: Instant,
) -> Result<[u8; N], DialError> {
    let mut message = [0; N];
    within(until, stream.read_exact(&mut message)).await?;
    Ok(message)
}

async fn within<T>(until: Instant, work: impl Future<Output = io::Result<T>>) -> Result<T, DialError> {
    match timeout_at(until, work).await {
        Ok(result) => result.map_err(judge),
        Err(_) => Err(DialError::Failed(DialFailure::TimedOut)),
    }
}

/// Connects to a server of this point. The stream sends small messages at once.
async fn reach(point: &Path, address: Address) -> io::Result<Result<Socket, Unusable>> {
    loop {
        let connected = match address {
            Address::Tcp(address) => connect_port(address.socket_addr()).await,
            Address::Unix(name) => {
                connect_file(&path(point, name)).map(|file| file.map(|file| Socket::Unix(stream::Stream::of(file))))
            }
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
