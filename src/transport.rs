//! By what a server is reached, and where.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

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

/// Where a server listens, or is said to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Endpoint {
    /// At this port of the loopback.
    Tcp(SocketAddr),
    /// At the socket at this path.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => address.fmt(f),
            Endpoint::Unix(path) => path.display().fmt(f),
        }
    }
}
