//! How many clients a server admits in a second. Several threads connect, each one connection after the other, which
//! ends when it is welcomed. The clients compute no more than the handshake needs.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::handshake::{Hello, Intent, Party, SERVER_PROOF, WELCOME};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::Record;

use super::Plan;
use crate::contender::{Contender, Socket, Speaks};
use crate::floor::{Blocking, tcp};
use crate::{Result, floor, ours};

const THREADS: usize = 4;
const CONNECTIONS: usize = 500;

pub async fn per_second(mut plan: Plan) -> Result<()> {
    let (mut all, _servers) = plan.served(Speaks::Rpc).await?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            let client = Client::of(one.service.contender, one.home.path())?;
            let began = Instant::now();
            thread::scope(|scope| {
                let connect = || (0..CONNECTIONS).try_for_each(|_| client.connect().map_err(|error| error.to_string()));
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(connect)).collect();
                threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_string())?)
            })?;
            one.add(plan.row, "per second", (THREADS * CONNECTIONS) as f64 / began.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

/// What a client reads before it connects.
enum Client {
    /// The path of its point, and the record.
    Ours(PathBuf, Record),
    Floor(Socket, String),
    Sequoia {
        address: String,
        cookie: Vec<u8>,
    },
}

impl Client {
    fn of(contender: Contender, home: &Path) -> Result<Self> {
        Ok(match contender {
            Contender::Ours(_) => Client::Ours(home.join(contender.name()), ours::record(contender, home)?),
            Contender::Floor(socket) => Client::Floor(socket, floor::address(home)?),
            Contender::Sequoia => {
                let mut cookie = fs::read(home.join(peer::POINT))?;
                let address = String::from_utf8(cookie.split_off(32))?;
                Client::Sequoia { address, cookie }
            }
        })
    }

    fn connect(&self) -> Result<()> {
        match self {
            Client::Ours(point, record) => {
                let mut stream: Box<dyn Blocking> = match record.address {
                    Address::Tcp(address) => Box::new(tcp(address.socket_addr())?),
                    Address::Unix(name) => Box::new(UnixStream::connect(format!("{}.{name}.sock", point.display()))?),
                };
                let home = point.parent().ok_or("no home")?;
                let (system, inode) = (rustix::fs::statvfs(home)?.f_fsid, fs::metadata(home)?.ino());
                let name = point.file_name().ok_or("no name")?;
                let party = Party::at(Identity::of(system, inode, name.as_bytes()));
                let hello = Hello::new(Intent::Connect, party, Random::drawn([1; 32]));
                stream.write_all(&hello.to_bytes())?;
                let mut proof = [0; SERVER_PROOF];
                stream.read_exact(&mut proof)?;
                let agreed = hello.judge(record, &proof).map_err(|rejected| format!("{rejected:?}"))?;
                stream.write_all(&agreed.proof(record))?;
                stream.read_exact(&mut [0; WELCOME])?;
            }
            Client::Floor(socket, address) => drop(floor::connect_blocking(*socket, address)?),
            Client::Sequoia { address, cookie } => {
                let mut stream = tcp(address)?;
                stream.write_all(cookie)?;
                // The server sends nothing by itself, but it closes the stream after we close our side.
                stream.shutdown(Shutdown::Write)?;
                stream.read_to_end(&mut Vec::new())?;
            }
        }
        Ok(())
    }
}
