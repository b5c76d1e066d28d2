use rendezvous_ipc::{Context, Descriptor};

#[allow(clippy::all, dead_code)]
#[path = "../../examples/counter/counter_capnp.rs"]
mod counter_capnp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = Descriptor::new(&Context::at("home"), "service")?.program("/usr/bin/server", ["serve"]);
    let count = async |client: counter_capnp::counter::Client| {
        let answer = client.increment_request().send().promise.await?;
        Ok::<_, capnp::Error>(answer.get()?.get_count())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{}", runtime.block_on(async { service.connect().await?.run(count).await })??);
    Ok(())
}
