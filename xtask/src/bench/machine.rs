//! Describes the machine of the measurements, without identifying it, and how much of it others used.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use super::Result;

/// The processor, its cores, the kernel, the compiler, the load before, and the priority of a process.
pub fn describe(pid: u32) -> Result<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processor = processor.map_or("an unknown processor", |(_, name)| name.trim());
    let cores = available_parallelism().map_or(0, usize::from);
    // The kernel's version, without the suffix of its builder.
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let rustc = String::from_utf8_lossy(&rustc);
    let rustc = rustc.split(' ').nth(1).unwrap_or_default();
    let hypervisor = if read("/proc/cpuinfo").contains(" hypervisor") { " of a virtual machine" } else { "" };
    let stat = stat(pid)?;
    let priority = priority(field(&stat, POLICY)?, field(&stat, NICE)?);
    Ok(format!(
        "{processor}, {cores} cores{hypervisor}; Linux {kernel}; Rust {rustc}; {priority}; load average {load} before"
    ))
}

/// Of the scheduling class and the nice value.
fn priority(policy: i64, nice: i64) -> String {
    match (policy, nice) {
        (0, 0) => "normal priority".into(),
        (0, nice) => format!("nice {nice}"),
        (1 | 2, _) => "real-time priority".into(),
        (policy, nice) => format!("scheduling policy {policy}, nice {nice}"),
    }
}

/// Ticks of the processors since the machine started.
#[derive(Clone, Copy)]
pub struct Ticks {
    all: i64,
    idle: i64,
    stolen: i64,
    /// Of this process and of the measuring one, with its children that have ended.
    ours: i64,
}

impl Ticks {
    pub fn now(measuring: u32) -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let cpu = stat.lines().next().ok_or("no line for the processors")?;
        let ticks = cpu.split_whitespace().skip(1).map(str::parse).collect::<std::result::Result<Vec<i64>, _>>()?;
        // What guests use is in the first two, too.
        let [user, nice, system, idle, iowait, irq, softirq, stolen, ..] = ticks[..] else {
            return Err("unknown times of the processors".into());
        };
        let (us, them) = (self::stat(std::process::id())?, self::stat(measuring)?);
        let mut ours = 0;
        for (stat, fields) in [(&us, &TIMES[..2]), (&them, &TIMES[..])] {
            for at in fields {
                ours += field(stat, *at)?;
            }
        }
        let all = user + nice + system + idle + iowait + irq + softirq + stolen;
        Ok(Ticks { all, idle: idle + iowait, stolen, ours })
    }

    /// The parts of the machine that others used since an earlier moment, and that the hypervisor kept.
    pub fn since(self, earlier: Ticks) -> (f64, f64) {
        let all = (self.all - earlier.all).max(1) as f64;
        let stolen = self.stolen - earlier.stolen;
        let others = (self.all - earlier.all) - (self.idle - earlier.idle) - stolen - (self.ours - earlier.ours);
        // The kernel rounds the two kinds of times in different ways.
        (others.max(0) as f64 / all, stolen as f64 / all)
    }
}

/// The numbers of fields in `/proc/PID/stat`, from one: user and system time, those of the children, and so on.
const TIMES: [usize; 4] = [14, 15, 16, 17];
const NICE: usize = 19;
const POLICY: usize = 41;

fn stat(pid: u32) -> Result<String> {
    Ok(fs::read_to_string(format!("/proc/{pid}/stat"))?)
}

fn field(stat: &str, number: usize) -> Result<i64> {
    // The program's name, which is the second field, may contain anything.
    let (_, rest) = stat.rsplit_once(')').ok_or("not the state of a process")?;
    Ok(rest.split_whitespace().nth(number - 3).ok_or("too few fields")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let stat = "12 (a (b) c) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 -5 20";
        assert_eq!(field(stat, 14).ok(), Some(14));
        assert_eq!(field(stat, NICE).ok(), Some(-5));
        assert!(field(stat, POLICY).is_err());
    }

    #[test]
    fn what_is_neither_idle_nor_ours_nor_stolen_is_of_others() {
        let earlier = Ticks { all: 1000, idle: 500, stolen: 10, ours: 100 };
        let now = Ticks { all: 2000, idle: 1100, stolen: 30, ours: 400 };
        assert_eq!(now.since(earlier), (0.08, 0.02));
    }

    #[test]
    fn the_priority_is_that_of_the_scheduler() {
        assert_eq!(priority(0, 0), "normal priority");
        assert_eq!(priority(0, -15), "nice -15");
        assert_eq!(priority(1, 0), "real-time priority");
        assert_eq!(priority(2, 0), "real-time priority");
        assert_eq!(priority(3, 5), "scheduling policy 3, nice 5");
    }
}
