//! One client and a running server.

use std::any::Any;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{client, is_sequoia};
use crate::Result;
use crate::contender::Speaks;
use crate::service::{Service, end, micros};
use crate::turns::Plan;

/// From a running client to a running server, until its first answer.
pub async fn join(mut plan: Plan) -> Result<()> {
    let (mut all, _servers) = plan.served(Speaks::Rpc).await?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            let (took, connection) = one.service.time().await?;
            one.add(plan.row, "µs", took);
            end(connection).await;
        }
    }
    Ok(())
}

/// The same with client and servers on one core, which the servers inherit.
pub async fn pinned(plan: Plan) -> Result<()> {
    let all = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|core| all.is_set(*core)).ok_or("no core")?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one)?;
    let measured = join(plan).await;
    sched_setaffinity(None, &all)?;
    measured
}

/// The part of a join without the RPC: until the server counts this client, or as far as the contender's client waits.
pub async fn welcome(plan: Plan) -> Result<()> {
    timed(plan, Speaks::Rpc, async |service| service.connect().await).await
}

/// A join without Cap'n Proto: sends a byte, and receives it back.
pub async fn stream(plan: Plan) -> Result<()> {
    timed(plan.without(is_sequoia), Speaks::Bytes, async |service| service.byte().await).await
}

/// The same by a client that blocks its thread, beside the standard library's sockets.
pub async fn blocking(plan: Plan) -> Result<()> {
    timed(plan.without(is_sequoia), Speaks::Bytes, async |service| service.byte_blocking()).await
}

/// Measures how long a client takes for this, beside running servers.
async fn timed(mut plan: Plan, speaks: Speaks, what: impl AsyncFn(&Service) -> Result<Box<dyn Any>>) -> Result<()> {
    let (mut all, _servers) = plan.served(speaks).await?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            let began = Instant::now();
            let connection = what(&one.service).await?;
            one.add(plan.row, "µs", micros(began));
            end(connection).await;
        }
    }
    Ok(())
}

/// A join from a new process, its start included.
pub async fn fresh(mut plan: Plan) -> Result<()> {
    let (mut all, _servers) = plan.served(Speaks::Rpc).await?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            let began = Instant::now();
            let mut client = client(one.service.contender, one.home.path())?.stdout(Stdio::piped()).spawn()?;
            let mut pid = String::new();
            BufReader::new(client.stdout.as_mut().ok_or("no output")?).read_line(&mut pid)?;
            one.add(plan.row, "µs", micros(began));
            if pid.is_empty() || !client.wait()?.success() {
                return Err(format!("a client of {} failed", one.service.contender).into());
            }
        }
    }
    Ok(())
}

/// One process that connects and disconnects without a pause: of each burst the median, the late ones, and the last.
pub async fn connects(mut plan: Plan) -> Result<()> {
    const CONNECTS: usize = 2000;
    let mut all = plan.measured()?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            one.clear_home()?;
            let _server = one.service.start().await?;
            let mut burst = Vec::new();
            for _ in 0..CONNECTS {
                let began = Instant::now();
                drop(one.service.connect().await?);
                burst.push(micros(began));
            }
            burst.sort_by(f64::total_cmp);
            one.add("connects", "µs", burst[CONNECTS / 2]);
            one.add("connects-late", "µs", burst[CONNECTS - CONNECTS / 1000]);
            one.add("connects-longest", "µs", burst[CONNECTS - 1]);
        }
    }
    Ok(())
}
