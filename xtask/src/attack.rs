//! How much an attack on a server delays its other clients: `tests/process/attack.rs`.

use std::error::Error;

use crate::{cargo, run};

/// How often each situation is measured, each time over twenty answers.
const TURNS: &str = "25";

/// Measures, prints a table, and fails if a client waits much longer than without an attack.
pub fn check() -> Result<(), Box<dyn Error>> {
    run(cargo().args(["test", "--quiet", "--locked", "--test", "process", "--", "@attack", TURNS]))
}
