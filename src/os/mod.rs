//! Everything that depends on the operating system. Each system offers the same modules with the same functions.

pub(crate) mod line_buffer;
pub(crate) mod lock;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use self::unix::procfs::{locks, progress, stat};
#[cfg(unix)]
pub(crate) use self::unix::{cleaner, file, listener, pidfd, process, reexec, scope, signals, stdio, stream};

#[cfg(not(unix))]
compile_error!("rendezvous-ipc's driver runs on Unix so far; `proto` alone (--no-default-features) runs anywhere");
