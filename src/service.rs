//! The parts of a descriptor that the driver uses: files, limits, program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::context::Context;
#[cfg(feature = "sequoia")]
use crate::dialect::Dialect;
use crate::error::{Error, Usage};
use crate::limits::Limits;
use crate::proto::connect::Versions;
use crate::surroundings::Surroundings;
use crate::transport::Transport;
use crate::waiting::OnWait;

/// The part of a descriptor that both the client's and the server's loop use.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) context: Context,
    pub(crate) point: PathBuf,
    pub(crate) life: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) surroundings: Surroundings,
    pub(crate) transport: Transport,
    #[cfg(feature = "sequoia")]
    pub(crate) dialect: Dialect,
    pub(crate) limits: Limits,
    pub(crate) version: u32,
    pub(crate) newest: u32,
    /// The caller's function for waits.
    pub(crate) on_wait: Option<OnWait>,
    /// The program, or why there is none.
    pub(crate) program: Result<Program, Usage>,
}

impl Service {
    /// Returns the versions of the service that the client offers and understands.
    pub(crate) fn versions(&self) -> Versions {
        Versions::of(self.version, self.newest, self.program.is_ok())
    }

    /// Returns the working directory of a started server.
    pub(crate) fn directory(&self) -> &Path {
        self.surroundings.directory.as_deref().unwrap_or(self.context.home())
    }

    /// Returns the same service in another context. A log that was set stays where it is.
    pub(crate) fn within(self, context: Context) -> Self {
        let home = context.home();
        let moved = |path: &Path| path.file_name().map_or_else(|| path.to_owned(), |name| home.join(name));
        let (point, life) = (moved(&self.point), moved(&self.life));
        let log = if self.surroundings.log.is_some() { self.log } else { moved(&self.log) };
        Service { point, life, log, context, ..self }
    }

    /// Returns the program that serves the service.
    pub(crate) fn program(&self) -> Result<&Program, Error> {
        self.program.as_ref().map_err(|why| Error::Usage(why.clone()))
    }
}

#[cfg(test)]
impl Service {
    /// A service of tests, whose files are in this directory.
    pub(crate) fn sample(home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        Service {
            point: home.join("point"),
            life: home.join("point.life"),
            log: home.join("point.log"),
            surroundings: Surroundings::default(),
            context: Context::new("org.example.test").expect("a name").with_home(home),
            transport: Transport::default(),
            #[cfg(feature = "sequoia")]
            dialect: Dialect::Native,
            limits: Limits::default(),
            version: 0,
            newest: u32::MAX,
            on_wait: None,
            program: Err(Usage::NoProgram),
        }
    }
}

/// The program of a server.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
}
