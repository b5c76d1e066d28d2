//! Chores of the project: `cargo xtask CHORE`.

mod codegen;
mod nostd;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask CHORE
  codegen [--check]   generate the Cap'n Proto code of the examples, or check that it is current
                      (needs the `capnp` compiler)
  nostd               link `proto` into a program without std, and run it (needs a C compiler)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["codegen"] => codegen::generate(),
        ["codegen", "--check"] => codegen::check(),
        ["nostd"] => nostd::check(),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The project's own directory.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
