//! Linux's `/proc`: the state and the start time of a process, its progress, and the holders of locks.
//!
//! Other systems have no such files, and each function here then returns that the answer is unknown.

pub(crate) mod locks;
pub(crate) mod progress;
pub(crate) mod stat;
