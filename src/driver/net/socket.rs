//! Where a server listens: at a port of the loopback, or at a socket file beside the point.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::proto::address::{Address, SocketName};
use crate::transport::Endpoint;

/// How many connections may wait to be accepted: as many as may be pending. A client that the kernel rejects at a port
/// tries again after a second, which is most of its patience.
pub(crate) const BACKLOG: u32 = 1024;
/// The suffix of a socket's name.
pub(super) const SUFFIX: &str = ".sock";

/// Where a server of this point listens.
pub(crate) fn endpoint(point: &Path, address: Address) -> Endpoint {
    match address {
        Address::Tcp(address) => Endpoint::Tcp(address.socket_addr()),
        Address::Unix(name) => Endpoint::Unix(path(point, name)),
    }
}

/// The path of a socket beside a point.
pub(crate) fn path(point: &Path, name: SocketName) -> PathBuf {
    let mut path = OsString::with_capacity(point.as_os_str().len() + 1 + 2 * size_of::<SocketName>() + SUFFIX.len());
    path.push(point);
    // Writing to memory does not fail.
    let _ = write!(path, ".{name}{SUFFIX}");
    path.into()
}
