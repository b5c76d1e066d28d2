//! Many clients at once, each a process.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::client;
use crate::Result;
use crate::contender::Speaks;
use crate::server::Server;
use crate::service::micros;
use crate::turns::{Measured, Plan};

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
/// its connection, and the server of each.
fn herd(
    one: &mut Measured,
    row: &'static str,
    clients: usize,
    times: usize,
    hold: Duration,
) -> Result<(f64, Vec<u32>)> {
    let (start, gate) = std::io::pipe()?;
    let (output, stdout) = std::io::pipe()?;
    let mut herd = Vec::new();
    for _ in 0..clients {
        let mut client = client(one.service.contender, one.home.path())?;
        client.args([times.to_string(), hold.as_millis().to_string()]);
        client.stdin(start.try_clone()?).stdout(stdout.try_clone()?);
        herd.push(client.stderr(Stdio::null()).spawn()?);
    }
    drop((start, stdout));
    let mut lines = BufReader::new(output).lines();
    if lines.by_ref().take(clients).filter(|line| line.as_ref().is_ok_and(|line| line == "waiting")).count() < clients {
        return Err(format!("not all clients of {} could begin", one.service.contender).into());
    }
    let began = Instant::now();
    drop(gate);
    let servers = lines.take(clients).map(|line| Ok(line?.parse::<u32>()?)).collect::<Result<Vec<_>>>()?;
    let took = micros(began);
    for client in &mut herd {
        client.wait()?;
    }
    match row {
        "herd-400" => one.add("herd-400-lost", "clients", (clients - servers.len()) as f64),
        "herd-400-live" => one.add("herd-400-live-lost", "clients", (clients - servers.len()) as f64),
        _ if servers.len() == clients => {}
        _ => return Err(format!("not all clients of {} were served", one.service.contender).into()),
    }
    Ok((took, servers))
}
