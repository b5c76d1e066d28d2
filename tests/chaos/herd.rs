//! Hundreds of clients that connect to one point at once, whatever it holds, and a replacement while they work.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::time::{Duration, Instant};

use rendezvous_ipc::{Limits, testing};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::plan::Plan;
use crate::program::{self, ENOUGH, GATE};
use crate::round::{Round, State};

/// What the clients find at the point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finds {
    Nothing,
    DeadRecord,
    /// A live server, and a damaged point.
    DamagedRecord,
    /// A server that has just been asked to retire, with a client that stays connected.
    Retirement,
}

pub const ALL: [Finds; 4] = [Finds::Nothing, Finds::DeadRecord, Finds::DamagedRecord, Finds::Retirement];

/// Connects many clients at once, and checks that one server serves all of them. Returns how long that took.
pub fn herd(clients: usize, finds: Finds) -> Result<Duration, String> {
    let mut round = Round::new(Plan::empty());
    let took = run(&mut round, clients, finds);
    round.finish(took)
}

fn run(round: &mut Round, clients: usize, finds: Finds) -> Result<Duration, String> {
    let before = match finds {
        Finds::Nothing => None,
        Finds::DeadRecord => {
            let service = program::service(&program::context(&round.home()), &[]);
            testing::leave_dead_record(&service).map_err(|error| error.to_string())?;
            None
        }
        Finds::DamagedRecord | Finds::Retirement => Some(stays(round)?),
    };
    mknodat(CWD, round.path().join(GATE), FileType::Fifo, Mode::RWXU, 0).map_err(|error| error.to_string())?;
    let herd: Vec<u32> = (0..clients).map(|number| round.start("@client", &by_turns(number, "waits"), &[])).collect();
    round.eventually("all clients wait", |round| {
        (herd.iter().all(|client| round.has_received(&format!("{client} waits")))).then_some(())
    })?;
    match finds {
        Finds::DamagedRecord => {
            fs::write(round.point(), b"rendezvous with no server").map_err(|error| error.to_string())?
        }
        Finds::Retirement => {
            let (client, old) = before.expect("there is a server");
            round.start("@retire", &arguments(&[]), &[]);
            let drains = format!("{old} Serve Drain");
            round.eventually("the server drains", |round| round.has_received(&drains).then_some(()))?;
            // The client leaves a moment later, so the other clients wait for the old server.
            round.release(client);
        }
        Finds::Nothing | Finds::DeadRecord => {}
    }
    let begun = Instant::now();
    let gate = OpenOptions::new().write(true).open(round.path().join(GATE)).map_err(|error| error.to_string())?;
    let mut servers = BTreeMap::new();
    for client in &herd {
        round.await_state(*client, |state| *state == State::Ended)?;
        let server = round.served.get(client).copied().ok_or(format!("{client} is served by no server"))?;
        *servers.entry(server).or_insert(0) += 1;
    }
    drop(gate);
    let took = begun.elapsed();
    let one = servers.len() == 1;
    let joined = before.is_none_or(|(_, server)| (finds == Finds::DamagedRecord) == servers.contains_key(&server));
    match one && joined {
        true => Ok(took),
        false => Err(format!("expected one server, got {servers:?}; the client and server before: {before:?}")),
    }
}

/// Has a newer client connect while many clients of an old version work. Returns how long the old server drained.
pub fn replacement(clients: usize) -> Result<Duration, String> {
    let mut round = Round::new(Plan::empty());
    let took = replace(&mut round, clients);
    round.finish(took)
}

fn replace(round: &mut Round, clients: usize) -> Result<Duration, String> {
    let herd: Vec<u32> = (0..clients).map(|number| round.start("@client", &by_turns(number, "works"), &[])).collect();
    for client in &herd {
        round.await_state(*client, |state| matches!(state, State::Connected { .. }))?;
    }
    let old = round.served[&herd[0]];
    let newer = round.start("@client", &newer(), &[]);
    let drains = format!("{old} Serve Drain");
    round.eventually("the old server drains", |round| round.has_received(&drains).then_some(()))?;
    let begun = Instant::now();
    // The new server serves all clients from here on. The old one answers its own until they stop asking.
    let late = round.start("@client", &arguments(&[]), &[]);
    File::create(round.path().join(ENOUGH)).map_err(|error| error.to_string())?;
    for client in &herd {
        round.await_state(*client, |state| *state == State::Ended)?;
    }
    let ends = format!("{old} end");
    round.eventually("the old handler ends", |round| round.has_received(&ends).then_some(()))?;
    let drained = begun.elapsed();
    for client in [newer, late] {
        round.await_state(client, |state| *state == State::Ended)?;
        if round.served.get(&client).is_none_or(|server| *server == old) {
            return Err(format!(
                "{client} connected after the replacement, and its server is {:?}",
                round.served.get(&client)
            ));
        }
    }
    let served = herd.iter().filter(|client| round.served.get(client) == Some(&old)).count();
    let done = herd.iter().filter(|client| round.has_received(&format!("{client} asked {old}"))).count();
    if (served, done) != (clients, clients) || !round.lost.is_empty() {
        return Err(format!("of {clients} clients {served} were served, {done} to their end; lost: {:?}", round.lost));
    }
    match drained < Limits::default().drain {
        true => Ok(drained),
        false => Err(format!("the old server drained for {drained:?}")),
    }
}

/// Starts a client that stays connected. Returns it and its server.
fn stays(round: &mut Round) -> Result<(u32, u32), String> {
    let args = arguments(&["stays"]);
    let client = round.start("@client", &args, &[]);
    match round.await_state(client, |state| *state != State::Begun)? {
        State::Connected { server, .. } => Ok((client, server)),
        other => Err(format!("the first client: {other:?}")),
    }
}

fn arguments(words: &[&str]) -> Vec<String> {
    ["idle=20000", "version=7"].iter().chain(words).map(|word| (*word).to_owned()).collect()
}

/// Each second client blocks its thread, so that clients of both drivers meet.
fn by_turns(number: usize, word: &str) -> Vec<String> {
    arguments(&[word, "blocks"][..1 + number % 2])
}

fn newer() -> Vec<String> {
    ["idle=20000", "version=8"].map(String::from).to_vec()
}
