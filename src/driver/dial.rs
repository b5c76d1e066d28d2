//! A dial: a loopback connection and the messages of the handshake, each to be had before `patience` is over.

use std::future::Future;
use std::io;
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::error::Error;
use crate::proto::address::Address;
use crate::proto::connect::Came;
use crate::proto::handshake::{Hello, Intent, Nonce, Welcome};
use crate::proto::record::Record;

/// Connects. The socket sends small messages at once, and is not connected to itself.
pub(super) async fn connect(address: Address, until: Instant) -> Result<TcpStream, Trouble> {
    let address = address.socket_addr();
    let stream = within(until, async {
        loop {
            match TcpStream::connect(address).await {
                // The attempt goes on in the kernel, on a socket that is gone: a fresh one is as good.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    })
    .await?;
    if stream.local_addr().map_err(judge)? == address {
        return Err(Trouble::Came(Came::Myself));
    }
    stream.set_nodelay(true).map_err(judge)?;
    Ok(stream)
}

/// Sends a message.
pub(super) async fn send(stream: &mut TcpStream, message: &[u8], until: Instant) -> Result<(), Trouble> {
    within(until, stream.write_all(message)).await
}

/// Receives a message of a fixed size, and not a byte more.
pub(super) async fn receive<const N: usize>(stream: &mut TcpStream, until: Instant) -> Result<[u8; N], Trouble> {
    let mut message = [0; N];
    within(until, stream.read_exact(&mut message)).await?;
    Ok(message)
}

/// A whole dial, for who needs no machine. What came in between is told with the step at which it came.
pub(super) async fn whole(
    record: &Record,
    intent: Intent,
    patience: Duration,
) -> Result<(TcpStream, Welcome), (&'static str, Trouble)> {
    let at = |stage| move |trouble| (stage, trouble);
    let until = Instant::now() + patience;
    let nonce = random().map_err(|error| ("Dial", Trouble::Ours(io::Error::other(error))))?;
    let hello = Hello::new(intent, Nonce(nonce));
    let mut stream = connect(record.address, until).await.map_err(at("Dial"))?;
    send(&mut stream, &hello.to_bytes(), until).await.map_err(at("Hello"))?;
    let proof = receive(&mut stream, until).await.map_err(at("Prove"))?;
    let proof = hello.judge(record, &proof).map_err(|rejected| ("Prove", Trouble::Came(rejected.into())))?;
    send(&mut stream, &proof, until).await.map_err(at("Welcome"))?;
    let welcome = receive(&mut stream, until).await.map_err(at("Welcome"))?;
    let welcome = Welcome::from_bytes(&welcome).ok_or(("Welcome", Trouble::Came(Came::Garbage)))?;
    Ok((stream, welcome))
}

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| Error::System { stage: "Dial", source: io::Error::other(error) })?;
    Ok(bytes)
}

/// Why a dial went no further.
pub(super) enum Trouble {
    /// Something about the other side.
    Came(Came),
    /// Something about ours.
    Ours(io::Error),
}

async fn within<T>(until: Instant, work: impl Future<Output = io::Result<T>>) -> Result<T, Trouble> {
    match timeout_at(until, work).await {
        Ok(result) => result.map_err(judge),
        Err(_) => Err(Trouble::Came(Came::Silence)),
    }
}

/// Errors → outcomes, as PROTOCOL's table has it: what is not listed is our own trouble.
fn judge(error: io::Error) -> Trouble {
    use io::ErrorKind::*;
    match error.kind() {
        ConnectionRefused | TimedOut => Trouble::Came(Came::Refused),
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => Trouble::Came(Came::HungUp),
        _ => Trouble::Ours(error),
    }
}
