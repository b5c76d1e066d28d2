//! What a client feels of those who attack its server: `tests/process/attack.rs`.

use std::error::Error;

use crate::{cargo, run};

/// How often each situation has its turn; a turn is twenty answers.
const TURNS: &str = "25";

/// Measures, prints a table, and fails where a client waits much longer than alone.
pub fn check() -> Result<(), Box<dyn Error>> {
    run(cargo().args(["test", "--quiet", "--locked", "--test", "process", "--", "@attack", TURNS]))
}
