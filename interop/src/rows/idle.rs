//! Servers with nothing to do.

use std::os::unix::fs::symlink;
use std::time::Duration;

use tokio::time::sleep;

use super::is_sequoia;
use crate::Result;
use crate::contender::Contender;
use crate::server::Server;
use crate::service::Service;
use crate::turns::{Plan, print};

/// What each idle client costs a server.
pub async fn client(plan: Plan) -> Result<()> {
    const CLIENTS: u16 = 400;
    // A server of `sequoia-ipc` serves one client at a time.
    let mut plan = plan.without(is_sequoia);
    let mut all = plan.measured()?;
    while plan.goes_on(&mut all)? {
        for one in &mut all {
            one.clear_home()?;
            let server = one.service.start().await?;
            let (memory, open) = (server.memory()?, server.descriptors()?);
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                clients.push(one.service.ask().await?);
            }
            one.add(plan.row, "KiB", (server.memory()? - memory) / f64::from(CLIENTS));
            one.add("idle-descriptors", "", (server.descriptors()? - open) / f64::from(CLIENTS));
        }
    }
    Ok(())
}

/// How often idle servers wake up. Several of each contender are watched at the same time.
///
/// In *plain* the home is reached through a symbolic link, which may come to lead elsewhere. So reports of changes do
/// not suffice to our servers, and they check their files as often as without.
pub async fn wake_ups(mut plan: Plan) -> Result<()> {
    const EACH: usize = 6;
    let seconds = if plan.rounds.is_some() { 1 } else { 60 };
    plan.contenders = plan.contenders.repeat(EACH);
    let mut all: Vec<_> = plan.measured()?.into_iter().map(|one| ("wake-ups", one)).collect();
    for mut one in plan.clone().without(|contender| !matches!(contender, Contender::Ours(_))).measured()? {
        let link = one.home.path().join("link");
        symlink(".", &link)?;
        one.service = Service::at(one.service.contender, &link)?;
        all.push(("wake-ups-plain", one));
    }
    let mut servers = Vec::new();
    for (_, one) in &all {
        servers.push(one.service.start().await?);
    }
    // Let the work of the start end.
    sleep(Duration::from_secs(1)).await;
    let before: Vec<f64> = servers.iter().map(Server::waits).collect::<Result<_>>()?;
    sleep(Duration::from_secs(seconds)).await;
    for (((row, one), server), before) in all.iter_mut().zip(&servers).zip(before) {
        one.add(row, "per minute", (server.waits()? - before) * 60.0 / seconds as f64);
    }
    let mut all: Vec<_> = all.into_iter().map(|(_, one)| one).collect();
    print(&mut all);
    Ok(())
}
