//! Runs the driver over a simulated system: the package `sim`.

use std::error::Error;

use crate::{cargo, run};

/// Runs seeds, and fails at the first that breaks a property.
pub fn check(args: &[&str]) -> Result<(), Box<dyn Error>> {
    run(cargo().args(["run", "--quiet", "--locked", "--package", "sim", "--"]).args(args))
}
