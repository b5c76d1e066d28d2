//! Checks what must hold before a release: features, package, dependencies, public API and its changes.

use std::error::Error;
use std::fs;
use std::process::Command;

use crate::{cargo, root, run, tool};

/// Each combination of features, without those that another one of them enables.
const FEATURES: [&str; 15] = [
    "",
    "sequoia",
    "blocking",
    "blocking,sequoia",
    "blocking,serde",
    "tokio",
    "tokio,sequoia",
    "tokio,log",
    "capnp",
    "capnp,log",
    "test-util",
    "tokio,serde",
    "tokio,sequoia,serde",
    "capnp,log,test-util",
    "capnp,log,sequoia,serde,test-util",
];
/// The recorded public API with all features, derived traits included, and without `proto`, which SemVer does not cover: the
/// first line of the file states that.
const API: &str = "docs/api.txt";
const HEADER: &str =
    "// Everything public, but `proto`, which is outside of SemVer until 1.0. Written by `cargo xtask api`.";

/// The crate builds with each combination of features. The programs are built by themselves too, because a
/// build of the workspace gives them features that only the tests use.
pub fn features() -> Result<(), Box<dyn Error>> {
    let clippy = |args: &[&str]| run(cargo().args(["clippy", "--quiet"]).args(args).args(["--", "-D", "warnings"]));
    FEATURES.iter().try_for_each(|features| clippy(&["--lib", "--no-default-features", "--features", features]))?;
    without_tokio()?;
    ["quickstart", "rendezvous-cli"].iter().try_for_each(|package| clippy(&["--package", package]))
}

/// A client that blocks has no runtime in its tree.
fn without_tokio() -> Result<(), Box<dyn Error>> {
    let blocking = ["--package", "rendezvous-ipc", "--no-default-features", "--features", "blocking"];
    let output = cargo().args(["tree", "--locked", "--edges", "normal", "--prefix", "none"]).args(blocking).output()?;
    let tree = String::from_utf8(output.stdout)?;
    let is_runtime = |line: &&str| ["tokio", "futures", "mio", "capnp"].iter().any(|name| line.starts_with(name));
    match (output.status.success(), tree.lines().find(is_runtime)) {
        (true, None) => Ok(()),
        (true, Some(runtime)) => Err(format!("a client of the feature `blocking` depends on {runtime}").into()),
        (false, _) => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

/// All steps of a publication of both packages but the last. What would be uploaded of the library builds by itself. The
/// program is not built: cargo would build it with the library that it unpacked first under this version. It asks the
/// registry for its index.
pub fn package() -> Result<(), Box<dyn Error>> {
    let publish =
        |args: &[&str]| run(cargo().args(["publish", "--dry-run", "--quiet", "--locked", "--allow-dirty"]).args(args));
    publish(&["--package", "rendezvous-ipc"])?;
    publish(&["--package", "rendezvous-ipc", "--package", "rendezvous-cli", "--no-verify"])
}

/// Licences, advisories and sources of all dependencies satisfy `deny.toml`.
pub fn deny() -> Result<(), Box<dyn Error>> {
    let tool = tool("cargo-deny", "0.20.2")?;
    run(Command::new(tool).args(["--all-features", "check", "licenses", "bans", "sources"]).current_dir(root()))
}

/// Records the public API.
pub fn record_api() -> Result<(), Box<dyn Error>> {
    Ok(fs::write(root().join(API), api()?)?)
}

/// The public API is the recorded one, so that a change of it is made on purpose and seen in the diff.
pub fn check_api() -> Result<(), Box<dyn Error>> {
    if api()? == fs::read_to_string(root().join(API))? {
        return Ok(());
    }
    Err(format!("the public API is not that of {API}: `cargo xtask api`, and look at the difference").into())
}

/// The version allows all changes of the public API since a revision, or else since the tag of the last version.
pub fn semver(revision: Option<&str>) -> Result<(), Box<dyn Error>> {
    let describe = ["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"];
    let last = Command::new("git").args(describe).current_dir(root()).output()?;
    let last = String::from_utf8(last.stdout)?;
    let Some(revision) = revision.or(Some(last.trim()).filter(|tag| !tag.is_empty())) else {
        println!("no version has a tag, so every change is allowed");
        return Ok(());
    };
    let tool = tool("cargo-semver-checks", "0.51.0")?;
    // Hides `proto`.
    let mut check = Command::new(tool);
    check.env("RUSTDOCFLAGS", "--cfg semver").current_dir(root()).arg("semver-checks");
    run(check.args(["--package", "rendezvous-ipc", "--all-features", "--baseline-rev", revision]))
}

fn api() -> Result<String, Box<dyn Error>> {
    let tool = tool("cargo-public-api", "0.52.0")?;
    // The tool reads rustdoc's JSON, which is unstable.
    let target = root().join("target/api");
    run(cargo().env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", &target).args([
        "rustdoc",
        "--quiet",
        "--lib",
        "--all-features",
        "--",
        "-Z",
        "unstable-options",
        "--output-format",
        "json",
    ]))?;
    let output =
        Command::new(tool).arg("--rustdoc-json").arg(target.join("doc/rendezvous_ipc.json")).arg("-ss").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let lines = [HEADER].into_iter().chain(text.lines().filter(|line| !is_of_proto(line)));
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}

/// Whether a line is about an item of `proto`. A field of another item is not, whatever its type.
fn is_of_proto(line: &str) -> bool {
    let item = line.split_once(" for ").map_or(line, |(_, item)| item);
    item.find("rendezvous_ipc::").is_some_and(|at| item[at..].starts_with("rendezvous_ipc::proto"))
}
