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

/// Sends a message.
pub(in crate::driver) async fn send(stream: &mut Socket, message: &[u8], until: Instant) -> Result<(), DialError> {
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::Interest;
    use tokio::net::TcpListener;

    use super::*;

    /// A client and its peer, which has sent these bytes, as the client's runtime knows.
    async fn pair(sent: &[u8]) -> (Socket, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(sent).await.unwrap();
        client.readable().await.unwrap();
        (Socket::Tcp(client), server)
    }

    #[tokio::test]
    async fn a_peer_that_speaks_first_is_heard() {
        let (mut client, _server) = pair(b"220 mail").await;
        let until = Instant::now() + FULL * 15_000;
        assert!(send(&mut client, b"hello", until).await.is_ok());
        assert!(receive::<8>(&mut client, until).await.is_ok_and(|bytes| &bytes == b"220 mail"));
    }

    #[tokio::test]
    async fn nothing_is_read_in_vain_after_readiness_is_forgotten() {
        let (mut client, mut server) = pair(b"proof").await;
        let until = Instant::now() + FULL * 15_000;
        let is_readable = |client: &Socket| match client {
            Socket::Tcp(stream) => stream.try_io(Interest::READABLE, || Ok(())).is_ok(),
            Socket::Unix(_) => unreachable!(),
        };
        assert!(receive::<5>(&mut client, until).await.is_ok_and(|bytes| &bytes == b"proof"));
        assert!(is_readable(&client), "the runtime cannot know that nothing is left");
        client.forget_readiness();
        assert!(!is_readable(&client));
        server.write_all(b"last.").await.unwrap();
        server.shutdown().await.unwrap();
        assert!(receive::<5>(&mut client, until).await.is_ok_and(|bytes| &bytes == b"last."));
        client.forget_readiness();
        let end = receive::<1>(&mut client, until).await;
        assert!(matches!(end, Err(DialError::Failed(DialFailure::Closed))), "the end is not forgotten");
    }
}
