//! A connection to a server, by a thread that blocks.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::super::net::socket::path;
use super::super::net::stream::{FULL, Unusable, connect_file};
use crate::os::blocking::Blocking;
use crate::proto::address::Address;

/// Connects to a server of this point, before `until`, or returns `None`.
pub(super) fn connect(
    point: &Path,
    address: Address,
    until: Instant,
) -> io::Result<Option<Result<Blocking, Unusable>>> {
    loop {
        let connected = match address {
            Address::Tcp(address) => connect_port(address.socket_addr(), until),
            Address::Unix(name) => match connect_file(&path(point, name)) {
                Ok(Ok(file)) => file.into_blocking().map(|stream| Some(Ok(stream))),
                Ok(Err(unusable)) => Ok(Some(Err(unusable))),
                Err(error) => Err(error),
            },
        };
        match connected {
            // The attempt goes on in the kernel, on a socket that is gone: a fresh one is as good.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The queue is full. At a port the kernel would go on trying.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match left(until) {
                Duration::ZERO => return Ok(None),
                left => thread::sleep(FULL.min(left)),
            },
            other => return other,
        }
    }
}

fn connect_port(address: SocketAddr, until: Instant) -> io::Result<Option<Result<Blocking, Unusable>>> {
    // A timeout of zero is an error.
    let stream = match TcpStream::connect_timeout(&address, left(until).max(Duration::from_nanos(1))) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut && left(until).is_zero() => return Ok(None),
        connected => connected?,
    };
    if stream.local_addr()? == address {
        return Ok(Some(Err(Unusable::Myself)));
    }
    stream.set_nodelay(true)?;
    Blocking::new(stream).map(|stream| Some(Ok(stream)))
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
