//! A port that another process floods.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::handshake::HELLO;

use crate::contender::{Contender, Socket, Speaks};
use crate::service::{Service, end};
use crate::turns::Plan;
use crate::{Result, ours};

/// The joins in a row that are timed, of which the median is taken.
const JOINS: usize = 20;
/// The silent connections that are held.
const HELD: usize = 500;
/// The connections before the first join.
const FIRST: usize = 100;

/// A join over TCP while nobody disturbs, and how many times as long it takes beside each kind of flood.
pub async fn measure(plan: Plan) -> Result<()> {
    let mut plan = plan.without(|contender| *contender != Contender::Ours(Socket::Tcp));
    let (mut all, _servers) = plan.served(Speaks::Rpc).await?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            let Address::Tcp(address) = ours::record(one.service.contender, one.home.path())?.address else {
                return Err("not a port".into());
            };
            let alone = joins(&one.service).await?;
            one.add("flood-none", "µs", alone);
            for (row, way) in [("flood-silent", "silent"), ("flood-garbage", "garbage")] {
                let flood = Flood::begin(way, &address.socket_addr().to_string())?;
                let flooded = joins(&one.service).await?;
                drop(flood);
                one.add(row, "×", flooded / alone);
                // The server drops the connections of the flood.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    Ok(())
}

async fn joins(service: &Service) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..JOINS {
        let (micros, connection) = service.time().await?;
        took.push(micros);
        end(connection).await;
    }
    took.sort_by(f64::total_cmp);
    Ok(took[JOINS / 2])
}

/// The process that floods. Dropping it ends it.
struct Flood(Child);

impl Flood {
    fn begin(way: &str, address: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut flood = Flood(command.args(["flood", way, address]).stdout(Stdio::piped()).spawn()?);
        let mut begun = String::new();
        BufReader::new(flood.0.stdout.as_mut().ok_or("no output")?).read_line(&mut begun)?;
        if begun.is_empty() { Err("the flood does not begin".into()) } else { Ok(flood) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Floods a port without end: with connections that send nothing, or with garbage.
pub fn flood(way: &str, address: &str) -> Result<()> {
    let mut held = VecDeque::new();
    for number in 0_usize.. {
        // A server that is not fast enough refuses, or lets wait.
        if let Ok(mut stream) = TcpStream::connect(address) {
            if way == "garbage" {
                let _ = stream.write_all(&[0x2a; HELLO]);
                let _ = stream.read(&mut [0; 64]);
            } else {
                held.push_back(stream);
                if held.len() > HELD {
                    held.pop_front();
                }
            }
        }
        if number == FIRST {
            println!("floods");
        }
    }
    Ok(())
}
