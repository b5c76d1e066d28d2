//! Processes: commands, children, the pipes to them.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::task::Poll;

pub(crate) use super::super::unix::process::{Next, is_shortage, os_string, value_of};
use super::file::File;
use super::net::Endpoint;
use super::tasks::{self, Program};
use super::world::{self, Pid, Process, effect};
use crate::os::line_buffer::LineBuffer;
use crate::proto::pipes::{ORDER_MAX, Order, is_registered};

thread_local!(static PROGRAM: RefCell<Option<fn() -> Program>> = const { RefCell::new(None) });

/// Sets what every command executes.
pub(crate) fn install(program: fn() -> Program) {
    PROGRAM.set(Some(program));
}

/// What a stream of a child leads to.
pub(crate) enum Stdio {
    Piped,
    End(Endpoint),
    File,
}

impl Stdio {
    pub(crate) fn piped() -> Self {
        Stdio::Piped
    }
}

impl From<File> for Stdio {
    fn from(_: File) -> Self {
        Stdio::File
    }
}

/// A command. Arguments and environment mean nothing here.
pub(crate) struct Command {
    stdin: Option<Endpoint>,
}

impl Command {
    pub(crate) fn new(_program: impl AsRef<OsStr>) -> Self {
        Command { stdin: None }
    }

    pub(crate) fn current_dir(&mut self, _: impl AsRef<Path>) -> &mut Self {
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(&mut self, _: impl IntoIterator<Item = A>) -> &mut Self {
        self
    }

    pub(crate) fn env(&mut self, _: impl AsRef<OsStr>, _: impl AsRef<OsStr>) -> &mut Self {
        self
    }

    pub(crate) fn env_remove(&mut self, _: impl AsRef<OsStr>) -> &mut Self {
        self
    }

    pub(crate) fn env_clear(&mut self) -> &mut Self {
        self
    }

    pub(crate) fn envs<K, V>(&mut self, _: impl IntoIterator<Item = (K, V)>) -> &mut Self {
        self
    }

    pub(crate) fn stdin(&mut self, to: impl Into<Stdio>) -> &mut Self {
        self.stdin = if let Stdio::End(end) = to.into() { Some(end) } else { None };
        self
    }

    pub(crate) fn stdout(&mut self, _: impl Into<Stdio>) -> &mut Self {
        self
    }

    pub(crate) fn stderr(&mut self, _: impl Into<Stdio>) -> &mut Self {
        self
    }

    pub(crate) fn spawn(&mut self) -> io::Result<Child> {
        effect("spawn", String::new)?;
        let program = PROGRAM.with_borrow(|program| program.ok_or(io::ErrorKind::NotFound))?;
        let parent = world::me();
        let pid = tasks::start(Process::new(parent, true), program());
        let stdout = world::with(|world| {
            let (ours, theirs) = world.connection(parent, pid);
            world.process(pid).stdout = Some(theirs);
            if let Some(Endpoint(stdin)) = &self.stdin {
                world.ends.get_mut(stdin).into_iter().for_each(|end| end.owner = pid);
                world.process(pid).stdin = Some(*stdin);
            }
            world.process(parent).probed = None;
            world.note("spawned", pid.to_string());
            ChildStdout(Endpoint(ours))
        });
        Ok(Child { pid, stdout: Some(stdout) })
    }
}

/// The spawner's end of a child's output.
pub(crate) struct ChildStdout(pub(super) Endpoint);

/// A process that this one has started.
pub(crate) struct Child {
    pid: Pid,
    pub(crate) stdout: Option<ChildStdout>,
}

impl Child {
    pub(crate) fn id(&self) -> u32 {
        self.pid
    }

    pub(crate) fn kill(&mut self) -> io::Result<()> {
        effect("kill", || self.pid.to_string())?;
        world::with(|world| world.bury(self.pid, 128 + 9));
        Ok(())
    }

    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        world::with(|world| world.process(self.pid).code).map(ExitStatus::from_raw).ok_or_else(world::dead)
    }
}

pub(crate) fn id() -> u32 {
    world::me()
}

