//! The parts of a descriptor that the driver uses: files, limits, program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::context::Context;
#[cfg(all(feature = "tokio", feature = "sequoia"))]
use crate::dialect::Dialect;
use crate::error::{Error, Usage};
use crate::limits::Limits;
use crate::older::Older;
use crate::os::{process, scope};
use crate::proto::connect::Versions;
use crate::proto::handshake::Party;
#[cfg(feature = "tokio")]
use crate::proto::serving::WhenLost;
use crate::proto::tag::Tag;
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
    #[cfg(all(feature = "tokio", feature = "sequoia"))]
    pub(crate) dialect: Dialect,
    pub(crate) limits: Limits,
    #[cfg(feature = "tokio")]
    pub(crate) when_lost: WhenLost,
    pub(crate) version: Version,
    pub(crate) newest: u32,
    /// The caller's function for waits.
    pub(crate) on_wait: Option<OnWait>,
    pub(crate) older: Older,
    /// The protocol that the service states, or why its tag is none.
    pub(crate) protocol: Result<Tag, Usage>,
    /// The protocol of the handler, which counts if none is stated.
    pub(crate) of_handler: Tag,
    /// The program, or why there is none.
    pub(crate) program: Result<Program, Usage>,
}

impl Service {
    /// Returns the versions of the service that the client accepts.
    pub(crate) fn versions(&self) -> Versions {
        Versions::of(self.wanted(), self.newest, self.older.machine(), self.program.is_ok())
    }

    /// Returns the version that a client wants: that of the servers that it starts. If that cannot be told, because the
    /// program is missing, it is 0, for which no server is too old.
    pub(crate) fn wanted(&self) -> u32 {
        match (self.version, &self.program) {
            (Version::Number(version), _) => version,
            (Version::Build, Ok(program)) => process::modified(&program.path).unwrap_or(0),
            (Version::Build, Err(_)) => 0,
        }
    }

    /// Returns the version that a server in this process offers.
    pub(crate) fn offered(&self) -> Result<u32, Error> {
        match self.version {
            Version::Number(version) => Ok(version),
            Version::Build => process::own_build().ok_or(Error::Usage(Usage::UnknownBuild)),
        }
    }

    /// Returns the tag of the protocol that the service speaks.
    pub(crate) fn tag(&self) -> Tag {
        let stated = *self.protocol.as_ref().unwrap_or(&Tag::NONE);
        if stated == Tag::NONE { self.of_handler } else { stated }
    }

    /// Returns the client's side of a handshake, with the identity that the point has now.
    pub(crate) fn party(&self) -> Party {
        Party { point: scope::identity(self.context.home(), &self.point), tag: self.tag(), service: self.wanted() }
    }

    /// Returns the working directory of a started server.
    pub(crate) fn directory(&self) -> &Path {
        self.surroundings.directory.as_deref().unwrap_or(self.context.home())
    }

    /// Sets the surroundings of a started server. A relative log is in the home, one that is not set beside the point.
    pub(crate) fn surround(&mut self, surroundings: Surroundings) {
        self.log = surroundings.log_of(&self.point);
        self.surroundings = surroundings;
    }

    /// Returns the same service in another context. A log that was set by an absolute path stays where it is.
    pub(crate) fn within(self, context: Context) -> Self {
        let home = context.home();
        let moved = |path: &Path| path.file_name().map_or_else(|| path.to_owned(), |name| home.join(name));
        let (point, life) = (moved(&self.point), moved(&self.life));
        let log = self.surroundings.log_of(&point);
        Service { point, life, log, context, ..self }
    }

    /// Returns the program that serves the service.
    pub(crate) fn program(&self) -> Result<&Program, Error> {
        self.program.as_ref().map_err(|why| Error::Usage(why.clone()))
    }
}

/// Returns the path of a file beside a point.
pub(crate) fn beside(point: &Path, suffix: &str) -> PathBuf {
    let mut path = point.as_os_str().to_owned();
    path.push(".");
    path.push(suffix);
    path.into()
}

#[cfg(any(test, rendezvous_sim))]
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
            #[cfg(all(feature = "tokio", feature = "sequoia"))]
            dialect: Dialect::Native,
            limits: Limits::default(),
            #[cfg(feature = "tokio")]
            when_lost: WhenLost::default(),
            version: Version::default(),
            newest: u32::MAX,
            on_wait: None,
            older: Older::default(),
            protocol: Ok(Tag::NONE),
            of_handler: Tag::NONE,
            program: Err(Usage::NoProgram),
        }
    }
}

/// What the version of a service is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    Number(u32),
    /// When the program's file was last modified: a client looks at the file that it would start, a server at the one
    /// that it runs.
    Build,
}

impl Default for Version {
    fn default() -> Self {
        Version::Number(0)
    }
}

/// The program of a server.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_log_is_in_the_home_of_the_context_that_counts() {
        for (given, client, server) in [
            (None, "/client/point.log", "/server/point.log"),
            (Some("logs/of.log"), "/client/logs/of.log", "/server/logs/of.log"),
            (Some("/var/log/of.log"), "/var/log/of.log", "/var/log/of.log"),
        ] {
            let mut service = Service::sample("/client");
            service.surround(given.map_or_else(Surroundings::new, |log| Surroundings::new().log(log)));
            assert_eq!(service.log, Path::new(client));
            assert_eq!(service.within(Context::at("/server")).log, Path::new(server));
        }
    }
}
