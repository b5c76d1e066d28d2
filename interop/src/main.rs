//! The measuring program, which is also the client and the server of each contender.
//!
//! All contenders are in one program, so that loading it takes each the same time. `cargo xtask bench` builds it, runs
//! it, and judges what it prints.

mod contender;
mod floor;
mod ours;
mod rows;
mod server;
mod service;
mod turns;

use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use self::contender::{Contender, Speaks};
use self::service::Service;

pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[allow(clippy::all)]
mod process_capnp {
    include!(concat!(env!("OUT_DIR"), "/process_capnp.rs"));
}

const USAGE: &str = "usage: interop measure [--rounds N] [--only CONTENDER] [ROW …]
       interop serve CONTENDER --home HOME [--bytes]
       interop ask CONTENDER HOME [TIMES MILLISECONDS]
       interop repeat join|cold CONTENDER HOME TIMES
       interop flood silent|garbage ADDRESS";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["measure", ref args @ ..] => runtime()?.block_on(rows::measure(args)),
        ["serve", contender, "--home", home, ref rest @ ..] => {
            let speaks = if rest.contains(&"--bytes") { Speaks::Bytes } else { Speaks::Rpc };
            serve(Contender::named(contender)?, speaks, Path::new(home))
        }
        // The command line of servers that `sequoia-ipc` starts.
        ["--home", home, "--lib", _, "--ephemeral", _, "--socket", "0"] => {
            serve(Contender::Sequoia, Speaks::Rpc, Path::new(home))
        }
        ["ask", contender, home] => runtime()?.block_on(ask(contender, home, None)),
        ["ask", contender, home, times, hold] => {
            let often = (times.parse()?, Duration::from_millis(hold.parse()?));
            runtime()?.block_on(ask(contender, home, Some(often)))
        }
        ["repeat", what, contender, home, times] => {
            runtime()?.block_on(rows::repeat(what, contender, Path::new(home), times.parse()?))
        }
        ["flood", way, address] => rows::flood(way, address),
        _ => Err(USAGE.into()),
    }
}

pub fn runtime() -> std::io::Result<tokio::runtime::LocalRuntime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())
}

fn serve(contender: Contender, speaks: Speaks, home: &Path) -> Result<()> {
    match contender {
        Contender::Ours(socket) => runtime()?.block_on(ours::serve(socket, speaks)),
        Contender::Floor(socket) => runtime()?.block_on(floor::serve(socket, speaks, home, || println!("ready"))),
        Contender::Sequoia => Ok(peer::serve(Service::peer(home, peer::IPCPolicy::External)?)?),
    }
}

/// A client that joins and calls once, or some times. In the second case it prints a line and waits for the end of its
/// standard input before it connects, so that many clients connect at once, and holds its last connection for a time.
async fn ask(contender: &str, home: &str, often: Option<(usize, Duration)>) -> Result<()> {
    let service = Service::at(Contender::named(contender)?, Path::new(home))?;
    if often.is_some() {
        // Many clients write to one pipe, so each writes once.
        std::io::stdout().write_all(b"waiting\n")?;
        std::io::stdin().read_to_end(&mut Vec::new())?;
    }
    let (times, hold) = often.unwrap_or((1, Duration::ZERO));
    let (mut pid, mut connection) = service.ask().await?;
    for _ in 1..times {
        drop(connection);
        (pid, connection) = service.ask().await?;
    }
    tokio::time::sleep(hold).await;
    Ok(std::io::stdout().write_all(format!("{pid}\n").as_bytes())?)
}
