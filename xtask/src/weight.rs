//! Weighs what the crate adds to a program: the crates in its tree, the CPU time of a release build from nothing, and the
//! size of the stripped program. The programs are in `xtask/weight`; each does what a client or a server has to do.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{root, run};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TOKIO: &str = "tokio = { version = \"1.54\", features = [\"io-util\", \"rt\"] }\n";
const CAPNP: &str = "capnp = \"0.27\"\ncapnp-rpc = \"0.27\"\n";
const CRATES: [&str; 2] = [TOKIO, CAPNP];

/// The features, how many of [`CRATES`] the programs use themselves, the client and the server.
const SETS: [(&str, usize, &str, Option<&str>); 4] = [
    ("blocking", 0, "blocking_client", None),
    ("tokio", 1, "tokio_client", Some("tokio_server")),
    ("tokio,capnp,log", 2, "capnp_client", Some("capnp_server")),
    ("tokio,capnp,log,sequoia", 2, "capnp_client", Some("capnp_server")),
];

pub fn measure() -> Result<()> {
    println!("| features | crates | build, CPU s | client, KiB | server, KiB |\n| --- | ---: | ---: | ---: | ---: |");
    row("none of ours: a program that prints a line", &weigh("hello", "", &["hello"])?);
    for (features, own, client, server) in SETS {
        let list = features.split(',').map(|feature| format!("{feature:?}")).collect::<Vec<_>>().join(", ");
        let ours = format!("path = {:?}, default-features = false, features = [{list}]", root());
        let dependencies = format!("rendezvous-ipc = {{ {ours} }}\n{}", CRATES[..own].concat());
        let programs: Vec<&str> = [client].into_iter().chain(server).collect();
        row(&format!("`{}`", features.replace(',', "`, `")), &weigh(features, &dependencies, &programs)?);
    }
    Ok(())
}

fn row(what: &str, Weight { crates, seconds, sizes }: &Weight) {
    let sizes = [0, 1].map(|at| sizes.get(at).map_or_else(String::new, u64::to_string));
    println!("| {what} | {crates} | {seconds:.1} | {} |", sizes.join(" | "));
}

struct Weight {
    crates: usize,
    /// The CPU time of the first program.
    seconds: f64,
    sizes: Vec<u64>,
}

/// Builds programs with nothing built before the first one, and weighs them.
fn weigh(name: &str, dependencies: &str, programs: &[&str]) -> Result<Weight> {
    let directory = root().join("target/weight").join(name.replace(',', "-"));
    let target = directory.join("target");
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(&directory)?;
    let sources = root().join("xtask/weight");
    let bin = |name: &&str| format!("[[bin]]\nname = {name:?}\npath = {:?}\n", sources.join(name).with_extension("rs"));
    let package = "[package]\nname = \"weight\"\nversion = \"0.0.0\"\nedition = \"2024\"\n";
    let bins: String = programs.iter().map(bin).collect();
    let rest = format!("[dependencies]\n{dependencies}[profile.release]\nstrip = true\n[workspace]\n");
    fs::write(directory.join("Cargo.toml"), [package, &bins, &rest].concat())?;
    // The same versions as here; cargo removes what is not used.
    fs::copy(root().join("Cargo.lock"), directory.join("Cargo.lock"))?;
    let tree = cargo(&directory).args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"]).output()?;
    let tree = String::from_utf8(tree.stdout)?;
    // Without what a crate of this repository or a repeated one has in brackets.
    let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(" (").next()).collect();
    let (mut seconds, mut sizes) = (None, Vec::new());
    for program in programs {
        let before = cpu_seconds()?;
        let build = ["build", "--quiet", "--release", "--bin", program];
        run(cargo(&directory).args(build).env("CARGO_TARGET_DIR", &target))?;
        seconds.get_or_insert(cpu_seconds()? - before);
        sizes.push(target.join("release").join(program).metadata()?.len() / 1024);
    }
    fs::remove_dir_all(&target)?;
    // Without the program itself.
    Ok(Weight { crates: crates.len() - 1, seconds: seconds.unwrap_or_default(), sizes })
}

fn cargo(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir::<PathBuf>(directory.into()).env_remove("RUSTFLAGS");
    command
}

/// The CPU time of all processes that this one has waited for, and of theirs: user and system, in hundredths of a second.
fn cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields =
        stat.rsplit_once(") ").map(|(_, fields)| fields.split(' ')).ok_or("/proc/self/stat is not readable")?;
    let ticks: Vec<u64> = fields.skip(13).take(2).map(str::parse).collect::<std::result::Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / 100.0)
}
