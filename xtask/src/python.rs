//! Runs the client in plain Python, `interop/python`, beside this crate: `tests/process/python.rs`.

use std::error::Error;

use crate::{cargo, need, run};

/// Fails without `python3`, as any other chore does without what it needs.
pub fn check() -> Result<(), Box<dyn Error>> {
    need::all(&[&need::PYTHON])?;
    run(cargo().args(["test", "--quiet", "--locked", "--test", "process", "--", "@python"]))
}
