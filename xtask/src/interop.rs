//! Tests this crate against the published `sequoia-ipc`, in `interop/`, a package with a lock file of its own.

use std::error::Error;

use crate::{cargo, need, root, run};

/// Builds that crate in its own workspace, and runs both on one point.
pub fn check() -> Result<(), Box<dyn Error>> {
    need::all(&[&need::CAPNP])?;
    let target = root().join("target/interop");
    run(cargo()
        .current_dir(root().join("interop"))
        .args(["test", "--quiet", "--locked", "--test", "dialect", "--target-dir"])
        .arg(target))
}
