//! A simulated system, in memory: files with names and locks, processes, pipes and sockets, random bytes by a seed.
//!
//! It is compiled in place of [`unix`](super::unix) with `--cfg rendezvous_sim`, by the package `sim`. Everything of one
//! simulated world is in this thread: [`world`] has its state, [`tasks`] its processes' tasks and their scheduler.

#[path = "../unix/no_changes.rs"]
pub(crate) mod changes;
pub(crate) mod file;
pub(crate) mod flock;
#[path = "../unix/lock.rs"]
#[allow(clippy::duplicate_mod, reason = "it is the same code over other files")]
pub(crate) mod lock;
pub(crate) mod net;
pub(crate) mod process;
mod rest;
pub(crate) mod stdio;
pub(crate) mod tasks;
pub(crate) mod world;

pub(crate) use self::net::{listener, socket, stream};
pub(crate) use self::rest::{blocking, cleaner, clock, locks, pidfd, random, scope, signals, stat};
