//! What does not depend on the machine's load: system calls, context switches and allocations of one join and of one
//! cold start, on both sides. `perf` counts them, which has to run as root.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::Result;
use crate::contender::Contender;
use crate::service::{Service, end};
use crate::turns::{Measured, Plan, clear, print};

const ALLOCATES: [&str; 4] = ["malloc", "calloc", "realloc", "posix_memalign"];

/// The rows of a kind of event: of a join the client's and the server's, and of a cold start.
const EVENTS: [(&str, [&str; 2], [&str; 2]); 3] = [
    ("raw_syscalls:sys_enter", ["join-client-calls", "join-server-calls"], ["cold-client-calls", "cold-server-calls"]),
    (
        "sched:sched_switch",
        ["join-client-switches", "join-server-switches"],
        ["cold-client-switches", "cold-server-switches"],
    ),
    (
        "rendezvous_bench:",
        ["join-client-allocations", "join-server-allocations"],
        ["cold-client-allocations", "cold-server-allocations"],
    ),
];

/// Joins or starts in the longer of two runs. The shorter one has a single one, and is subtracted.
const TIMES: usize = 20;

pub async fn measure(plan: Plan) -> Result<()> {
    let Some(probes) = Probes::set() else {
        eprintln!("counts: not measured, since `perf` is not there or may not trace (run it as root)");
        return Ok(());
    };
    let mut all = plan.measured()?;
    for one in &mut all {
        let server = one.service.start().await?;
        let [short, long] = [1, 1 + TIMES].map(|times| probes.count(one, "join", times));
        drop(server);
        add(one, EVENTS.map(|(_, join, _)| join), short?, long?);
        one.clear_home()?;
        let [short, long] = [1, 1 + TIMES].map(|times| probes.count(one, "cold", times));
        add(one, EVENTS.map(|(.., cold)| cold), short?, long?);
    }
    print(&mut all);
    Ok(())
}

/// The events of client and server, by kind.
type Counts = [[f64; 2]; 3];

fn add(one: &mut Measured, rows: [[&'static str; 2]; 3], short: Counts, long: Counts) {
    for (rows, (short, long)) in rows.into_iter().zip(short.into_iter().zip(long)) {
        for (row, (short, long)) in rows.into_iter().zip(short.into_iter().zip(long)) {
            one.add(row, "", (long - short) / TIMES as f64);
        }
    }
}

/// The C library's functions that allocate, observed by the kernel until this is dropped.
struct Probes(PathBuf);

impl Probes {
    fn set() -> Option<Self> {
        let maps = fs::read_to_string("/proc/self/maps").ok()?;
        let libc =
            maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("/libc.so"))?;
        let probes = Probes(libc.into());
        let set = ALLOCATES.iter().all(|function| {
            let mut perf = Command::new("perf");
            perf.args(["probe", "--quiet", "--force", "-x"])
                .arg(&probes.0)
                .arg(format!("rendezvous_bench:{function}={function}"));
            perf.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        });
        set.then_some(probes)
    }

    /// Counts the events of a run of [`repeat`].
    fn count(&self, one: &Measured, what: &str, times: usize) -> Result<Counts> {
        let directory = tempdir()?;
        let recorded = directory.path().join("recorded");
        let mut perf = Command::new("perf");
        perf.args(["record", "--quiet", "-a", "-c", "1", "-m", "4096", "-o"]).arg(&recorded);
        let probes = ALLOCATES.map(|function| format!("rendezvous_bench:{function}"));
        for event in
            ["raw_syscalls:sys_enter", "sched:sched_switch"].into_iter().chain(probes.iter().map(String::as_str))
        {
            perf.args(["-e", event]);
        }
        perf.arg("--").arg(std::env::current_exe()?).args(["repeat", what, one.service.contender.name()]);
        let output = perf.arg(one.home.path()).arg(times.to_string()).stderr(Stdio::null()).output()?;
        let output = String::from_utf8(output.stdout)?;
        let mut pids = output.lines();
        let client = pids.next().ok_or("nothing was counted")?;
        let servers: BTreeSet<&str> = pids.collect();
        let mut perf = Command::new("perf");
        let events = perf.args(["script", "-F", "pid,event", "-i"]).arg(&recorded).stderr(Stdio::null()).output()?;
        let mut counts = Counts::default();
        for line in String::from_utf8_lossy(&events.stdout).lines() {
            let mut words = line.split_whitespace();
            let (Some(pid), Some(event)) = (words.next(), words.next()) else { continue };
            let Some(kind) = EVENTS.iter().position(|(kind, ..)| event.starts_with(kind)) else { continue };
            if pid == client {
                counts[kind][0] += 1.0;
            } else if servers.contains(pid) {
                counts[kind][1] += 1.0;
            }
        }
        Ok(counts)
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        let mut perf = Command::new("perf");
        let _ = perf.args(["probe", "--quiet", "-d", "rendezvous_bench:*"]).stderr(Stdio::null()).status();
    }
}

/// Joins a server, or starts one, some times, and prints the number of this process and those of the servers.
pub async fn repeat(what: &str, contender: &str, home: &Path, times: usize) -> Result<()> {
    // As in `rows::measure`.
    close_fds::set_fds_cloexec(3, &[]);
    println!("{}", std::process::id());
    let service = Service::at(Contender::named(contender)?, home)?;
    for _ in 0..times {
        if what == "join" {
            let (server, connection) = service.ask().await?;
            println!("{server}");
            end(connection).await;
        } else {
            clear(home)?;
            let (server, _connection) = service.ask_or_start().await?;
            println!("{}", server.pid);
        }
    }
    Ok(())
}
