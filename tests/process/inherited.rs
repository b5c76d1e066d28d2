//! What a server inherits from the process that started it, and what it must not keep.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal as Number;
use rendezvous_ipc::Descriptor;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

use crate::home::{Home, connected, eventually, output, printed, runtime, signal};
use crate::program::{BEAR, COUNT, TERMINAL, ask};

crate::trials![
    a_server_blocks_no_signal_that_its_first_client_blocked,
    executing_a_server_again_leaves_no_trace_in_its_environment,
    a_server_executes_itself_no_more_than_once,
    a_server_survives_timers_that_its_starter_left,
    a_server_goes_on_when_a_terminal_that_it_opened_is_gone,
    a_server_by_hand_keeps_what_it_blocks,
];

/// The signals that a task blocks, as bits; none if it has ended.
fn blocked(task: &str) -> u64 {
    let Ok(status) = fs::read_to_string(format!("{task}/status")) else { return 0 };
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
    u64::from_str_radix(blocked.trim(), 16).unwrap()
}

/// The library's own threads in a process.
fn own_threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path());
    let tasks = tasks.map(|task| task.to_str().unwrap().to_owned());
    let is_own =
        |task: &String| fs::read_to_string(format!("{task}/comm")).is_ok_and(|name| name.starts_with("rendezvous-"));
    tasks.filter(is_own).collect()
}

/// Checks that the only server of a home blocks no signal. Has it retire by a signal, and returns its PID.
fn assert_nothing_is_blocked(home: &Home, service: &Descriptor) {
    let [pid] = home.processes()[..] else { panic!("one server") };
    let threads = own_threads(pid);
    assert!(threads.len() > 1, "{threads:?}");
    for thread in threads {
        // A thread that handles a signal blocks it meanwhile.
        eventually(&format!("{thread} blocks nothing"), || blocked(&thread) == 0);
    }
    let timers = [Number::SIGALRM, Number::SIGVTALRM, Number::SIGPROF].map(|timer| 1 << (timer as u32 - 1));
    assert_eq!(blocked(&format!("/proc/{pid}")) & !timers.iter().sum::<u64>(), 0, "the first thread blocks signals");
    let child = runtime().block_on(async {
        let mut stream = connected(service).await.into_stream();
        let child = ask(&mut stream, BEAR).await.unwrap();
        assert_eq!(ask(&mut stream, COUNT).await.unwrap(), child + 1);
        child as u32
    });
    assert_eq!(blocked(&format!("/proc/{child}")), 0, "a process started by the handler blocks signals");
    for process in [pid, child] {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment).to_uppercase();
        assert!(!environment.contains("REEXEC"), "process {process} has the variable of the re-execution");
    }
    signal(child, Signal::KILL);
    signal(pid, Signal::TERM);
    home.wait_for_all_exits();
}

fn a_server_blocks_no_signal_that_its_first_client_blocked() {
    for dialect in ["native", "sequoia"] {
        let home = Home::new();
        let stdout = printed(&output(home.command(&["@client", "blocks", &format!("server:{dialect}")])));
        assert!(stdout.starts_with("started an external server"), "{stdout}");
        assert_nothing_is_blocked(&home, &home.service_by(&["@serve", dialect]));
    }
}

fn executing_a_server_again_leaves_no_trace_in_its_environment() {
    for dialect in ["native", "sequoia"] {
        let home = Home::new();
        let lock = tempfile::NamedTempFile::new().unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "exec 9>\"$2\"; flock 9; \"$0\" @client blocks \"server:$3\" --home \"$1\""]);
        shell
            .arg(std::env::current_exe().unwrap())
            .arg(home.path())
            .arg(lock.path())
            .arg(dialect)
            .stdout(Stdio::piped());
        let stdout = printed(&output(shell));
        assert!(stdout.starts_with("started an external server"), "{stdout}");
        fs2::FileExt::try_lock_exclusive(lock.as_file()).expect("the caller's lock is free");
        assert_nothing_is_blocked(&home, &home.service_by(&["@serve", dialect]));
    }
}

fn a_server_executes_itself_no_more_than_once() {
    for dialect in ["native", "sequoia"] {
        let home = Home::new();
        // At each start the server opens a descriptor that it would have to close.
        let service = home.service_by(&["@serve", dialect, "opens"]);
        home.try_count(&service).unwrap();
        let log = fs::read_to_string(home.path().join("count.log")).unwrap();
        assert_eq!(log.lines().filter(|line| *line == "begun").count(), 2, "{log}");
        assert_nothing_is_blocked(&home, &service);
    }
}

fn a_server_survives_timers_that_its_starter_left() {
    if !Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_ok_and(|python| python.success()) {
        return println!("not tried: python3, which would set the timers, is missing");
    }
    // The script blocks the signals of the timers, so that they do not end it first, and leaves a file open.
    let script = "
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
for timer in signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF:
    signal.setitimer(timer, 0.001, 0.001)
os.set_inheritable(os.open('/dev/null', os.O_RDONLY), True)
os.execv(sys.argv[1], sys.argv[1:])";
    for dialect in ["native", "sequoia"] {
        let home = Home::new();
        let program = std::env::current_exe().unwrap();
        let args = ["-c", script, program.to_str().unwrap(), "@serve", dialect];
        let service = home.service_by(&["@serve", dialect]).program("/usr/bin/env", [&["python3"][..], &args].concat());
        home.try_count(&service).unwrap();
        assert_nothing_is_blocked(&home, &service);
    }
}

fn a_server_goes_on_when_a_terminal_that_it_opened_is_gone() {
    for dialect in ["native", "sequoia"] {
        let home = Home::new();
        let Ok(terminal) = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC) else {
            return println!("not tried: no terminal can be opened here");
        };
        unlockpt(&terminal).unwrap();
        let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let service = home.service_by(&["@serve", dialect]);
        runtime().block_on(async {
            let mut stream = connected(&service).await.into_stream();
            fs::write(home.path().join("terminal"), path).unwrap();
            ask(&mut stream, TERMINAL).await.unwrap();
            let [pid] = home.processes()[..] else { panic!("one server") };
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let terminal_of = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(4).unwrap().to_owned();
            assert_ne!(terminal_of, "0", "the terminal is the server's own");
            drop(terminal);
            let log = || fs::read_to_string(home.path().join("count.log")).unwrap();
            eventually("the server received the signal", || log().contains("SIGHUP") || home.processes().is_empty());
            assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 1, "{}", log());
        });
        home.processes().into_iter().for_each(|server| signal(server, Signal::TERM));
        home.wait_for_all_exits();
    }
}

fn a_server_by_hand_keeps_what_it_blocks() {
    let home = Home::new();
    let mut server = home.command(&["@serve", "blocks"]).spawn().unwrap();
    eventually("the server serves", || fs::metadata(home.point()).is_ok_and(|point| point.len() > 0));
    let usr1 = 1 << (Number::SIGUSR1 as u32 - 1);
    for thread in own_threads(server.id()) {
        assert_ne!(blocked(&thread) & usr1, 0, "{thread}: a program may block a signal to wait for it itself");
    }
    home.retire();
    server.wait().unwrap();
}
