//! Sends the steps of this process to the round, and injects the faults that are planned for it.
//!
//! The driver logs each step by `tracing` just before it runs it, in the same thread. So a fault is injected between
//! two effects, and nowhere else.

use std::ffi::OsStr;
use std::fmt::{Debug, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use tokio::sync::Notify;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::disk;
use crate::held::{self, Held};
use crate::plan::{Fault, PlannedFault, Role};

/// Names the round's directory, for a process and for all processes that it starts.
pub const ROUND: &str = "RENDEZVOUS_CHAOS";
/// The faults planned for a process and for all processes that it starts, one a line.
pub const FAULTS: &str = "RENDEZVOUS_CHAOS_FAULTS";

/// In the round's directory: the pipe to which all processes send what they do.
pub const PIPE: &str = "pipe";
/// In the round's directory: a file that a process locks while it injects a fault.
pub const LOCK: &str = "lock";
/// In the round's directory: exists when no more faults are to be injected.
pub const NO_MORE_FAULTS: &str = "no-more-faults";
/// In the round's directory: the record of a server that is gone.
pub const OLD: &str = "old";

static WORLD: OnceLock<World> = OnceLock::new();
static FAILS: AtomicBool = AtomicBool::new(false);
static HANGS: AtomicBool = AtomicBool::new(false);
static CANCEL: Notify = Notify::const_new();

struct World {
    round: PathBuf,
    pipe: File,
    faults: Mutex<Vec<Pending>>,
}

/// A planned fault, and how many steps of its name are still ahead. At zero, the process's next step injects it.
struct Pending {
    planned: PlannedFault,
    left: u32,
}

/// Sends all further steps of this process to the round.
pub fn subscribe() {
    let round = PathBuf::from(std::env::var_os(ROUND).expect("a round"));
    let pipe = OpenOptions::new().write(true).open(round.join(PIPE)).expect("the round's pipe");
    let faults = std::env::var(FAULTS).unwrap_or_default();
    let pending = |line: &str| {
        let planned: PlannedFault = line.parse().expect("a planned fault");
        Pending { left: planned.nth, planned }
    };
    let faults = Mutex::new(faults.lines().map(pending).collect());
    assert!(WORLD.set(World { round, pipe, faults }).is_ok(), "a process subscribes once");
    tracing::subscriber::set_global_default(Steps).expect("a process subscribes once");
}

/// Sends a line to the round in one write, so that lines stay whole and in order.
pub fn send(what: &str) {
    // Writes to a pipe of up to 4 KiB are atomic.
    let what: String = what.replace('\n', " | ").chars().take(1000).collect();
    let _ = (&world().pipe).write_all(format!("{} {what}\n", std::process::id()).as_bytes());
}

/// The round's directory.
pub fn round() -> &'static Path {
    &world().round
}

/// Whether the handler must fail, or hang, while it starts.
pub fn fails() -> bool {
    FAILS.load(Ordering::Relaxed)
}

pub fn hangs() -> bool {
    HANGS.load(Ordering::Relaxed)
}

/// Returns once the connect of this process is to be dropped.
pub async fn cancelled() {
    CANCEL.notified().await;
}

/// Runs before each step: sends it with its fields, and the point's lock if the process has it, and injects the faults
/// that are due.
pub fn step(role: Role, step: &str, fields: &str) {
    let point = point(&world().round);
    let lock = match held::lock(&point) {
        Held::Lock(inode) => format!(" lock={inode} point={}", point.metadata().map_or(0, |point| point.ino())),
        Held::Nothing => " lock=none".to_owned(),
        Held::Unknown => String::new(),
    };
    send(&format!("{role:?} {step}{fields}{lock}"));
    for planned in world().due(role, step) {
        world().inject(&planned);
    }
}

fn world() -> &'static World {
    WORLD.get().expect("this process has subscribed")
}

impl World {
    fn due(&self, role: Role, step: &str) -> Vec<PlannedFault> {
        let mut due = Vec::new();
        self.faults.lock().unwrap().retain_mut(|Pending { planned, left }| {
            if planned.role != role {
                return true;
            }
            let behind = *left == 0;
            *left -= u32::from(!behind && planned.step == step);
            let now = behind || *left == 0 && !planned.after;
            if now {
                due.push(planned.clone());
            }
            !now
        });
        due
    }

