//! Everything that depends on the operating system. Each system offers the same modules with the same functions.
//!
//! With `--cfg rendezvous_sim` the system is a simulated one, in memory.

pub(crate) mod line_buffer;
pub(crate) mod lock;
#[cfg(rendezvous_sim)]
pub(crate) mod sim;
#[cfg(unix)]
#[cfg_attr(rendezvous_sim, allow(dead_code, unused_imports, reason = "the simulated system uses a part of it"))]
mod unix;

#[cfg(rendezvous_sim)]
pub(crate) use self::sim::{
    blocking, changes, cleaner, clock, file, listener, locks, pidfd, process, random, scope, signals, socket, stat,
    stdio, stream,
};
#[cfg(unix)]
pub(crate) use self::unix::procfs::progress;
#[cfg(all(unix, feature = "tokio", not(rendezvous_sim)))]
pub(crate) use self::unix::procfs::stat;
#[cfg(all(unix, feature = "tokio"))]
pub(crate) use self::unix::reexec;
#[cfg(all(unix, not(rendezvous_sim)))]
pub(crate) use self::unix::{
    blocking, cleaner, clock, file, pidfd, process, procfs::locks, random, scope, socket, stdio,
};
#[cfg(all(unix, feature = "tokio", not(rendezvous_sim)))]
pub(crate) use self::unix::{changes, listener, signals, stream};

#[cfg(not(unix))]
compile_error!("rendezvous-ipc's driver runs on Unix so far; `proto` alone (--no-default-features) runs anywhere");
