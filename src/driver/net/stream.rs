//! A connection to a socket file beside the point, and why a connection is not used.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::socket::path;
use crate::os::socket::{self, Connected};
use crate::proto::address::Address;
use crate::proto::record::Record;

/// The pause before the next try to connect to a socket whose queue is full.
pub(in crate::driver) const FULL: Duration = Duration::from_millis(2);

/// Why a connection is not used.
pub(crate) enum Unusable {
    /// The port is connected to itself.
    Myself,
    /// Another user's process is at the other side.
    User(u32),
    /// The mode of this socket keeps its own user out.
    Shut(PathBuf),
}

/// Connects to a socket file without waiting. The error is `WouldBlock` if its queue is full.
pub(in crate::driver) fn connect_file(path: &Path) -> io::Result<Result<Connected, Unusable>> {
    match socket::connect(path) {
        // The mode of a socket of this user was changed. A live server restores it; for a dead one it proves nothing.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && socket::is_not_accessible(path) => {
            Ok(Err(Unusable::Shut(path.to_owned())))
        }
        connected => Ok(connected?.map_err(Unusable::User)),
    }
}

/// Returns whether another process than the record's is known to listen at its socket. A process in another PID namespace
/// has another number here, or none. Nothing is known of a port, or of a socket whose queue is full.
pub(crate) fn is_anothers(point: &Path, record: &Record) -> bool {
    let Address::Unix(name) = record.address else { return false };
    matches!(connect_file(&path(point, name)), Ok(Ok(socket)) if socket.peer != Some(record.pid))
}
