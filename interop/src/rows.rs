//! The measurements.

mod accepts;
mod counts;
mod damage;
mod flood;
mod herd;
mod idle;
mod joins;
mod starts;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::time::Duration;

use rustix::process::{getpid, set_child_subreaper};

pub use self::counts::repeat;
pub use self::flood::flood;
use crate::Result;
use crate::contender::Contender;
use crate::turns::Plan;

/// A measurement: its name and its function.
struct Row(&'static str, fn(Plan) -> Measuring);

type Measuring = Pin<Box<dyn Future<Output = Result<()>>>>;

const ROWS: &[Row] = &[
    Row("join", |plan| Box::pin(joins::join(plan))),
    Row("join-pinned", |plan| Box::pin(joins::pinned(plan))),
    Row("welcome", |plan| Box::pin(joins::welcome(plan))),
    Row("stream", |plan| Box::pin(joins::stream(plan))),
    Row("blocking", |plan| Box::pin(joins::blocking(plan))),
    Row("fresh", |plan| Box::pin(joins::fresh(plan))),
    Row("cold", |plan| Box::pin(starts::cold(plan))),
    Row("recovery", |plan| Box::pin(starts::recovery(plan))),
    Row("internal", |plan| Box::pin(starts::internal(plan))),
    Row("herd-50", |plan| Box::pin(herd::cold(plan, 50, Duration::from_millis(20)))),
    Row("herd-400", |plan| Box::pin(herd::cold(plan.without(is_sequoia), 400, Duration::ZERO))),
    Row("herd-400-live", |plan| Box::pin(herd::live(plan.without(is_sequoia), 400))),
    Row("joins-1", |plan| Box::pin(herd::per_second(plan, 1))),
    Row("joins-2", |plan| Box::pin(herd::per_second(plan, 2))),
    Row("joins-8", |plan| Box::pin(herd::per_second(plan, 8))),
    Row("joins-32", |plan| Box::pin(herd::per_second(plan, 32))),
    Row("connects", |plan| Box::pin(joins::connects(plan))),
    Row("accepts", |plan| Box::pin(accepts::per_second(plan))),
    Row("flood", |plan| Box::pin(flood::measure(plan))),
    Row("restore", |plan| Box::pin(damage::restore(plan))),
    Row("idle-client", |plan| Box::pin(idle::client(plan))),
    Row("wake-ups", |plan| Box::pin(idle::wake_ups(plan))),
    Row("counts", |plan| Box::pin(counts::measure(plan))),
];

/// Measures these rows, or all, and prints the numbers. A row that fails does not keep the others from being measured.
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
    // Servers whose starter has ended become children of this process, so their CPU time is counted as ours.
    set_child_subreaper(Some(getpid()))?;
    for Row(name, measure) in ROWS.iter().filter(|Row(name, _)| names.is_empty() || names.contains(name)) {
        match measure(Plan::new(name, rounds, contenders.clone())).await {
            Ok(()) => println!(".\t{name}"),
            Err(error) => {
                eprintln!("{name}: {error}");
                println!("!\t{name}");
            }
        }
    }
    Ok(())
}

/// A client process of one call.
fn client(contender: Contender, home: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["ask", contender.name()]).arg(home);
    Ok(command)
}

fn is_sequoia(contender: &Contender) -> bool {
    *contender == Contender::Sequoia
}
