//! The files of a service: the point, the life file and the log.

pub(crate) mod life;
pub(crate) mod log;
#[cfg(feature = "tokio")]
pub(crate) mod own_log;
pub(crate) mod point;
