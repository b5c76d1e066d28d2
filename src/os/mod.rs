//! Everything that depends on the operating system. Each system offers the same modules with the same functions.

pub(crate) mod line_buffer;
pub(crate) mod lock;
#[cfg(unix)]
mod unix;
#[cfg(all(unix, feature = "tokio"))]
pub(crate) use self::unix::procfs::stat;
#[cfg(unix)]
pub(crate) use self::unix::procfs::{locks, progress};
#[cfg(unix)]
pub(crate) use self::unix::{blocking, cleaner, clock, file, pidfd, process, random, scope, socket, stdio};
#[cfg(all(unix, feature = "tokio"))]
pub(crate) use self::unix::{changes, listener, reexec, signals, stream};

#[cfg(not(unix))]
compile_error!("rendezvous-ipc's driver runs on Unix so far; `proto` alone (--no-default-features) runs anywhere");
