//! `rendezvous-ipc` as its users use it.

use std::path::Path;
use std::rc::Rc;

use rendezvous_ipc::{Connection, Context, Descriptor, Peer, Rpc, Transport};

use crate::Result;
use crate::contender::{Contender, Socket};
use crate::process_capnp::process;

/// The service, for a client in this home, or for a server in the home that the command line names.
pub fn descriptor(socket: Socket, home: Option<&Path>) -> Result<Descriptor> {
    let context = match home {
        Some(home) => Context::new("bench")?.with_home(home),
        None => Context::from_args("bench")?,
    };
    let handler = async |_server| Ok(|_: &Peer| -> process::Client { capnp_rpc::new_client(Pid) });
    let name = Contender::Ours(socket).name();
    let transport = match socket {
        Socket::Unix => Transport::Unix,
        Socket::Tcp => Transport::Tcp,
    };
    let args = ["serve".as_ref(), name.as_ref(), "--home".as_ref(), context.home().as_os_str()];
    Ok(Descriptor::new(&context, name)?.transport(transport).this_program(args).handler(handler))
}

pub async fn serve(socket: Socket) -> Result<()> {
    Ok(descriptor(socket, None)?.serve().await?)
}

pub async fn ask(connection: Connection) -> Result<(u32, Rpc<process::Client>)> {
    let client = connection.bootstrap::<process::Client>();
    let response = client.pid_request().send().promise.await?;
    let pid = response.get()?.get_pid();
    Ok((pid, client))
}

pub struct Pid;

impl process::Server for Pid {
    async fn pid(self: Rc<Self>, _: process::PidParams, mut results: process::PidResults) -> Result<(), capnp::Error> {
        results.get().set_pid(std::process::id());
        Ok(())
    }
}
