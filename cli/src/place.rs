//! What is at the path that was given, before the library looks at it.
//!
//! The library's errors say how a program's own home is mended: remove this, chmod that. Here the path may lead to
//! anything, so a path that is no point is only named.

use std::fs;
use std::path::{Path, PathBuf};

use rendezvous_ipc::{Context, Descriptor, Error, Malformed, Status};

/// The ends of the names of the files beside a point.
const BESIDE: [&str; 4] = [".log.1", ".log", ".life", ".sock"];

/// A path that may be that of a point.
pub(crate) struct Place {
    pub(crate) service: Descriptor,
    /// Whether there is a file.
    pub(crate) exists: bool,
}

/// Describes the service of a point. The error says why no point can be there.
pub(crate) fn describe(path: &Path) -> Result<Place, String> {
    let shown = path.display();
    let name = path.file_name().and_then(|name| name.to_str());
    if let Some((point, _)) = BESIDE.iter().find_map(|end| Some((name?.strip_suffix(end)?, end))) {
        let point = path.with_file_name(point.strip_suffix(".log").unwrap_or(point));
        return Err(format!(
            "{shown} is a file beside a point: give the path of the point, such as {}",
            point.display()
        ));
    }
    let exists = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => true,
        Ok(found) if found.is_dir() => return Err(format!("{shown} is a directory: give the path of a point in it")),
        Ok(found) if found.is_symlink() => {
            return Err(format!("{shown} is a symbolic link, as no point is: give the path of the point itself"));
        }
        Ok(_) => return Err(format!("{shown} is no point: it is not a regular file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(format!("{shown} cannot be looked at: {error}")),
    };
    let name = name.ok_or_else(|| format!("{shown} is no point: its name is not UTF-8"))?;
    let home = path.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let service =
        Descriptor::new(&Context::at(home), name).map_err(|error| format!("{shown} is no point: {error:#}"))?;
    Ok(Place { service, exists })
}

impl Place {
    /// Looks for the server. The error says why there is none to be found at this point.
    pub(crate) async fn status(&self) -> Result<Status, String> {
        let point = self.service.point();
        let shown = point.display();
        let life = beside(point, "life");
        let has_life = life.try_exists().unwrap_or(true);
        if !self.exists && has_life {
            return Err(format!(
                "{shown} is not there, and {} is: if its server is alive, it restores the point within two seconds",
                life.display()
            ));
        }
        match self.service.inspect().await {
            Ok(Status::OtherDialect) => Err(format!(
                "{shown} is a point of the dialect of sequoia-ipc: its servers report nothing and cannot be asked to \
                 retire; find the process, and send it a SIGTERM"
            )),
            Ok(Status::Malformed(Malformed::NoRecord)) | Err(Error::Untrusted { .. }) if !has_life => {
                Err(format!("{shown} is no point: no record of yours is in it, and there is no {}", life.display()))
            }
            looked => looked.map_err(|error| format!("{error:#}")),
        }
    }
}

/// Returns the path of a file beside a point.
pub(crate) fn beside(point: &Path, end: &str) -> PathBuf {
    let mut path = point.as_os_str().to_owned();
    path.push(".");
    path.push(end);
    path.into()
}