    fn inject(&self, planned: &PlannedFault) {
        // A process that cannot open the file has already had a fault injected.
        let Ok(lock) = File::open(self.round.join(LOCK)) else { return };
        fs2::FileExt::lock_shared(&lock).expect("a lock");
        if self.round.join(NO_MORE_FAULTS).exists() {
            return;
        }
        let announce = || send(&format!("fault {planned}"));
        match planned.fault {
            Fault::Kill => {
                announce();
                let _ = kill_process(getpid(), Signal::KILL);
                park();
            }
            Fault::Stop => {
                let Some(gate) = self.gate() else { return };
                announce();
                drop(lock);
                let _ = kill_process(getpid(), Signal::STOP);
                // The kernel chooses which thread stops first; this one waits until the round opens the gate.
                let _ = (&gate).read(&mut [0]);
            }
            Fault::Fail => {
                FAILS.store(true, Ordering::Relaxed);
                announce();
            }
            Fault::Hang => {
                HANGS.store(true, Ordering::Relaxed);
                announce();
            }
            Fault::Descriptors => {
                announce();
                limit(Resource::Nofile, 3);
            }
            Fault::FileSize => {
                announce();
                limit(Resource::Fsize, 100);
            }
            Fault::Processes => {
                announce();
                limit(Resource::Nproc, 1);
            }
            Fault::Cancel => {
                announce();
                CANCEL.notify_one();
            }
            Fault::Fill => {
                if disk::fill(&self.round).is_ok() {
                    announce();
                }
            }
            damage => {
                if self.damage(damage).is_some() {
                    announce();
                }
            }
        }
    }

    /// Creates the pipe at which a stopped process waits until the round lets it continue.
    fn gate(&self) -> Option<File> {
        let path = gate(&self.round, std::process::id());
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).ok()?;
        OpenOptions::new().read(true).write(true).open(path).ok()
    }

    /// Damages the point, or a file beside it. Returns `None` if there is nothing to damage.
    fn damage(&self, fault: Fault) -> Option<()> {
        let point = point(&self.round);
        match fault {
            Fault::Unlink => return self.unlink(),
            Fault::Vanish => return fs::remove_file(point.with_extension("life")).ok(),
            _ => {}
        }
        let len = point.metadata().ok()?.len();
        let file = || OpenOptions::new().write(true).open(&point).ok();
        match fault {
            Fault::Delete => fs::remove_file(&point).ok(),
            Fault::Empty => file()?.set_len(0).ok(),
            Fault::Cut => file()?.set_len(len / 2).ok(),
            Fault::Corrupt => file()?.write_all_at(b"~", len.checked_sub(20)?).ok(),
            Fault::Replace => {
                let other = self.round.join(format!("other.{}", std::process::id()));
                private(&other).ok()?.write_all(b"no record at all\n").ok()?;
                fs::rename(other, point).ok()
            }
            Fault::Old => {
                let old = fs::read(self.round.join(OLD)).ok()?;
                let file = file()?;
                file.set_len(0).ok()?;
                file.write_all_at(&old, 0).ok()
            }
            _ => None,
        }
    }

    /// Removes all sockets.
    fn unlink(&self) -> Option<()> {
        let files = fs::read_dir(self.round.join("home")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let sockets = files.filter(|path| path.extension().is_some_and(|extension| extension == "sock"));
        sockets.filter_map(|socket| fs::remove_file(socket).ok()).last()
    }
}

/// The path of a round's point.
pub fn point(round: &Path) -> PathBuf {
    round.join("home/point")
}

/// The pipe at which a stopped process waits.
pub fn gate(round: &Path, pid: u32) -> PathBuf {
    round.join(format!("gate.{pid}"))
}

/// Creates a file that only its owner can access.
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
        let mut visitor = StepVisitor::default();
        event.record(&mut visitor);
        if !visitor.step.is_empty() {
            step(role, &visitor.step, &visitor.fields);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A step, and what the judge needs of its fields, as ` name=value`.
#[derive(Default)]
struct StepVisitor {
    step: String,
    fields: String,
}

impl Visit for StepVisitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "step" => self.step = value.to_owned(),
            "how" | "done" | "then" if !value.is_empty() => self.record_debug(field, &format_args!("{value}")),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if ["record", "child", "how", "why", "done", "then"].contains(&field.name()) {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }
}

/// Passes the round and the planned faults to a command.
pub fn plan(command: &mut std::process::Command, round: &Path, faults: &[PlannedFault]) {
    let lines: Vec<_> = faults.iter().map(PlannedFault::to_string).collect();
    command.env(ROUND, AsRef::<OsStr>::as_ref(round)).env(FAULTS, lines.join("\n"));
}
