//! A service that computes on all cores, and answers others meanwhile.
//!
//! ```text
//! cargo run --release -p example-many-cores -- 50000000    count the primes below this number
//! cargo run --release -p example-many-cores -- stop        retire the server
//! ```
//!
//! With `--home DIR` the service is in another directory.

use std::error::Error;
use std::sync::{Arc, Weak};

use rayon::prelude::*;
use rendezvous_ipc::{Context, Descriptor, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main] // with a thread for each core
async fn main() -> Result<(), Box<dyn Error>> {
    let service = Descriptor::new(&Context::from_args("org.example.primes")?, "primes")?.this_program(["serve"]);
    let command = std::env::args_os().nth(1).and_then(|arg| arg.into_string().ok()).unwrap_or_default();
    match command.as_str() {
        "serve" => serve(&service).await?,
        "stop" => println!("{}", service.retire().await?),
        number => ask(&service, number.parse()?).await?,
    }
    Ok(())
}

async fn serve(service: &Descriptor) -> Result<(), Box<dyn Error>> {
    let mut listener = service.bind().await?;
    while let Some((peer, stream)) = listener.accept().await {
        tokio::spawn(async move {
            if let Err(error) = session(stream).await {
                eprintln!("client {}: {error}", peer.number);
            }
        });
    }
    Ok(listener.drained().await?)
}

/// Answers one request. It computes elsewhere, and waits for that here, where it would delay other sessions.
async fn session(mut stream: Stream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let below = stream.read_u64().await?;
    let asked = Arc::new(()); // dropped with this session
    let wanted = Arc::downgrade(&asked);
    let primes = tokio::task::spawn_blocking(move || primes(below, &wanted));
    tokio::select! {
        primes = primes => stream.write_u64(primes?.unwrap_or(0)).await?,
        _ = stream.read_u8() => {} // the client is gone, and with `asked` the reason to compute
    }
    Ok(())
}

/// Counts the primes below a number. Returns `None` once nobody wants the answer any more.
fn primes(below: u64, wanted: &Weak<()>) -> Option<u64> {
    let count = |number| (wanted.strong_count() > 0).then(|| u64::from(is_prime(number)));
    if below < 100_000 {
        return (2..below).map(count).sum(); // in rayon's pool it would wait for the long ones
    }
    (2..below).into_par_iter().map(count).sum()
}

fn is_prime(number: u64) -> bool {
    (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

async fn ask(service: &Descriptor, below: u64) -> Result<(), Box<dyn Error>> {
    let connection = service.connect().await?;
    println!("{}", connection.outcome());
    let mut stream = connection.into_stream();
    stream.write_u64(below).await?;
    println!("{} primes", stream.read_u64().await?);
    Ok(())
}
