//! A service as the driver sees it: its files, its limits, its program.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::context::Context;
#[cfg(feature = "sequoia")]
use crate::dialect::Dialect;
use crate::error::{Error, Usage};
use crate::limits::Limits;
use crate::proto::connect::Versions;
use crate::transport::Transport;

/// The part of a descriptor that both loops need.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) context: Context,
    pub(crate) point: PathBuf,
    pub(crate) life: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) transport: Transport,
    #[cfg(feature = "sequoia")]
    pub(crate) dialect: Dialect,
    pub(crate) limits: Limits,
    pub(crate) version: u32,
    pub(crate) newest: u32,
    /// Or why there is none.
    pub(crate) program: Result<Program, Usage>,
}

impl Service {
    /// The versions of the service that a client is for.
    pub(crate) fn versions(&self) -> Versions {
        Versions { ours: self.version, newest: self.newest }
    }

    /// The program that serves it.
    pub(crate) fn program(&self) -> Result<&Program, Error> {
        self.program.as_ref().map_err(|why| Error::Usage(why.clone()))
    }
}

/// The program of a server.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
}
