//! A counter that outlives its clients: client and server in one program.
//!
//! ```text
//! cargo run -p quickstart                     count, starting the server if there is none
//! cargo run -p quickstart -- --home DIR       the same in another directory
//! cargo run -p quickstart -- status           print the server's status, start nothing
//! cargo run -p quickstart -- stop             retire the server, and wait for its end
//! cargo run -p quickstart -- serve            serve in the foreground
//! ```
//!
//! In the published package, which has no workspace, use `cargo run --example quickstart`.

use std::cell::Cell;
use std::rc::Rc;

use rendezvous_ipc::{Context, Descriptor, Error, Peer};

#[rustfmt::skip]
#[path = "counter/counter_capnp.rs"]
#[allow(clippy::all, dead_code, unreachable_pub, missing_docs)]
mod counter_capnp;
use counter_capnp::counter;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = service()?;
    match command().as_deref() {
        Some("serve") => service.serve().await,
        Some("status") => {
            println!("{}", service.inspect().await?);
            Ok(())
        }
        Some("stop") => {
            println!("{}", service.retire().await?);
            Ok(())
        }
        _ => {
            let connection = service.connect().await?;
            let outcome = connection.outcome().to_string();
            println!("{outcome}, counter {}", connection.run(increment).await??);
            Ok(())
        }
    }
}

/// Describes the service: where it lives, how its server is started, and what the server does.
fn service() -> Result<Descriptor, Error> {
    let context = Context::from_args("org.example.counter")?;
    if context.is_spawned() {
        rendezvous_ipc::log_to_stderr(); // standard error is the log beside the point
    }
    let service = Descriptor::new(&context, "counter")?.this_program(["serve"]);
    // A start that takes long, a drain, or a server that does not answer: one line for each.
    let service = service.on_wait(|waiting| eprintln!("{waiting}"));
    Ok(service.handler(async |_server| {
        let count = Rc::new(Cell::new(0));
        Ok(move |_: &Peer| -> counter::Client { capnp_rpc::new_client(Counter(count.clone())) })
    }))
}

/// Returns the first argument that is a command of this program. The other arguments belong to the library.
fn command() -> Option<String> {
    let mut args = std::env::args_os().skip(1).filter_map(|arg| arg.into_string().ok());
    args.find(|arg| ["serve", "status", "stop"].contains(&arg.as_str()))
}

async fn increment(counter: counter::Client) -> Result<u64, capnp::Error> {
    let response = counter.increment_request().send().promise.await?;
    Ok(response.get()?.get_count())
}

struct Counter(Rc<Cell<u64>>);

impl counter::Server for Counter {
    async fn increment(
        self: Rc<Self>,
        _: counter::IncrementParams,
        mut results: counter::IncrementResults,
    ) -> Result<(), capnp::Error> {
        self.0.set(self.0.get() + 1);
        results.get().set_count(self.0.get());
        Ok(())
    }
}
