//! Chores of the project: `cargo xtask CHORE`.

mod codegen;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask CHORE
  codegen [--check]   generate the Cap'n Proto code of the examples, or check that it is current
                      (needs the `capnp` compiler)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["codegen"] => codegen::generate(),
        ["codegen", "--check"] => codegen::check(),
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
