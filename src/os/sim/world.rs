//! The state of the simulated system.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::super::lock::Hold;
use super::tasks;

thread_local!(static WORLD: RefCell<Option<World>> = const { RefCell::new(None) });

/// The number of a process; 0 is the world outside, which nothing kills.
pub(crate) type Pid = u32;

/// What happens by chance, in a thousandth of all effects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chances {
    /// The process that is about to do an effect is killed instead.
    pub kill: u32,
    /// Kills of one run, at most.
    pub kills: u32,
    /// Other processes run before an effect.
    pub switch: u32,
    /// A file is damaged before an effect.
    pub damage: u32,
    /// The files beside the point are damaged, and not the point.
    pub beside: bool,
    /// Damages of one run, at most.
    pub damages: u32,
}

/// A file, a directory or a socket, whatever names it has.
pub(crate) struct Inode {
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    File,
    Directory,
    Socket,
}

/// An open file: what a descriptor leads to.
pub(crate) struct Open {
    pub(crate) owner: Pid,
    pub(crate) inode: usize,
    pub(crate) at: usize,
    pub(crate) appends: bool,
    pub(crate) lock: Option<Hold>,
}

/// One direction of a connection.
#[derive(Default)]
pub(crate) struct Pipe {
    pub(crate) bytes: VecDeque<u8>,
    /// Nothing will be written any more.
    pub(crate) ended: bool,
    /// Nobody reads any more.
    pub(crate) deaf: bool,
    pub(crate) waits: Vec<Waker>,
}

/// One end of a connection.
pub(crate) struct End {
    pub(crate) owner: Pid,
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    /// Who connected.
    pub(crate) peer: Pid,
}

/// A listening socket.
pub(crate) struct Listening {
    pub(crate) owner: Pid,
    pub(crate) inode: usize,
    pub(crate) queue: VecDeque<u64>,
    pub(crate) waits: Vec<Waker>,
}

/// A process.
pub(crate) struct Process {
    pub(crate) alive: bool,
    pub(crate) is_server: bool,
    pub(crate) code: Option<i32>,
    pub(crate) stdin: Option<u64>,
    pub(crate) stdout: Option<u64>,
    pub(crate) waits: Vec<Waker>,
    /// The step at which it is, as it logged it.
    pub(crate) step: &'static str,
    /// How many damages there were when it came there.
    pub(crate) damages: u32,
    /// It is served from: *registered*, or its record is written by itself.
    pub(crate) handles: bool,
    /// Who started it.
    pub(crate) parent: Pid,
    /// Its parent has sent it the line *registered*.
    pub(crate) registered: bool,
    /// Whether the last probe found the lifetime lock free. `None`: not probed since it locked the point or started a
    /// process.
    pub(crate) probed: Option<bool>,
}

/// One line of what happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When, in the simulated time of the run.
    pub at: Duration,
    /// The process, or 0 for the world outside.
    pub pid: u32,
    /// The effect, the step or the fault.
    pub what: &'static str,
    /// On what.
    pub on: String,
}

pub(crate) struct World {
    pub(crate) chances: Chances,
    random: u64,
    began: Instant,
    pub(crate) inodes: Vec<Inode>,
    pub(crate) names: BTreeMap<PathBuf, usize>,
    pub(crate) open: BTreeMap<u64, Open>,
    pub(crate) pipes: Vec<Pipe>,
    pub(crate) ends: BTreeMap<u64, End>,
    pub(crate) listening: BTreeMap<u64, Listening>,
    pub(crate) processes: Vec<Process>,
    /// The processes that run, each inside an effect of the one before.
    pub(crate) running: Vec<Pid>,
    next: u64,
    pub(crate) log: Vec<Entry>,
    pub(crate) effects: u32,
    /// Kill the process that is about to do this effect.
    pub(crate) kill_at: Option<u32>,
    pub(crate) kills: u32,
    pub(crate) damages: u32,
    pub(crate) violation: Option<String>,
    pub(crate) point: PathBuf,
    pub(crate) life: PathBuf,
    /// Called with each entry of the log.
    pub(crate) judge: fn(&World, &Entry) -> Option<&'static str>,
}

/// Calls `with` on the world.
pub(crate) fn with<T>(with: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(|world| with(world.as_mut().expect("a simulation runs in this thread")))
}

/// The same, if a simulation runs in this thread and this is not inside of another call.
pub(crate) fn try_with(with: impl FnOnce(&mut World)) {
    let _ = WORLD.try_with(|world| {
        if let Ok(mut world) = world.try_borrow_mut()
            && let Some(world) = world.as_mut()
        {
            with(world);
        }
    });
}

pub(crate) fn begin(world: World) {
    WORLD.set(Some(world));
}

