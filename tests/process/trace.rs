//! The steps of all processes of a run, in one file, in the order in which they happened.
//!
//! The driver tells each step by `tracing` before it does it. Here each is one line, by one write to a file that all
//! append to: what stands before another was told before it, whoever told it, and who is killed leaves whole lines.

use std::fmt::{Debug, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Names the file, for a process and all that it starts.
pub const LOG: &str = "RENDEZVOUS_TEST_LOG";

/// Tells the steps of this process, and lets something happen to it just before one, if its arguments say so:
/// `kill-at=STEP` and the like.
pub fn subscribe(role: &'static str, args: &[String]) {
    let fates = [
        ("kill-at=", Fate::Signal(Signal::KILL)),
        ("stop-at=", Fate::Signal(Signal::STOP)),
        // No file may be longer than a part of a record.
        ("full-at=", Fate::Limit(Resource::Fsize, 100)),
        ("mute-at=", Fate::Limit(Resource::Fsize, 0)),
        // What is open stays open; nothing can be opened beside it.
        ("short-at=", Fate::Limit(Resource::Nofile, 3)),
        ("small-at=", Fate::Limit(Resource::As, 900 << 20)),
        ("block-at=", Fate::Hang(Duration::MAX)),
        ("busy-at=", Fate::Hang(Duration::from_millis(1))),
    ];
    let fate = fates.into_iter().find_map(|(name, fate)| {
        let step = args.iter().find_map(|arg| arg.strip_prefix(name))?;
        Some((role, step.to_owned(), fate))
    });
    let log = std::env::var_os(LOG).map(|path| append(Path::new(&path)));
    if log.is_some() || fate.is_some() {
        tracing::subscriber::set_global_default(Steps { log, fate: Mutex::new(fate) }).unwrap();
    }
}

pub fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// What happens to a process.
enum Fate {
    Signal(Signal),
    Limit(Resource, u64),
    /// The thread goes no further, and has something to do so often.
    Hang(Duration),
}

struct Steps {
    log: Option<File>,
    /// Whose step, which, and what happens then, once.
    fate: Mutex<Option<(&'static str, String, Fate)>>,
}

impl Steps {
    fn tell(&self, line: &str) {
        if let Some(mut log) = self.log.as_ref() {
            log.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }
}

impl Subscriber for Steps {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let tells = metadata.name() == "connect" || metadata.fields().field("step").is_some();
        metadata.target().starts_with("rendezvous_ipc::") && tells
    }

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        let Said { step, rest } = said;
        let role = event.metadata().target().trim_start_matches("rendezvous_ipc::");
        let pid = getpid();
        self.tell(&format!("{pid} {role} {step}{rest}"));
        let fate = self.fate.lock().unwrap().take_if(|fate| (fate.0, &fate.1) == (role, &step));
        match fate {
            Some((_, _, Fate::Signal(signal))) => {
                self.tell(&format!(
                    "world {} who={pid} at={step}",
                    if signal == Signal::KILL { "kill" } else { "stop" }
                ));
                let _ = kill_process(pid, signal);
            }
            Some((_, _, Fate::Limit(what, to))) => {
                setrlimit(what, Rlimit { current: Some(to), ..getrlimit(what) }).unwrap();
            }
            Some((_, _, Fate::Hang(pause))) => loop {
                thread::sleep(pause);
            },
            None => {}
        }
    }

    /// A connect begins. There is one at a time in a process.
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut said = Said::default();
        span.record(&mut said);
        self.tell(&format!("{} connect Begin{}", getpid(), said.rest));
        Id::from_u64(1)
    }

    fn try_close(&self, _: Id) -> bool {
        self.tell(&format!("{} connect End", getpid()));
        true
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What an event says: its step, and the rest as ` name=value`.
#[derive(Default)]
struct Said {
    step: String,
    rest: String,
}

impl Visit for Said {
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
