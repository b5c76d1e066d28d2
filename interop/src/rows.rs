//! The measurements. Each takes its contenders in turn in every round, so that a disturbance of the machine affects all
//! of them alike.

mod accepts;
mod herd;

use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};

use crate::Result;
use crate::contender::Contender;
use crate::sample::{self, micros};
use crate::server::Server;
use crate::service::{Service, end};

/// A measurement: its name, its number of rounds, and its function.
struct Row(&'static str, usize, fn(&'static str, Plan) -> Measuring);

type Measuring = Pin<Box<dyn Future<Output = Result<()>>>>;

/// How many rounds, and which contenders.
#[derive(Clone)]
struct Plan {
    rounds: usize,
    contenders: Vec<Contender>,
}

const ROWS: &[Row] = &[
    Row("join", 2000, |row, plan| Box::pin(join(row, plan))),
    Row("welcome", 1000, |row, plan| Box::pin(welcome(row, plan))),
    Row("fresh", 200, |row, plan| Box::pin(fresh(row, plan))),
    Row("cold", 100, |row, plan| Box::pin(cold(row, plan))),
    Row("recovery", 100, |row, plan| Box::pin(recovery(row, plan))),
    Row("herd-50", 5, |row, plan| Box::pin(herd::measure(row, plan, 50, Duration::from_millis(100)))),
    Row("herd-400", 5, |row, plan| Box::pin(herd::measure(row, plan, 400, Duration::ZERO))),
    Row("connects", 3, |row, plan| Box::pin(connects(row, plan))),
    Row("accepts", 10, |row, plan| Box::pin(accepts::per_second(row, plan))),
    Row("idle-client", 3, |row, plan| Box::pin(idle_client(row, plan))),
    Row("wake-ups", 1, |row, plan| Box::pin(wake_ups(row, plan))),
    Row("internal", 50, |row, plan| Box::pin(internal(row, plan))),
];

/// Measures these rows, or all, and prints the results.
pub async fn measure(args: &[&str]) -> Result<()> {
    let mut args = args.iter();
    let (mut rounds, mut contenders, mut names) = (None, Contender::ALL.to_vec(), Vec::new());
    while let Some(arg) = args.next() {
        match *arg {
            "--rounds" => rounds = Some(args.next().ok_or("--rounds needs a number")?.parse()?),
            "--only" => contenders = vec![Contender::named(args.next().ok_or("--only needs a contender")?)?],
            name => names.push(name),
        }
    }
    if let Some(unknown) = names.iter().find(|name| ROWS.iter().all(|Row(row, ..)| row != *name)) {
        return Err(format!("no row is named {unknown}").into());
    }
    // With inherited descriptors, each of our servers would need one more exec to close them.
    close_fds::set_fds_cloexec(3, &[]);
    for Row(name, often, measure) in ROWS.iter().filter(|Row(name, ..)| names.is_empty() || names.contains(name)) {
        measure(name, Plan { rounds: rounds.unwrap_or(*often), contenders: contenders.clone() }).await?;
    }
    Ok(())
}

/// A contender's service, its home, and its measurements.
struct Measured {
    service: Service,
    home: TempDir,
    samples: Vec<f64>,
}

impl Plan {
    /// The same, each with a running server. Dropping the servers ends them.
    async fn served(&self) -> Result<(Vec<Measured>, Vec<Server>)> {
        let measured = self.measured()?;
        let mut servers = Vec::new();
        for one in &measured {
            servers.push(one.service.start().await?);
        }
        Ok((measured, servers))
    }

    /// Each contender, in a new home.
    fn measured(&self) -> Result<Vec<Measured>> {
        let measured = self.contenders.iter().map(|contender| {
            let home = tempdir()?;
            Ok(Measured { service: Service::at(*contender, home.path())?, home, samples: Vec::new() })
        });
        measured.collect()
    }
}

impl Measured {
    /// Removes the files of the last round. A new home would be slower: the file system would first look for a place
    /// for its files.
    fn clear_home(&self) -> Result<()> {
        for file in fs::read_dir(self.home.path())? {
            fs::remove_file(file?.path())?;
        }
        Ok(())
    }

    fn print(self, row: &str, unit: &str) {
        sample::print(row, self.service.contender, unit, self.samples);
    }
}

/// From a running client to a running server, until its first answer.
async fn join(row: &str, plan: Plan) -> Result<()> {
    let (mut all, _servers) = plan.served().await?;
    for _ in 0..plan.rounds {
        for one in &mut all {
            let (took, connection) = one.service.time().await?;
            one.samples.push(took);
            end(connection).await;
        }
    }
    all.into_iter().for_each(|one| one.print(row, "µs"));
    Ok(())
}

/// The part of that without the RPC: until the server counts this client, or as far as the contender's client waits.
async fn welcome(row: &str, plan: Plan) -> Result<()> {
    let (mut all, _servers) = plan.served().await?;
    for _ in 0..plan.rounds {
        for one in &mut all {
            let began = Instant::now();
            let connection = one.service.connect().await?;
            one.samples.push(micros(began));
            end(connection).await;
        }
    }
    all.into_iter().for_each(|one| one.print(row, "µs"));
    Ok(())
}

