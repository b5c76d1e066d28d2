//! A context that ends with its creator: a directory of its own, and a hold on the servers that were started in it.

use std::fmt;
use std::fs;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::os::cleaner;
use crate::os::file::File;
use crate::os::process::Orders;

/// How often the removal of a directory is tried. A server that is ending may create a file in it meanwhile.
const REMOVALS: usize = 5;

/// The state that all clones of an ephemeral context share. Dropping the last clone asks its servers to retire, and
/// removes its directory if this process created it.
pub(crate) struct Ephemeral {
    /// The standard inputs of its servers. A server retires when its input ends: when this is dropped, or with this
    /// process.
    servers: Mutex<Vec<Orders>>,
    directory: Option<TempDir>,
    /// Keeps cleaners of temporary files out of the directory.
    _kept: Option<File>,
}

impl Ephemeral {
    pub(crate) fn new(directory: Option<TempDir>) -> Self {
        let _kept = directory.as_ref().and_then(|directory| cleaner::keep_out(directory.path()));
        Ephemeral { servers: Mutex::new(Vec::new()), directory, _kept }
    }

    /// Keeps a server's standard input open, and drops those of servers that are gone.
    pub(crate) fn hold(&self, orders: Orders) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(Orders::is_connected);
        servers.push(orders);
    }
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        self.servers.get_mut().unwrap_or_else(PoisonError::into_inner).iter().for_each(Orders::end);
        if let Some(directory) = self.directory.take() {
            let path = directory.keep();
            let _ = (0..REMOVALS).find(|_| fs::remove_dir_all(&path).is_ok() || !path.exists());
        }
    }
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ephemeral").field("directory", &self.directory).finish_non_exhaustive()
    }
}
