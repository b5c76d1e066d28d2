// What the Cap'n Proto examples of the documentation share: a counter, and the service that counts.

mod counter_capnp {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/counter/counter_capnp.rs"));
}
use counter_capnp::counter;
use rendezvous_ipc::{Context, Descriptor, Peer, Policy};
use std::cell::Cell;
use std::rc::Rc;

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

/// Served in this process, in a home of its own.
fn service() -> Result<Descriptor, rendezvous_ipc::Error> {
    let context = Context::ephemeral("org.example.counter")?.with_policy(Policy::Internal);
    Ok(Descriptor::new(&context, "counter")?.handler(async |_server| {
        let count = Rc::new(Cell::new(0));
        Ok(move |_: &Peer| -> counter::Client { capnp_rpc::new_client(Counter(count.clone())) })
    }))
}
