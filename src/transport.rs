//! The transport of a server, and the endpoint at which it listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How clients reach a server. The server chooses; a client uses what the record names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Transport {
    /// A Unix socket beside the point, `POINT.NAME.sock`. No other user can reach it, and it is the faster one. If the
    /// file system has no sockets, or the path is too long, the server listens at a port instead and logs a warning.
    /// Any other failure to create the socket is an error.
    #[default]
    Unix,
    /// A loopback port. Every user of the machine can reach it, and none can use it without the cookie.
    Tcp,
}

/// The address at which a server listens, or at which its record says that it listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Endpoint {
    /// A loopback port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
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

/// Writes it as `Display` does.
#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
impl serde::Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
