//! Unix. Only Linux is tested.

pub(crate) mod cleaner;
pub(crate) mod file;
pub(crate) mod listener;
pub(crate) mod lock;
pub(crate) mod pidfd;
pub(crate) mod process;
pub(crate) mod procfs;
pub(crate) mod reexec;
pub(crate) mod scope;
pub(crate) mod signals;
mod socket;
pub(crate) mod stdio;
pub(crate) mod stream;
