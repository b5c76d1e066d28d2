//! Checks in the Cap'n Proto code beside its schema, so that no build needs the compiler.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use crate::{need, root};

/// Each schema.
const SCHEMAS: [&str; 1] = ["examples/counter/counter.capnp"];

pub fn generate() -> Result<(), Box<dyn Error>> {
    need::all(&[&need::CAPNP])?;
    SCHEMAS.iter().try_for_each(|schema| Ok(fs::write(checked_in(schema), compile(schema)?)?))
}

pub fn check() -> Result<(), Box<dyn Error>> {
    need::all(&[&need::CAPNP])?;
    for schema in SCHEMAS {
        let path = checked_in(schema);
        if unversioned(&compile(schema)?) != unversioned(&fs::read_to_string(&path)?) {
            return Err(format!("{} is not current: run `cargo xtask codegen`", path.display()).into());
        }
    }
    Ok(())
}

/// The path of a schema's code: `counter_capnp.rs` beside `counter.capnp`.
fn checked_in(schema: &str) -> PathBuf {
    let path = root().join(schema);
    path.with_file_name(format!("{}_capnp.rs", path.file_stem().unwrap_or_default().to_string_lossy()))
}

fn compile(schema: &str) -> Result<String, Box<dyn Error>> {
    let path = root().join(schema);
    let directory = path.parent().ok_or("a schema has a directory")?;
    let output = root().join("target/codegen");
    fs::create_dir_all(&output)?;
    capnpc::CompilerCommand::new().src_prefix(directory).file(&path).output_path(&output).run()?;
    let name = checked_in(schema).file_name().ok_or("code has a name")?.to_owned();
    Ok(fs::read_to_string(output.join(name))?)
}

/// The code without its header, which names the compiler's version.
fn unversioned(code: &str) -> String {
    code.lines().filter(|line| !line.starts_with("// @generated") && !line.starts_with("// DO NOT EDIT")).collect()
}
