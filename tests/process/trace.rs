//! Writes the steps of all processes of a run to one file, in the order in which they happen.
//!
//! The driver logs each step by `tracing` before it runs it. Here each step becomes one line, appended by one write, so
//! that lines are in order across processes, and a killed process leaves whole lines.

use std::fmt::{Debug, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Names the file, for a process and for all processes that it starts.
pub const LOG: &str = "RENDEZVOUS_TEST_LOG";
/// Beside that file: exists when a process that naps is to continue.
pub const WAKE: &str = "wake";

/// Writes the steps of this process, and injects a fault just before one of them, if the arguments ask for it:
/// `kill-at=STEP` and the like.
pub fn subscribe(role: &'static str, args: &[String]) {
    let faults = [
        ("kill-at=", Fault::Signal(Signal::KILL)),
        ("stop-at=", Fault::Signal(Signal::STOP)),
        // No file may be longer than a part of a record.
        ("full-at=", Fault::Limit(Resource::Fsize, 100)),
        ("mute-at=", Fault::Limit(Resource::Fsize, 0)),
        // Open descriptors stay open, but no more can be opened.
        ("short-at=", Fault::Limit(Resource::Nofile, 3)),
        ("small-at=", Fault::Limit(Resource::As, 900 << 20)),
        ("block-at=", Fault::Hang(Duration::MAX)),
        ("busy-at=", Fault::Hang(Duration::from_millis(1))),
        ("nap-at=", Fault::Nap),
    ];
    let step = |name| args.iter().find_map(|arg| arg.strip_prefix(name));
    let fault = faults.into_iter().find_map(|(name, fault)| Some((role, step(name)?.to_owned(), fault)));
    let fault = fault.or_else(|| {
        let step = step("talk-at=")?.to_owned();
        // Once the order was read, this is the log.
        Some((role, step, Fault::Talk(std::io::stdout().as_fd().try_clone_to_owned().unwrap().into())))
    });
    let log = std::env::var_os(LOG).map(|path| append(Path::new(&path)));
    if log.is_some() || fault.is_some() {
        tracing::subscriber::set_global_default(Steps { log, fault: Mutex::new(fault) }).unwrap();
    }
}

pub fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// A fault in a process.
enum Fault {
    Signal(Signal),
    Limit(Resource, u64),
    /// The thread hangs, and wakes up this often.
    Hang(Duration),
    /// The thread hangs until there is the file `WAKE`.
    Nap,
    /// Something else is printed to the standard output that the process was started with.
    Talk(File),
}

struct Steps {
    log: Option<File>,
    /// The role and the step at which the fault is injected, once.
    fault: Mutex<Option<(&'static str, String, Fault)>>,
}

impl Steps {
    fn append_line(&self, line: &str) {
        if let Some(mut log) = self.log.as_ref() {
            log.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }
}

impl Subscriber for Steps {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_recorded = metadata.name() == "connect" || metadata.fields().field("step").is_some();
        metadata.target().starts_with("rendezvous_ipc::") && is_recorded
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields { step, rest } = fields;
        let role = event.metadata().target().trim_start_matches("rendezvous_ipc::");
        let pid = getpid();
        self.append_line(&format!("{pid} {role} {step}{rest}"));
        let fault = self.fault.lock().unwrap().take_if(|fault| (fault.0, &fault.1) == (role, &step));
        match fault {
            Some((_, _, Fault::Signal(signal))) => {
                self.append_line(&format!(
                    "world {} who={pid} at={step}",
                    if signal == Signal::KILL { "kill" } else { "stop" }
                ));
                let _ = kill_process(pid, signal);
            }
            Some((_, _, Fault::Limit(what, to))) => {
                setrlimit(what, Rlimit { current: Some(to), ..getrlimit(what) }).unwrap();
            }
            Some((_, _, Fault::Hang(pause))) => loop {
                thread::sleep(pause);
            },
            Some((_, _, Fault::Nap)) => {
                let log = std::env::var_os(LOG).unwrap();
                while !Path::new(&log).with_file_name(WAKE).exists() {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            Some((_, _, Fault::Talk(mut stdout))) => stdout.write_all(b"hello world\n").unwrap(),
            None => {}
        }
    }

    /// A connect starts. A process has one at a time.
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        self.append_line(&format!("{} connect Begin{}", getpid(), fields.rest));
        Id::from_u64(1)
    }

    fn try_close(&self, _: Id) -> bool {
        self.append_line(&format!("{} connect End", getpid()));
        true
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The fields of an event: its step, and the others as ` name=value`.
#[derive(Default)]
struct Fields {
    step: String,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "step" => self.step = value.to_owned(),
            _ if value.is_empty() => {}
            name => write!(self.rest, " {name}={value}").unwrap(),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !["message", "point"].contains(&field.name()) {
            write!(self.rest, " {}={value:?}", field.name()).unwrap();
        }
    }
}