/// The same from a new process, its start included.
async fn fresh(row: &str, plan: Plan) -> Result<()> {
    let (mut all, _servers) = plan.served().await?;
    for _ in 0..plan.rounds {
        for one in &mut all {
            let began = Instant::now();
            let mut client = client(one.service.contender, one.home.path())?.stdout(Stdio::piped()).spawn()?;
            let mut pid = String::new();
            BufReader::new(client.stdout.as_mut().ok_or("no output")?).read_line(&mut pid)?;
            one.samples.push(micros(began));
            if pid.is_empty() || !client.wait()?.success() {
                return Err(format!("a client of {} failed", one.service.contender).into());
            }
        }
    }
    all.into_iter().for_each(|one| one.print(row, "µs"));
    Ok(())
}

/// A client process of one call.
fn client(contender: Contender, home: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["ask", contender.name()]).arg(home);
    Ok(command)
}

/// From no server, until the first answer of the server that is started.
async fn cold(row: &str, plan: Plan) -> Result<()> {
    let mut all = plan.measured()?;
    for _ in 0..plan.rounds {
        for one in &mut all {
            one.clear_home()?;
            let began = Instant::now();
            let _server = one.service.ask_or_start().await?;
            one.samples.push(micros(began));
        }
    }
    all.into_iter().for_each(|one| one.print(row, "µs"));
    Ok(())
}

/// From a killed server, until the first answer of its successor.
async fn recovery(row: &str, plan: Plan) -> Result<()> {
    let mut all = plan.measured()?;
    for _ in 0..plan.rounds {
        for one in &mut all {
            one.clear_home()?;
            drop(one.service.start().await?);
            let began = Instant::now();
            let _server = one.service.ask_or_start().await?;
            one.samples.push(micros(began));
        }
    }
    all.into_iter().for_each(|one| one.print(row, "µs"));
    Ok(())
}

/// One process that connects and disconnects without a pause.
async fn connects(row: &str, plan: Plan) -> Result<()> {
    const CONNECTS: usize = 2000;
    let mut all = plan.measured()?;
    for _ in 0..plan.rounds {
        for one in &mut all {
            one.clear_home()?;
            let _server = one.service.start().await?;
            for _ in 0..CONNECTS {
                let began = Instant::now();
                drop(one.service.connect().await?);
                one.samples.push(micros(began));
            }
        }
    }
    all.into_iter().for_each(|one| one.print(row, "µs"));
    Ok(())
}

/// What each idle client costs a server.
async fn idle_client(row: &str, plan: Plan) -> Result<()> {
    const CLIENTS: u16 = 400;
    let mut descriptors = Vec::new();
    // A server of `sequoia-ipc` serves one client at a time.
    let contenders: Vec<_> = plan.contenders.iter().copied().filter(|one| *one != Contender::Sequoia).collect();
    let mut all = Plan { contenders, ..plan }.measured()?;
    for _ in 0..plan.rounds {
        for one in &mut all {
            one.clear_home()?;
            let server = one.service.start().await?;
            let (memory, open) = (server.memory()?, server.descriptors()?);
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                clients.push(one.service.ask().await?);
            }
            one.samples.push((server.memory()? - memory) / f64::from(CLIENTS));
            descriptors.push((one.service.contender, (server.descriptors()? - open) / f64::from(CLIENTS)));
        }
    }
    for one in all {
        let of = descriptors.iter().filter(|(contender, _)| *contender == one.service.contender);
        sample::print("idle-descriptors", one.service.contender, "", of.map(|(_, open)| *open).collect());
        one.print(row, "KiB");
    }
    Ok(())
}

/// How often an idle server wakes up. All servers are watched at the same time.
async fn wake_ups(row: &str, plan: Plan) -> Result<()> {
    const WATCHED: Duration = Duration::from_secs(10);
    let (all, servers) = plan.served().await?;
    // Let the work of the start end.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before: Vec<f64> = servers.iter().map(Server::waits).collect::<Result<_>>()?;
    tokio::time::sleep(WATCHED).await;
    for ((mut one, server), before) in all.into_iter().zip(&servers).zip(before) {
        one.samples.push((server.waits()? - before) * 60.0 / WATCHED.as_secs_f64());
        one.print(row, "per minute");
    }
    Ok(())
}

/// A server in a thread of this process, from its start to its first answer.
async fn internal(row: &str, plan: Plan) -> Result<()> {
    let mut all = plan.measured()?;
    for _ in 0..plan.rounds {
        for one in &mut all {
            // A server of the same point would wait for the end of the previous one.
            one.home = tempdir()?;
            one.service = Service::at(one.service.contender, one.home.path())?;
            let began = Instant::now();
            let connection = one.service.ask_internal().await?;
            one.samples.push(micros(began));
            end(connection).await;
        }
    }
    all.into_iter().for_each(|one| one.print(row, "µs"));
    Ok(())
}
