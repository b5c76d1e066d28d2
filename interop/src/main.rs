//! The measuring program, which is also the client and the server of each contender.
//!
//! All contenders are in one program, so that loading it takes each the same time. `cargo xtask bench` builds it, runs
//! it, and judges what it prints.

mod contender;
mod floor;
mod ours;
mod rows;
mod sample;
mod server;
mod service;

use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use self::contender::Contender;
use self::service::Service;

pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[allow(clippy::all)]
mod process_capnp {
    include!(concat!(env!("OUT_DIR"), "/process_capnp.rs"));
}

const USAGE: &str = "usage: interop measure [--rounds N] [--only CONTENDER] [ROW …]
       interop serve CONTENDER --home HOME
       interop ask CONTENDER HOME [MILLISECONDS]";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["measure", ref args @ ..] => runtime()?.block_on(rows::measure(args)),
        ["serve", contender, "--home", home, ..] => serve(Contender::named(contender)?, Path::new(home)),
        // The command line of servers that `sequoia-ipc` starts.
        ["--home", home, "--lib", _, "--ephemeral", _, "--socket", "0"] => serve(Contender::Sequoia, Path::new(home)),
        ["ask", contender, home] => runtime()?.block_on(ask(contender, home, None)),
        ["ask", contender, home, hold] => {
            let hold = Duration::from_millis(hold.parse()?);
            runtime()?.block_on(ask(contender, home, Some(hold)))
        }
        _ => Err(USAGE.into()),
    }
}

pub fn runtime() -> std::io::Result<tokio::runtime::LocalRuntime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())
}

fn serve(contender: Contender, home: &Path) -> Result<()> {
    match contender {
        Contender::Ours(socket) => runtime()?.block_on(ours::serve(socket)),
        Contender::Floor(socket) => runtime()?.block_on(floor::serve(socket, home, || println!("ready"))),
        Contender::Sequoia => Ok(peer::serve(Service::peer(home, peer::IPCPolicy::External)?)?),
    }
}

/// A client of one call. With `hold` it waits for the end of its standard input before it connects, so that many
/// clients connect at once.
async fn ask(contender: &str, home: &str, hold: Option<Duration>) -> Result<()> {
    let service = Service::at(Contender::named(contender)?, Path::new(home))?;
    if hold.is_some() {
        std::io::stdin().read_to_end(&mut Vec::new())?;
    }
    let (pid, _connection) = service.ask().await?;
    tokio::time::sleep(hold.unwrap_or_default()).await;
    // Many clients write to one pipe, so each writes once.
    Ok(std::io::stdout().write_all(format!("{pid}\n").as_bytes())?)
}
