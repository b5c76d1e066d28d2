//! A counter with an HTTP interface: axum serves it, hyper calls it.
//!
//! ```text
//! cargo run -p example-http               count, starting the server if there is none
//! cargo run -p example-http -- watch      count, and keep the idle connection until the server ends it
//! cargo run -p example-http -- stop       retire the server, and print how long that took
//! ```
//!
//! With `--home DIR` the service is in another directory.

use std::error::Error;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rendezvous_ipc::{Context, Descriptor, Incoming, Peer, Stream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = Descriptor::new(&Context::from_args("org.example.http")?, "http")?.this_program(["serve"]);
    let command = std::env::args_os().nth(1).and_then(|arg| arg.into_string().ok());
    match command.as_deref() {
        Some("serve") => serve(&service).await,
        Some("stop") => {
            let began = Instant::now();
            println!("{} after {} ms", service.retire().await?, began.elapsed().as_millis());
            Ok(())
        }
        Some("watch") => count(&service, true).await,
        _ => count(&service, false).await,
    }
}

async fn serve(service: &Descriptor) -> Result<(), Box<dyn Error>> {
    let listener = service.bind().await?;
    let server = listener.server().clone();
    let (incoming, ending) = listener.split();
    let app = Router::new().route("/count", post(increment)).with_state(Arc::default());
    // Once the server retires, axum ends idle connections at once, and others after their response.
    let retiring = async move { _ = server.retiring().await };
    axum::serve(Clients(incoming), app).with_graceful_shutdown(retiring).await?;
    Ok(ending.drained().await?)
}

async fn increment(State(count): State<Arc<AtomicU64>>) -> String {
    (count.fetch_add(1, Ordering::Relaxed) + 1).to_string()
}

/// The glue: where axum gets its connections.
struct Clients(Incoming);

impl axum::serve::Listener for Clients {
    type Io = Stream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Stream, Peer) {
        match self.0.accept().await {
            Some((peer, stream)) => (stream, peer),
            None => pending().await, // the server retires, which axum learns by `retiring`
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

async fn count(service: &Descriptor, watch: bool) -> Result<(), Box<dyn Error>> {
    let connection = service.connect().await?;
    let outcome = connection.outcome().to_string();
    let (mut http, driver) = http1::handshake(TokioIo::new(connection.into_stream())).await?;
    let driver = tokio::spawn(driver);
    let request = Request::post("/count").header("host", "localhost").body(String::new())?;
    let response = http.send_request(request).await?;
    let body = response.into_body().collect().await?.to_bytes();
    println!("{outcome}, counter {}", String::from_utf8_lossy(&body));
    if watch {
        driver.await??; // `http` is kept, and with it the connection
        println!("the server has ended the connection");
    }
    Ok(())
}
