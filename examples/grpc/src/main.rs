//! A greeter with a gRPC interface, by tonic.
//!
//! ```text
//! cargo run -p example-grpc -- NAME       greet, starting the server if there is none
//! cargo run -p example-grpc -- restart    greet, stop the server while the channel is open, greet by the next server
//! cargo run -p example-grpc -- stop       retire the server
//! ```
//!
//! With `--home DIR` the service is in another directory.

use std::error::Error;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hyper_util::rt::TokioIo;
use rendezvous_ipc::{Context, Descriptor, Incoming, Peer, Stream};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};
use tower::service_fn;

// Includes what build.rs has made of `greeter.proto`.
tonic::include_proto!("greeter");
use greeter_client::GreeterClient;
use greeter_server::GreeterServer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = Descriptor::new(&Context::from_args("org.example.grpc")?, "grpc")?.this_program(["serve"]);
    let command = std::env::args_os().nth(1).and_then(|arg| arg.into_string().ok()).unwrap_or_default();
    match command.as_str() {
        "serve" => serve(&service).await?,
        "stop" => println!("{}", service.retire().await?),
        "restart" => {
            let mut greeter = GreeterClient::new(channel(&service).await?);
            greet(&mut greeter, "one").await?;
            let began = Instant::now();
            println!("{} after {} ms", service.retire().await?, began.elapsed().as_millis());
            greet(&mut greeter, "two").await?;
        }
        name => greet(&mut GreeterClient::new(channel(&service).await?), name).await?,
    }
    Ok(())
}

async fn serve(service: &Descriptor) -> Result<(), Box<dyn Error>> {
    let listener = service.bind().await?;
    let server = listener.server().clone();
    let (incoming, ending) = listener.split();
    let app = Routes::new(GreeterServer::new(Greeter::default())).prepare().into_axum_router();
    // Once the server retires, axum ends idle connections at once, and others after their last answer.
    let retiring = async move { _ = server.retiring().await };
    axum::serve(Clients(incoming), app).with_graceful_shutdown(retiring).await?;
    Ok(ending.drained().await?)
}

#[derive(Default)]
struct Greeter(AtomicU64);

#[tonic::async_trait]
impl greeter_server::Greeter for Greeter {
    async fn greet(&self, request: tonic::Request<Request>) -> Result<Response<Reply>, Status> {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Response::new(Reply { text: format!("hello {}", request.get_ref().name), count }))
    }
}

/// The glue of the server: where axum gets its connections.
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

/// The glue of the client: a channel that connects, and connects again, by the descriptor. Its address is not used.
async fn channel(service: &Descriptor) -> Result<Channel, Box<dyn Error>> {
    let service = service.clone();
    let connect = service_fn(move |_| {
        let service = service.clone();
        async move { service.connect().await.map(|connection| TokioIo::new(connection.into_stream())) }
    });
    Ok(Endpoint::from_static("http://greeter").connect_with_connector(connect).await?)
}

async fn greet(greeter: &mut GreeterClient<Channel>, name: &str) -> Result<(), Status> {
    let request = Request { name: name.into() };
    let reply = match greeter.greet(request.clone()).await {
        // The server has ended the connection just now. A greeting may be sent twice.
        Err(status) if status.code() == Code::Unavailable => greeter.greet(request).await,
        reply => reply,
    };
    let Reply { text, count } = reply?.into_inner();
    println!("{text}, {count}");
    Ok(())
}
