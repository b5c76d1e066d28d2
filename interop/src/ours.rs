//! `rendezvous-ipc` as its users use it.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::{Connection, Context, Descriptor, Peer, Rpc, Stream, Transport};

use crate::Result;
use crate::contender::{Contender, Socket, Speaks};
use crate::floor::echo;
use crate::process_capnp::process;

/// The service, for a client in this home, or for a server in the home that the command line names.
pub fn descriptor(socket: Socket, speaks: Speaks, home: Option<&Path>) -> Result<Descriptor> {
    let context = match home {
        Some(home) => Context::new("bench")?.with_home(home),
        None => Context::from_args("bench")?,
    };
    let name = Contender::Ours(socket).name();
    let transport = match socket {
        Socket::Unix => Transport::Unix,
        Socket::Tcp => Transport::Tcp,
    };
    let descriptor = Descriptor::new(&context, name)?.transport(transport);
    let mut args = vec!["serve".as_ref(), name.as_ref(), "--home".as_ref(), context.home().as_os_str()];
    Ok(match speaks {
        Speaks::Rpc => descriptor
            .this_program(args)
            .handler(async |_server| Ok(|_: &Peer| -> process::Client { capnp_rpc::new_client(Pid) })),
        Speaks::Bytes => {
            args.push("--bytes".as_ref());
            descriptor
                .this_program(args)
                .stream_handler(async |_server| Ok(async |_: Peer, stream: Stream| echo(stream).await))
        }
    })
}

pub async fn serve(socket: Socket, speaks: Speaks) -> Result<()> {
    Ok(descriptor(socket, speaks, None)?.serve().await?)
}

/// The record in the point of a home.
pub fn record(contender: Contender, home: &Path) -> Result<Record> {
    match Found::read(&fs::read(home.join(contender.name()))?) {
        Found::Record(record) => Ok(record),
        other => Err(format!("no record: {other:?}").into()),
    }
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
