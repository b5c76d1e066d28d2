//! Unix: Linux is what is tested.

pub(crate) mod cleaner;
pub(crate) mod file;
pub(crate) mod identity;
pub(crate) mod inherited;
pub(crate) mod listener;
pub(crate) mod lock;
pub(crate) mod locks;
pub(crate) mod process;
pub(crate) mod progress;
pub(crate) mod scope;
pub(crate) mod signals;
mod socket;
pub(crate) mod stat;
pub(crate) mod stdio;
pub(crate) mod stream;
