//! A client that blocks its thread, and its server with a thread for each client. No line of it is async.
//!
//! ```text
//! cargo run -p example-blocking -- hello      send a line, starting the server if there is none
//! cargo run -p example-blocking -- status     say what is there
//! cargo run -p example-blocking -- stop       retire the server
//! ```
//!
//! With `--home DIR` the service is in another directory. The client alone needs the feature `blocking`, and then no
//! tokio is in its tree. The server needs `tokio`.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use rendezvous_ipc::{BlockingStream, Context, Descriptor, Peer};

fn main() -> Result<(), Box<dyn Error>> {
    let service = Descriptor::new(&Context::from_args("org.example.shout")?, "shout")?
        .this_program(["serve"])
        .on_wait(|waiting| eprintln!("{waiting}"))
        .thread_handler(|_server| Ok(session));
    let command = std::env::args_os().nth(1).and_then(|arg| arg.into_string().ok());
    match command.as_deref() {
        Some("serve") => service.serve_blocking()?,
        Some("status") => println!("{}", service.inspect_blocking()?),
        Some("stop") => println!("{}", service.retire_blocking()?),
        Some(line) => shout(&service, line)?,
        None => eprintln!("a line to send, status or stop"),
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
