//! The files of a service: the point, the life file and the log.

pub(crate) mod life;
pub(crate) mod log;
pub(crate) mod point;
