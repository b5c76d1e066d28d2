//! Many clients at once, each a process, without a server.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Plan, client};
use crate::Result;
use crate::sample::{self, micros};
use crate::server::Server;

/// The time from when all clients may connect until the last one had its answer and has held its connection.
pub async fn measure(row: &str, plan: Plan, clients: usize, hold: Duration) -> Result<()> {
    let mut all = plan.measured()?;
    for _ in 0..plan.rounds {
        for one in &mut all {
            one.clear_home()?;
            let contender = one.service.contender;
            let by_hand = one.service.by_hand()?;
            let (start, gate) = std::io::pipe()?;
            let (output, stdout) = std::io::pipe()?;
            let mut herd = Vec::new();
            for _ in 0..clients {
                let mut client = client(contender, one.home.path())?;
                client.arg(hold.as_millis().to_string()).stdin(start.try_clone()?).stdout(stdout.try_clone()?);
                herd.push(client.stderr(Stdio::null()).spawn()?);
            }
            drop((start, stdout));
            // All clients wait by now, or will at once.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let began = Instant::now();
            drop(gate);
            let mut served = Vec::new();
            for line in BufReader::new(output).lines().take(clients) {
                served.push(line?.parse::<u32>()?);
            }
            one.samples.push(micros(began) / 1e3);
            for client in &mut herd {
                client.wait()?;
            }
            let lost = clients - served.len();
            if lost > 0 {
                sample::print(&format!("{row}-lost"), contender, "clients", vec![lost as f64]);
            }
            served.sort_unstable();
            served.dedup();
            if by_hand.is_none() {
                served.into_iter().try_for_each(|pid| Server::of(pid).map(drop))?;
            }
        }
    }
    all.into_iter().for_each(|one| one.print(row, "ms"));
    Ok(())
}
