//! The program of the measurements. It is the server of each contender, and a client of it.

use std::error::Error;
use std::path::Path;

use peer::IPCPolicy;

type Result = std::result::Result<(), Box<dyn Error>>;

const USAGE: &str = "usage: interop ask sequoia HOME";

fn main() -> Result {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        // As `sequoia-ipc` starts its servers.
        ["--home", home, "--lib", _, "--ephemeral", _, "--socket", "0"] => Ok(peer::serve(sequoia(home)?)?),
        ["ask", "sequoia", home] => ask(home),
        _ => Err(USAGE.into()),
    }
}

/// The service of a home on `sequoia-ipc`, served by this program.
fn sequoia(home: &str) -> std::result::Result<peer::Descriptor, Box<dyn Error>> {
    Ok(peer::descriptor(Path::new(home), &std::env::current_exe()?, IPCPolicy::External)?)
}

fn ask(home: &str) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    let (pid, _connection) = runtime.block_on(peer::ask(&sequoia(home)?))?;
    println!("{pid}");
    Ok(())
}
