//! Describes the machine of the measurements, without identifying it.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

/// The processor, its cores, the kernel, the compiler, and the load.
pub fn describe() -> String {
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
    format!("{processor}, {cores} cores{hypervisor}; Linux {kernel}; Rust {rustc}; load average {load} at the end")
}
