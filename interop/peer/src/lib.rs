//! The published `sequoia-ipc` as its users use it, with a service of one call.

use std::path::Path;
use std::rc::Rc;

use anyhow::Result;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
pub use sequoia_ipc::{Context, Descriptor, IPCPolicy};
use sequoia_ipc::{Handler, Server};
use tokio::net::tcp::OwnedReadHalf;
use tokio_util::compat::Compat;

use self::process_capnp::process;

#[allow(clippy::all)]
mod process_capnp {
    include!(concat!(env!("OUT_DIR"), "/process_capnp.rs"));
}

/// The point's name in its home.
pub const POINT: &str = "peer.cookie";

/// The service of a home, served by this program.
pub fn descriptor(home: &Path, program: &Path, policy: IPCPolicy) -> Result<Descriptor> {
    Ok(in_context(&Context::configure().home(home).ipc_policy(policy).build()?, program))
}

/// The same, in an existing context.
pub fn in_context(context: &Context, program: &Path) -> Descriptor {
    Descriptor::new(context, context.home().join(POINT), program.to_owned(), handler)
}

/// Turns this process into the server of a home. Its standard input must be the listener.
pub fn serve(descriptor: Descriptor) -> Result<()> {
    Server::new(descriptor)?.serve()
}

/// Connects, and asks the server for its number. It must be called in a local task set. Dropping the value disconnects.
pub async fn ask(descriptor: &Descriptor) -> Result<(u32, Connection)> {
    let mut rpc = descriptor.connect()?;
    let client: process::Client = rpc.bootstrap(Side::Server);
    let connection = Connection(tokio::task::spawn_local(rpc));
    let response = client.pid_request().send().promise.await?;
    Ok((response.get()?.get_pid(), connection))
}

/// A connection. Dropping it ends it.
pub struct Connection(tokio::task::JoinHandle<std::result::Result<(), capnp::Error>>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn handler(_: Descriptor, _: &tokio::task::LocalSet) -> Result<Box<dyn Handler>> {
    Ok(Box::new(Service(capnp_rpc::new_client(Pid))))
}

struct Service(process::Client);

impl Handler for Service {
    fn handle(&self, network: VatNetwork<Compat<OwnedReadHalf>>) -> RpcSystem<Side> {
        RpcSystem::new(Box::new(network), Some(self.0.clone().client))
    }
}

struct Pid;

impl process::Server for Pid {
    async fn pid(self: Rc<Self>, _: process::PidParams, mut results: process::PidResults) -> Result<(), capnp::Error> {
        results.get().set_pid(std::process::id());
        Ok(())
    }
}