pub(crate) fn end() -> World {
    WORLD.take().expect("a simulation runs in this thread")
}

/// Returns the process that runs.
pub(crate) fn me() -> Pid {
    with(|world| world.me())
}

/// More effects than a run has: a process that does more goes round in a circle.
const MOST: u32 = 50_000;

/// The error of an effect of a process that was killed. The process does not see it.
pub(crate) fn dead() -> io::Error {
    io::Error::other("the process was killed")
}

/// What comes before each effect: the process may be killed, others may run, a file may be damaged.
///
/// An error is that of a process that was killed: the effect does not take place.
pub(crate) fn effect(what: &'static str, on: impl FnOnce() -> String) -> io::Result<()> {
    let others = with(|world| match world.me() {
        0 => 0,
        _ if world.draw(1000) < world.chances.switch => 1 + world.draw(6),
        _ => 0,
    });
    if others > 0 {
        tasks::run_others(others);
    }
    with(World::damage_by_chance);
    let on = on();
    with(|world| {
        let me = world.me();
        if me == 0 {
            return Ok(());
        }
        // Another process may have killed it meanwhile.
        if !world.is_alive(me) {
            return Err(dead());
        }
        world.effects += 1;
        if world.effects > MOST {
            world.violation.get_or_insert(format!("{me} does {what} {on} without end"));
            world.bury(me, 128 + 9);
            return Err(dead());
        }
        let by_chance = world.kills < world.chances.kills && world.draw(1000) < world.chances.kill;
        if by_chance || world.kill_at == Some(world.effects) {
            world.kills += 1;
            world.note("killed", format!("before {what} {on}"));
            world.bury(me, 128 + 9);
            return Err(dead());
        }
        world.note(what, on);
        Ok(())
    })
}

impl World {
    pub(crate) fn new(
        seed: u64,
        chances: Chances,
        home: &Path,
        judge: fn(&World, &Entry) -> Option<&'static str>,
    ) -> Self {
        let outside = Process::new(0, false);
        let mut world = World {
            chances,
            random: seed,
            began: Instant::now(),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            open: BTreeMap::new(),
            pipes: Vec::new(),
            ends: BTreeMap::new(),
            listening: BTreeMap::new(),
            processes: vec![outside],
            running: Vec::new(),
            next: 1,
            log: Vec::new(),
            effects: 0,
            kill_at: None,
            kills: 0,
            damages: 0,
            violation: None,
            point: home.join("point"),
            life: home.join("point.life"),
            judge,
        };
        let inode = world.inode(Kind::Directory);
        world.names.insert(home.to_owned(), inode);
        world
    }

    /// Returns a number below `below`.
    pub(crate) fn draw(&mut self, below: u32) -> u32 {
        ((u64::from(below) * (self.bits() >> 32)) >> 32) as u32
    }

    /// Returns random bits, by SplitMix64.
    pub(crate) fn bits(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn me(&self) -> Pid {
        self.running.last().copied().unwrap_or(0)
    }

    pub(crate) fn process(&mut self, pid: Pid) -> &mut Process {
        &mut self.processes[pid as usize]
    }

    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        self.processes[pid as usize].alive
    }

    /// Writes down what happened, and judges it.
    pub(crate) fn note(&mut self, what: &'static str, on: String) {
        let entry = Entry { at: self.now(), pid: self.me(), what, on };
        if self.violation.is_none()
            && let Some(property) = (self.judge)(self, &entry)
        {
            self.violation =
                Some(format!("{property}, at {:?} of {}: {} {}", entry.at, entry.pid, entry.what, entry.on));
        }
        self.log.push(entry);
    }

    pub(crate) fn inode(&mut self, kind: Kind) -> usize {
        self.inodes.push(Inode { kind, bytes: Vec::new() });
        self.inodes.len() - 1
    }

    /// Returns what the point holds, as its path leads there now.
    pub(crate) fn at(&self, path: &Path) -> Option<&Inode> {
        self.names.get(path).map(|inode| &self.inodes[*inode])
    }

    /// Returns the processes that hold a lock of the file at this path.
    pub(crate) fn lockers(&self, path: &Path) -> impl Iterator<Item = (Pid, Hold)> {
        let inode = self.names.get(path).copied();
        self.open
            .values()
            .filter(move |open| Some(open.inode) == inode)
            .filter_map(|open| Some((open.owner, open.lock?)))
    }

