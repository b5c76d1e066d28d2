//! Many clients at once, each a process.

use std::io::{BufRead, BufReader, PipeReader};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::client;
use crate::Result;
use crate::contender::Speaks;
use crate::server::Server;
use crate::service::micros;
use crate::turns::{Measured, Plan};

/// The most time for a herd: clients of ours that are not served give up sooner.
const LONG: Duration = Duration::from_secs(60);

/// Clients that find no server, and hold their connections for a time. By hand they find one: nothing starts it.
pub async fn cold(mut plan: Plan, clients: usize, hold: Duration) -> Result<()> {
    let mut all = plan.measured()?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            one.clear_home()?;
            let by_hand = one.service.by_hand()?;
            let (took, mut servers) = herd(one, plan.row, clients, 1, hold)?;
            one.add(plan.row, "ms", took / 1e3);
            servers.sort_unstable();
            servers.dedup();
            if by_hand.is_none() {
                servers.into_iter().try_for_each(|pid| Server::of(pid).map(drop))?;
            }
        }
    }
    Ok(())
}

/// Clients of a running server.
pub async fn live(mut plan: Plan, clients: usize) -> Result<()> {
    let (mut all, _servers) = plan.served(Speaks::Rpc).await?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            let (took, _) = herd(one, plan.row, clients, 1, Duration::ZERO)?;
            one.add(plan.row, "ms", took / 1e3);
        }
    }
    Ok(())
}

/// The joins a second of this many clients, each of which calls once in each connection.
pub async fn per_second(mut plan: Plan, clients: usize) -> Result<()> {
    const JOINS: usize = 1280;
    let (mut all, _servers) = plan.served(Speaks::Rpc).await?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            let (took, _) = herd(one, plan.row, clients, JOINS / clients, Duration::ZERO)?;
            one.add(plan.row, "per second", JOINS as f64 / took * 1e6);
        }
    }
    Ok(())
}

/// Returns the time in microseconds from when all clients may connect until the last one had its answers and has held
/// its connection, and the server of each. Fails, and kills the clients, if one still runs after a long time.
fn herd(
    one: &mut Measured,
    row: &'static str,
    clients: usize,
    times: usize,
    hold: Duration,
) -> Result<(f64, Vec<u32>)> {
    let (start, gate) = std::io::pipe()?;
    let (output, stdout) = std::io::pipe()?;
    let until = Instant::now() + LONG;
    let mut herd = Herd(Vec::new());
    for _ in 0..clients {
        let mut client = client(one.service.contender, one.home.path())?;
        client.args([times.to_string(), hold.as_millis().to_string()]);
        client.stdin(start.try_clone()?).stdout(stdout.try_clone()?);
        herd.0.push(client.stderr(Stdio::null()).spawn()?);
    }
    drop((start, stdout));
    let mut output = BufReader::new(output);
    for _ in 0..clients {
        if line(&mut output, until)?.as_deref() != Some("waiting\n") {
            return Err(format!("not all clients of {} could begin", one.service.contender).into());
        }
    }
    let began = Instant::now();
    drop(gate);
    let mut servers = Vec::new();
    while servers.len() < clients
        && let Some(server) = line(&mut output, until)?
    {
        servers.push(server.trim_end().parse::<u32>()?);
    }
    let took = micros(began);
    herd.wait(until)?;
    match row {
        "herd-400" => one.add("herd-400-lost", "clients", (clients - servers.len()) as f64),
        "herd-400-live" => one.add("herd-400-live-lost", "clients", (clients - servers.len()) as f64),
        _ if servers.len() == clients => {}
        _ => return Err(format!("not all clients of {} were served", one.service.contender).into()),
    }
    Ok((took, servers))
}

/// The clients. Dropping it kills those that still run.
struct Herd(Vec<Child>);

impl Herd {
    fn wait(&mut self, until: Instant) -> Result<()> {
        for client in &mut self.0 {
            let process = Pid::from_raw(i32::try_from(client.id())?).ok_or("no process")?;
            await_until(&pidfd_open(process, PidfdFlags::empty())?, until)?;
            client.wait()?;
        }
        Ok(())
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        for client in &mut self.0 {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

/// Reads a line; `None` is the end of the output. A client writes a line at once, so it is there with its first byte.
fn line(output: &mut BufReader<PipeReader>, until: Instant) -> Result<Option<String>> {
    if output.buffer().is_empty() {
        await_until(output.get_ref(), until)?;
    }
    let mut line = String::new();
    Ok((output.read_line(&mut line)? > 0).then_some(line))
}

/// Waits until a pipe has data or its end, or until a process has ended.
fn await_until(file: &impl AsFd, until: Instant) -> Result<()> {
    let left = until.saturating_duration_since(Instant::now()).try_into()?;
    match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&left))? {
        0 => Err(format!("clients still run after {} s", LONG.as_secs()).into()),
        _ => Ok(()),
    }
}
