//! A server that is being started: its process, the two pipes to it, and its end.

use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connect::Pause;
use super::log;
use super::os::heard::Heard;
use super::os::process::{self, Orders};
use super::reaper::{Process, Reaper};
use crate::context::Context;
use crate::error::{Error, StartFailure};
use crate::proto::cookie::Cookie;
use crate::proto::record::Record;
use crate::proto::start::{Order, REGISTERED, Reply};
use crate::service::Program;

/// How long a child's exit is awaited when its output ended, and the rest of its output when it exited.
pub(super) const EXIT_GRACE: Duration = Duration::from_millis(200);

/// A child that is not registered: dropping it kills it. A thread of its own reaps it in the end.
pub(super) struct Child {
    process: Process,
    pid: u32,
    /// When its time began.
    began: Instant,
    registered: bool,
    orders: Option<Orders>,
    replies: pipe::Receiver,
    exit: oneshot::Receiver<Option<ExitStatus>>,
    log_begin: u64,
}

/// What came of waiting for a child.
pub(super) enum Awaited {
    Ready(Record),
    Busy,
    Failed(StartFailure),
}

/// Why there is no child.
pub(super) enum NoChild {
    /// The program cannot be executed.
    CannotExecute(io::Error),
    /// Our own trouble.
    Ours(Error),
}

impl NoChild {
    /// Why a program was not started.
    pub(super) fn of(program: &Program, context: &Context, error: io::Error) -> Self {
        // Only the program may be missing here: a working directory that is missing is our trouble.
        if process::cannot_execute(&error) && context.home().is_dir() {
            NoChild::CannotExecute(error)
        } else {
            NoChild::Ours(Error::file(&program.path, error))
        }
    }
}

/// Starts a process. Where somebody has its program open for writing it is tried again, for as long as a start may take:
/// an installer is about to close it.
pub(super) async fn execute(command: &mut Command, until: Instant) -> io::Result<process::Child> {
    let mut pause = Pause::default();
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < until => {
                sleep(pause.next().map_err(io::Error::other)?).await;
            }
            spawned => return spawned,
        }
    }
}

impl Child {
    /// Starts a process, and gives it its cookie and what is left of the budget.
    pub(super) async fn spawn(
        program: &Program,
        context: &Context,
        log: &std::path::Path,
        cookie: &Cookie,
        budget: Duration,
    ) -> Result<Self, NoChild> {
        let began = Instant::now();
        let ours = |error| NoChild::Ours(Error::System { stage: "Spawn", source: error });
        let (errors, log_begin) = log::open(log).map_err(NoChild::Ours)?;
        let (orders, stdin) = Orders::pair().map_err(ours)?;
        // The thread first: once there is a child, nothing may keep it from being reaped.
        let (reaper, exit) = Reaper::start().map_err(ours)?;
        let mut command = Command::new(&program.path);
        command.args(&program.args).args(context.to_args()).current_dir(context.home());
        command.stdin(stdin).stdout(Stdio::piped()).stderr(errors);
        let spawned = execute(&mut command, began + budget).await;
        let mut process = spawned.map_err(|error| NoChild::of(program, context, error))?;
        // The child's ends are its own from here on.
        drop(command);
        let pid = process.id();
        let stdout = process.stdout.take();
        let process = reaper.take(process);
        let replies = stdout.ok_or_else(|| io::ErrorKind::BrokenPipe.into()).and_then(process::replies);
        let replies = match replies {
            Ok(replies) => replies,
            Err(error) => {
                process.kill();
                return Err(ours(error));
            }
        };
        // A child that is dead already is noticed by its exit, which says more than this error does.
        let order = Order { cookie: cookie.clone(), budget: budget.saturating_sub(began.elapsed()) };
        let _ = orders.send(&order.line());
        Ok(Child { process, pid, began, registered: false, orders: Some(orders), replies, exit, log_begin })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Where its part of the log begins.
    pub(super) fn log_begin(&self) -> u64 {
        self.log_begin
    }

    /// Awaits its reply, its exit, or the end of its budget.
    pub(super) async fn reply(&mut self, budget: Duration) -> Awaited {
        let until = self.began + budget;
        let mut said = Heard::new();
        let exited = tokio::select! {
            biased;
            end = listen(&mut said, &mut self.replies) => match end {
                End::Line => return judge(&said),
                // The exit and the end of the output race: the exit says more, so it has a moment.
                End::Closed => match timeout(EXIT_GRACE, &mut self.exit).await {
                    Ok(status) => status.ok().flatten(),
                    Err(_) if said.bytes().is_empty() => return Awaited::Failed(StartFailure::Silent),
                    Err(_) => return judge(&said),
                },
            },
            status = &mut self.exit => {
                // What it said before it ended is in the pipe; a fork of it may keep the pipe open.
                let _ = timeout(EXIT_GRACE, listen(&mut said, &mut self.replies)).await;
                status.ok().flatten()
            }
            () = sleep_until(until) => return Awaited::Failed(StartFailure::Overdue(budget)),
        };
        match judge(&said) {
            _ if said.bytes().is_empty() => Awaited::Failed(StartFailure::Exited(exited)),
            Awaited::Ready(_) => Awaited::Failed(StartFailure::Exited(exited)),
            other => other,
        }
    }

    /// Says *registered*: from here on it is a server like any other. One of an ephemeral context is held by it.
    pub(super) fn confirm(mut self, context: &Context) {
        self.registered = true;
        if let Some(orders) = self.orders.take() {
            // Whether it arrived, the dial finds out.
            let _ = orders.send(REGISTERED.as_bytes());
            if let Some(ephemeral) = context.hold() {
                ephemeral.hold(orders);
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.registered {
            self.process.kill();
        }
    }
}

/// Why no more is listened for.
enum End {
    /// A line is whole, or too long to be one.
    Line,
    /// There will be no more.
    Closed,
}

/// Listens until a line is whole, or nothing more will come. Can be dropped and called again.
async fn listen(said: &mut Heard, replies: &mut (impl AsyncRead + Unpin)) -> End {
    loop {
        if said.line().is_some() || said.room().is_empty() {
            return End::Line;
        }
        match replies.read(said.room()).await {
            Ok(0) | Err(_) => return End::Closed,
            Ok(more) => said.heard(more),
        }
    }
}

/// What a child's line comes to. A line that is no reply is never quoted: whatever wraps a server may have put its own
/// words before the record, cut it, or folded it, and the cookie would be in what is left.
fn judge(said: &Heard) -> Awaited {
    let line = said.line().unwrap_or(said.bytes());
    match Reply::read(line) {
        Some(Reply::Ready(record)) => Awaited::Ready(record),
        Some(Reply::Busy) => Awaited::Busy,
        Some(Reply::Failed(reason)) => Awaited::Failed(StartFailure::Said(reason.to_owned())),
        None if line.starts_with(Reply::TOKEN.as_bytes()) => Awaited::Failed(StartFailure::OtherVersion),
        None => Awaited::Failed(StartFailure::Nonsense { bytes: line.len() }),
    }
}
