//! Fetches Python packages with pip.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::parallel::Result;

/// Downloads the wheel of a package, chosen by these options of pip, to a directory of its own in this one.
pub fn download(package: &str, options: &[&str], dir: &Path) -> Result<PathBuf> {
    eprintln!("fetching {package}");
    let dir = dir.join("wheel");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    python(pip("download").args(options).arg("--dest").arg(&dir).arg(package))?;
    let wheel = fs::read_dir(&dir)?.next().ok_or("pip downloaded no wheel")?;
    Ok(wheel?.path())
}

/// Unpacks a downloaded wheel to this directory, and removes the wheel.
pub fn unpack(wheel: &Path, dir: &Path) -> Result<()> {
    python(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(dir))?;
    Ok(fs::remove_dir_all(wheel.parent().unwrap_or(wheel))?)
}

/// Installs to this directory the packages that a file of requirements lists with their hashes.
pub fn install(requirements: &Path, dir: &Path) -> Result<()> {
    eprintln!("fetching what {} lists", requirements.display());
    python(pip("install").arg("--require-hashes").arg("--target").arg(dir).arg("--requirement").arg(requirements))
}

/// Fails unless a file has this hash, in hexadecimal digits.
pub fn check(file: &Path, sha256: &str) -> Result<()> {
    let hash: String = Sha256::digest(fs::read(file)?).iter().map(|byte| format!("{byte:02x}")).collect();
    match hash == sha256 {
        true => Ok(()),
        false => Err(format!("{} has the hash {hash}, not {sha256}", file.display()).into()),
    }
}

fn pip(what: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "--quiet", "--disable-pip-version-check", what, "--no-deps"]);
    command
}

fn python(command: &mut Command) -> Result<()> {
    match command.stdout(Stdio::null()).status()?.success() {
        true => Ok(()),
        false => Err("nothing was fetched: see the error above".into()),
    }
}
