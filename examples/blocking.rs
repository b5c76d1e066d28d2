//! A client that blocks its thread, and its server with a thread for each client. No line of it is async.
//!
//! ```sh
//! cargo run --example blocking -- hello world   # started an external server (no record): pid 4711
//! cargo run --example blocking -- stop
//! ```
//!
//! The client alone needs the feature `blocking`, and then no tokio is in its tree. The server needs `tokio`.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use rendezvous_ipc::{BlockingStream, Context, Descriptor, Peer};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let service = Descriptor::new(&Context::new("org.example.shout")?, "shout")?
        .this_program(["serve"])
        .on_wait(|waiting| eprintln!("{waiting}"))
        .thread_handler(|_server| Ok(session));
    match words.first().map(String::as_str) {
        Some("serve") => service.serve_blocking()?,
        Some("status") => println!("{}", service.inspect_blocking()?),
        Some("stop") => println!("{}", service.retire_blocking()?),
        _ => shout(&service, &words.join(" "))?,
    }
    Ok(())
}

/// The server's side of a connection.
fn session(_peer: Peer, stream: BlockingStream) -> std::io::Result<()> {
    for line in BufReader::new(&stream).lines() {
        writeln!(&stream, "{}!", line?.to_uppercase())?;
    }
    Ok(())
}

fn shout(service: &Descriptor, line: &str) -> Result<(), Box<dyn Error>> {
    let connection = service.connect_blocking()?;
    eprintln!("{}", connection.outcome());
    let stream = connection.into_stream();
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    writeln!(&stream, "{line}")?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    print!("{answer}");
    Ok(())
}
