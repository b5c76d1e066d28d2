//! What is particular to an operating system. Each system has the same files with the same functions.

pub(crate) mod line_buffer;
pub(crate) mod lock;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use self::unix::{
    cleaner, file, identity, inherited, listener, locks, process, progress, scope, signals, stat, stdio, stream,
};

#[cfg(not(unix))]
compile_error!("rendezvous-ipc's driver runs on Unix so far; `proto` alone (--no-default-features) runs anywhere");
