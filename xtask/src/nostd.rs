//! Links `proto` without std, as a static library with a panic handler of its own, into a C program, and runs it.

use std::error::Error;
use std::process::Command;

use crate::{need, root, run};

pub fn check() -> Result<(), Box<dyn Error>> {
    need::all(&[&need::C])?;
    let target = root().join("target/nostd");
    let manifest = root().join("tests/nostd/Cargo.toml");
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target))?;
    let program = target.join("linked");
    run(Command::new("cc")
        .arg("-o")
        .arg(&program)
        .arg(root().join("tests/nostd/main.c"))
        // The precompiled core mentions unwinding in functions that are never called.
        .arg("-Wl,--gc-sections")
        .arg(target.join("release/libnostd.a")))?;
    run(&mut Command::new(&program))
}
