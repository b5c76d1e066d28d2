//! Unix. Only Linux is tested.

pub(crate) mod blocking;
#[cfg(all(feature = "tokio", target_os = "linux"))]
pub(crate) mod changes;
#[cfg(all(feature = "tokio", not(target_os = "linux")))]
#[path = "no_changes.rs"]
pub(crate) mod changes;
pub(crate) mod cleaner;
pub(crate) mod clock;
pub(crate) mod file;
pub(crate) mod flock;
#[cfg(feature = "tokio")]
pub(crate) mod listener;
pub(crate) mod lock;
pub(crate) mod pidfd;
pub(crate) mod process;
pub(crate) mod procfs;
pub(crate) mod random;
#[cfg(feature = "tokio")]
pub(crate) mod reexec;
pub(crate) mod scope;
#[cfg(feature = "tokio")]
pub(crate) mod signals;
pub(crate) mod socket;
pub(crate) mod stdio;
#[cfg(feature = "tokio")]
pub(crate) mod stream;
