//! The steps of a process: each is told to the round, and brings what was planned for it.
//!
//! The driver tells each step by `tracing` just before it does it, in the thread that will. So what is done here is done
//! between two effects, and nowhere else.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::plan::{Doom, Fate, Role};

/// Names the round's directory: for a process, and for all that it starts.
pub const ROUND: &str = "RENDEZVOUS_CHAOS";
/// The dooms of a process and of all that it starts, one a line.
pub const DOOMS: &str = "RENDEZVOUS_CHAOS_DOOMS";

/// In the round's directory: where all processes tell what they do.
pub const PIPE: &str = "pipe";
/// In the round's directory: locked by whoever brings a fate about.
pub const LOCK: &str = "lock";
/// In the round's directory, when no more of it is to happen.
pub const CALM: &str = "calm";
/// In the round's directory: the record of a server that is gone.
pub const OLD: &str = "old";

static WORLD: OnceLock<World> = OnceLock::new();
static FAILS: AtomicBool = AtomicBool::new(false);
static HANGS: AtomicBool = AtomicBool::new(false);

struct World {
    round: PathBuf,
    pipe: File,
    dooms: Mutex<Vec<Pending>>,
}

/// A doom, and how many of its steps are still to come: when there is none left, whichever comes next brings it.
struct Pending {
    doom: Doom,
    left: u32,
}

/// Tells the steps of this process, from here on.
pub fn subscribe() {
    let round = PathBuf::from(std::env::var_os(ROUND).expect("a round"));
    let pipe = OpenOptions::new().write(true).open(round.join(PIPE)).expect("the round's pipe");
    let dooms = std::env::var(DOOMS).unwrap_or_default();
    let pending = |line: &str| {
        let doom: Doom = line.parse().expect("a doom");
        Pending { left: doom.nth, doom }
    };
    let dooms = Mutex::new(dooms.lines().map(pending).collect());
    assert!(WORLD.set(World { round, pipe, dooms }).is_ok(), "once in a process");
    tracing::subscriber::set_global_default(Steps).expect("once in a process");
}

/// Tells something; each is one write, so that lines stay whole, and in the order in which they were told.
pub fn say(what: &str) {
    // What is written to a pipe at once is whole up to 4 KiB.
    let what: String = what.replace('\n', " | ").chars().take(1000).collect();
    let _ = (&world().pipe).write_all(format!("{} {what}\n", std::process::id()).as_bytes());
}

/// The round's directory.
pub fn round() -> &'static Path {
    &world().round
}

/// Whether a handler is to fail, or to hang, while it is built.
pub fn fails() -> bool {
    FAILS.load(Ordering::Relaxed)
}

pub fn hangs() -> bool {
    HANGS.load(Ordering::Relaxed)
}

/// A step is about to be done.
pub fn step(role: Role, step: &str) {
    say(&format!("{role:?} {step}"));
    for doom in world().due(role, step) {
        world().bring(&doom);
    }
}

fn world() -> &'static World {
    WORLD.get().expect("who tells has subscribed")
}

impl World {
    fn due(&self, role: Role, step: &str) -> Vec<Doom> {
        let mut due = Vec::new();
        self.dooms.lock().unwrap().retain_mut(|Pending { doom, left }| {
            if doom.role != role {
                return true;
            }
            let behind = *left == 0;
            *left -= u32::from(!behind && doom.step == step);
            let now = behind || *left == 0 && !doom.after;
            if now {
                due.push(doom.clone());
            }
            !now
        });
        due
    }

    fn bring(&self, doom: &Doom) {
        // Who cannot open it has had a fate already.
        let Ok(lock) = File::open(self.round.join(LOCK)) else { return };
        fs2::FileExt::lock_shared(&lock).expect("a lock");
        if self.round.join(CALM).exists() {
            return;
        }
        let told = || say(&format!("fate {doom}"));
        match doom.fate {
            Fate::Kill => {
                told();
                let _ = kill_process(getpid(), Signal::KILL);
                park();
            }
            Fate::Stop => {
                let Some(gate) = self.gate() else { return };
                told();
                drop(lock);
                let _ = kill_process(getpid(), Signal::STOP);
                // Which of its threads stops first is the system's choice: this one goes no further until it is let.
                let _ = (&gate).read(&mut [0]);
            }
            Fate::Fail => {
                FAILS.store(true, Ordering::Relaxed);
                told();
            }
            Fate::Hang => {
                HANGS.store(true, Ordering::Relaxed);
                told();
            }
            Fate::Descriptors => {
                told();
                limit(Resource::Nofile, 3);
            }
            Fate::FileSize => {
                told();
                limit(Resource::Fsize, 100);
            }
            Fate::Processes => {
                told();
                limit(Resource::Nproc, 1);
            }
            damage => {
                if self.damage(damage).is_some() {
                    told();
                }
            }
        }
    }

    /// Where a process that was stopped waits to be let on.
    fn gate(&self) -> Option<File> {
        let path = gate(&self.round, std::process::id());
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).ok()?;
        OpenOptions::new().read(true).write(true).open(path).ok()
    }

    /// Damages the point; `None` where there is nothing to damage.
    fn damage(&self, fate: Fate) -> Option<()> {
        let point = point(&self.round);
        let len = point.metadata().ok()?.len();
        let file = || OpenOptions::new().write(true).open(&point).ok();
        match fate {
            Fate::Delete => fs::remove_file(&point).ok(),
            Fate::Empty => file()?.set_len(0).ok(),
            Fate::Cut => file()?.set_len(len / 2).ok(),
            Fate::Corrupt => file()?.write_all_at(b"~", len.checked_sub(20)?).ok(),
            Fate::Replace => {
                let other = self.round.join(format!("other.{}", std::process::id()));
                private(&other).ok()?.write_all(b"no record at all\n").ok()?;
                fs::rename(other, point).ok()
            }
            Fate::Old => {
                let old = fs::read(self.round.join(OLD)).ok()?;
                let file = file()?;
                file.set_len(0).ok()?;
                file.write_all_at(&old, 0).ok()
            }
            _ => None,
        }
    }
}

/// The point of a round.
pub fn point(round: &Path) -> PathBuf {
    round.join("home/point")
}

/// Where a process waits that was stopped at a step.
pub fn gate(round: &Path, pid: u32) -> PathBuf {
    round.join(format!("gate.{pid}"))
}

/// A new file that is only its owner's.
pub fn private(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

pub fn park() -> ! {
    loop {
        std::thread::park();
    }
}

fn limit(resource: Resource, to: u64) {
    let _ = setrlimit(resource, Rlimit { current: Some(to), ..getrlimit(resource) });
}

struct Steps;

impl Subscriber for Steps {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.fields().field("step").is_some()
    }

    fn event(&self, event: &Event<'_>) {
        let role = match event.metadata().target() {
            "rendezvous_ipc::connect" => Role::Connect,
            "rendezvous_ipc::serve" => Role::Serve,
            _ => return,
        };
        event.record(&mut Look(role));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Look(Role);

impl Visit for Look {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "step" {
            step(self.0, value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// Gives a command its round and its dooms.
pub fn doom(command: &mut std::process::Command, round: &Path, dooms: &[Doom]) {
    let lines: Vec<_> = dooms.iter().map(Doom::to_string).collect();
    command.env(ROUND, AsRef::<OsStr>::as_ref(round)).env(DOOMS, lines.join("\n"));
}