/// Calls `then` when a child has ended, in a task of its parent.
pub(crate) fn at_end(id: u32, then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_local(async move {
        poll_fn(|cx| {
            world::with(|world| {
                let child = world.process(id);
                match child.alive {
                    true => {
                        child.waits.push(cx.waker().clone());
                        Poll::Pending
                    }
                    false => Poll::Ready(()),
                }
            })
        })
        .await;
        then();
    });
    Ok(())
}

pub(crate) fn end_without_a_reaper(child: &mut Child) {
    let _ = child.kill();
}

/// The spawner's end of a child's standard input.
pub(crate) struct Orders(Endpoint);

impl Orders {
    pub(crate) fn with(order: &Order<'_>) -> io::Result<(Self, Stdio)> {
        let mut line = LineBuffer::<ORDER_MAX>::new();
        order.write(&mut line).map_err(|_| io::ErrorKind::InvalidFilename)?;
        let (ours, theirs) = world::with(|world| world.connection(world.me(), world.me()));
        let orders = Orders(Endpoint(ours));
        orders.send(line.bytes())?;
        Ok((orders, Stdio::End(Endpoint(theirs))))
    }

    pub(crate) fn send(&self, line: &[u8]) -> io::Result<()> {
        self.0.send(line)?;
        if is_registered(line) {
            world::with(|world| {
                let child = world.ends.get(&self.0.0).and_then(|ours| {
                    world.ends.values().find(|end| end.reads == ours.writes).map(|theirs| theirs.owner)
                });
                child.into_iter().for_each(|child| world.process(child).registered = true);
            });
        }
        Ok(())
    }

    pub(crate) fn end(&self) {
        self.0.shut_down(true);
    }

    pub(crate) fn is_connected(&self) -> bool {
        !matches!(self.0.receive(&mut [0], false), Ok(0))
    }
}

/// The lines that arrive at a socket.
pub(crate) struct Lines {
    input: Arc<Endpoint>,
    buffer: LineBuffer<ORDER_MAX>,
}

impl Lines {
    pub(crate) fn of(input: Endpoint) -> Self {
        Lines { input: Arc::new(input), buffer: LineBuffer::new() }
    }

    pub(crate) fn input(&self) -> Arc<Endpoint> {
        self.input.clone()
    }

    pub(crate) fn creator(&self) -> Option<u32> {
        self.input.peer()
    }

    pub(crate) fn next<T>(&mut self, read: impl Fn(&[u8]) -> T) -> Next<T> {
        loop {
            if let Some(line) = self.buffer.take_line(&read) {
                return Next::Line(line);
            }
            if self.buffer.room().is_empty() {
                return Next::End;
            }
            match self.input.receive(self.buffer.room(), true) {
                Ok(len @ 1..) => self.buffer.filled(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Nothing,
                _ => return Next::End,
            }
        }
    }
}

/// The program's path, which is the same in all processes.
pub(crate) fn this_program() -> Option<PathBuf> {
    Some("/program".into())
}

pub(crate) fn cannot_execute(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

pub(crate) fn modified(_: &Path) -> Option<u32> {
    Some(1)
}

pub(crate) fn own_build() -> Option<u32> {
    Some(1)
}

pub(crate) fn notify_service_manager() {}

pub(crate) fn was_given_sockets() -> bool {
    false
}

pub(crate) fn make_new_files_private() {}

pub(crate) fn leave_session() {}

pub(crate) fn try_room_for_a_runtime() -> io::Result<()> {
    Ok(())
}

pub(crate) fn descriptors() -> usize {
    1024
}

pub(crate) fn raise_descriptors() {}

pub(crate) fn make_room_for_descriptors() {}

pub(crate) fn may_grow_to(_: u64) -> io::Result<()> {
    Ok(())
}

pub(crate) fn exit() {
    end_this_process();
}

/// Ends this process. What it does until it waits has no effect.
pub(crate) fn end_this_process() {
    world::with(|world| {
        world.note("ends itself", String::new());
        world.bury(world.me(), 128 + 9);
    });
}
