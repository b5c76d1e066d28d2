use rendezvous_ipc::{Context, Descriptor, Peer};

#[allow(clippy::all, dead_code)]
#[path = "../../examples/counter/counter_capnp.rs"]
mod counter_capnp;
use counter_capnp::counter;

struct Counter;

impl counter::Server for Counter {
    async fn increment(
        self: std::rc::Rc<Self>,
        _: counter::IncrementParams,
        mut results: counter::IncrementResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_count(1);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = Descriptor::new(&Context::at("home"), "service")?
        .handler(async |_| Ok(|_: &Peer| -> counter::Client { capnp_rpc::new_client(Counter) }));
    rendezvous_ipc::log_to_stderr();
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(service.serve())?)
}
