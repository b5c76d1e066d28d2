//! Many clients at once, each a process, where nobody serves yet.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Plan, client};
use crate::Result;
use crate::sample::{self, micros};
use crate::server::Server;

/// From the moment when all may connect, until the last of them had its answer and held its connection for so long.
pub async fn come(row: &str, plan: Plan, clients: usize, hold: Duration) -> Result<()> {
    let mut all = plan.measured()?;
    for _ in 0..plan.rounds {
        for one in &mut all {
            one.again()?;
            let contender = one.service.contender;
            let by_hand = one.service.by_hand()?;
            let (start, gate) = std::io::pipe()?;
            let (said, says) = std::io::pipe()?;
            let mut herd = Vec::new();
            for _ in 0..clients {
                let mut client = client(contender, one.home.path())?;
                client.arg(hold.as_millis().to_string()).stdin(start.try_clone()?).stdout(says.try_clone()?);
                herd.push(client.stderr(Stdio::null()).spawn()?);
            }
            drop((start, says));
            // All of them are waiting, or will be without delay.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let began = Instant::now();
            drop(gate);
            let mut served = Vec::new();
            for line in BufReader::new(said).lines().take(clients) {
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