    /// Ends a process: its files and its ends of connections are closed. Its tasks are dropped by the scheduler.
    pub(crate) fn bury(&mut self, pid: Pid, code: i32) {
        if pid == 0 || !self.is_alive(pid) {
            return;
        }
        let process = self.process(pid);
        process.alive = false;
        process.handles = false;
        process.code = Some(code);
        process.waits.drain(..).for_each(Waker::wake);
        self.open.retain(|_, open| open.owner != pid);
        let ends: Vec<u64> = self.ends.iter().filter(|(_, end)| end.owner == pid).map(|(id, _)| *id).collect();
        ends.into_iter().for_each(|end| self.close_end(end));
        let sockets: Vec<u64> = self.listening.iter().filter(|(_, of)| of.owner == pid).map(|(id, _)| *id).collect();
        sockets.into_iter().for_each(|socket| self.close_listener(socket));
        tasks::forget(pid);
    }

    /// Makes a connection between two processes, and returns its ends.
    pub(crate) fn connection(&mut self, one: Pid, other: Pid) -> (u64, u64) {
        let (there, back) = (self.pipes.len(), self.pipes.len() + 1);
        self.pipes.extend([Pipe::default(), Pipe::default()]);
        let (a, b) = (self.id(), self.id());
        self.ends.insert(a, End { owner: one, reads: back, writes: there, peer: other });
        self.ends.insert(b, End { owner: other, reads: there, writes: back, peer: one });
        (a, b)
    }

    pub(crate) fn close_end(&mut self, end: u64) {
        if let Some(End { reads, writes, .. }) = self.ends.remove(&end) {
            self.pipes[reads].deaf = true;
            self.pipes[writes].ended = true;
            self.wake(reads);
            self.wake(writes);
        }
    }

    pub(crate) fn close_listener(&mut self, socket: u64) {
        if let Some(listening) = self.listening.remove(&socket) {
            listening.queue.into_iter().for_each(|end| self.close_end(end));
        }
    }

    pub(crate) fn wake(&mut self, pipe: usize) {
        self.pipes[pipe].waits.drain(..).for_each(Waker::wake);
    }

    fn damage_by_chance(&mut self) {
        if self.damages < self.chances.damages && self.me() != 0 && self.draw(1000) < self.chances.damage {
            self.damages += 1;
            self.damage();
        }
    }

    /// Damages a file by chance, as another program or a user may.
    fn damage(&mut self) {
        let point = self.point.clone();
        let Some(inode) = self.names.get(&point).copied() else { return };
        let (before, len) = (self.me(), self.inodes[inode].bytes.len());
        self.running.push(0);
        let socket =
            |(path, inode): (&PathBuf, &usize)| (self.inodes[*inode].kind == Kind::Socket).then(|| path.clone());
        let socket = self.names.iter().find_map(socket);
        match (self.chances.beside, self.draw(5), socket) {
            (true, 0 | 1, Some(socket)) => {
                self.names.remove(&socket);
                self.note("DeleteSocket", short(&socket));
            }
            (true, ..) => {
                self.names.remove(&self.life.clone());
                self.note("DeleteLife", String::new());
            }
            (_, 0, _) => {
                self.inodes[inode].bytes.truncate(len / 2);
                self.note("Tear", String::new());
            }
            (_, 1, _) => {
                self.inodes[inode].bytes.clear();
                self.note("Empty", String::new());
            }
            (_, 2, _) => {
                self.inodes[inode].bytes = b"nonsense ".repeat(40);
                self.note("Strange", String::new());
            }
            (_, 3, _) => {
                self.names.remove(&point);
                self.note("Delete", String::new());
            }
            _ => {
                let copy = self.inode(Kind::File);
                self.inodes[copy].bytes = self.inodes[inode].bytes.clone();
                self.names.insert(point, copy);
                self.note("Copy", String::new());
            }
        }
        self.running.pop();
        debug_assert_eq!(self.me(), before);
    }
}

impl Process {
    pub(crate) fn at(&mut self, step: &'static str, damages: u32) {
        (self.step, self.damages) = (step, damages);
    }

    pub(crate) fn new(parent: Pid, is_server: bool) -> Self {
        Process {
            alive: true,
            is_server,
            code: None,
            stdin: None,
            stdout: None,
            waits: Vec::new(),
            step: "",
            damages: 0,
            handles: false,
            parent,
            registered: false,
            probed: None,
        }
    }
}

/// Names a file for the log.
pub(crate) fn short(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl World {
    pub(crate) fn name_of(&self, inode: usize) -> String {
        let name = self.names.iter().find(|(_, of)| **of == inode);
        name.map_or_else(|| format!("({inode}, without a name)"), |(path, _)| short(path))
    }

    /// Takes note of a try of a lock, for the properties.
    pub(crate) fn locked(&mut self, inode: usize, hold: Hold, free: bool) {
        let (me, is_point) = (self.me(), self.names.get(&self.point) == Some(&inode));
        if is_point && hold == Hold::Exclusive {
            self.process(me).probed = None;
        } else if hold == Hold::Shared {
            // Only the lifetime lock is shared.
            self.process(me).probed = Some(free);
        }
    }
}
