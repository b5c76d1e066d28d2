//! A server that is being started: its process, the socket pair and the pipe to it, and its end.

use std::env;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::effects::{self, Awaited, NoChild};
use super::files::log;
use super::os::line_buffer::LineBuffer;
use super::os::process::{self, ChildStdout, Command, Orders, Stdio};
use super::os::{file, scope};
use super::random;
use super::reaper::Process;
use crate::context::Context;
use crate::error::{Error, StartFailure};
use crate::proto::child::{Answer, End, NotStarted, Output, Why};
use crate::proto::cookie::Cookie;
use crate::proto::pipes::{Order, REGISTERED, Tag, Text, VARIABLE};
use crate::proto::timing::Pause;
use crate::service::{Program, Service};
use crate::stage::Stage;
use crate::start;
use crate::surroundings::Change;

/// How a driver waits for a child. Its clock begins with the child's time.
pub(super) trait Watch {
    /// The spawner's end of the child's standard output.
    type Replies;

    /// Returns how much of the child's time is over.
    fn elapsed(&self) -> Duration;

    /// Waits for so long.
    async fn pause(&self, pause: Duration);

    /// Takes the spawner's end of the child's standard output.
    fn replies(stdout: ChildStdout) -> io::Result<Self::Replies>;

    /// Awaits a line of the child, its exit, and the end of its budget. Returns the exit, if it was seen.
    ///
    /// The end of the output and the exit race, and the exit says more, so each waits [`EXIT_GRACE`] for the other: a
    /// fork of the child may keep the pipe open.
    ///
    /// [`EXIT_GRACE`]: crate::proto::timing::EXIT_GRACE
    async fn end(
        &mut self,
        replies: &mut Self::Replies,
        line: &mut LineBuffer,
        budget: Duration,
    ) -> (End, Option<ExitStatus>);
}

/// A child that is not registered. Dropping it kills the process, and a thread of its own reaps it.
pub(super) struct Child<W: Watch> {
    process: Process,
    pid: u32,
    registered: bool,
    orders: Option<Orders>,
    context: Context,
    watch: W,
    replies: W::Replies,
    log_begin: u64,
}

impl NoChild {
    /// Returns why a program was not started.
    pub(super) fn of(program: &Program, directory: &Path, error: io::Error) -> Self {
        let is_there = file::is_directory(directory);
        match NotStarted::of(process::cannot_execute(&error), is_there) {
            NotStarted::CannotExecute => NoChild::CannotExecute(error),
            NotStarted::Local => NoChild::Local(Error::file(if is_there { &program.path } else { directory }, error)),
        }
    }
}

/// Sets the environment and the working directory of a server that is to be started.
pub(super) fn surround(command: &mut Command, service: &Service) {
    command.current_dir(service.directory());
    for change in &service.surroundings.environment {
        match change {
            Change::Set(name, value) => command.env(name, value),
            Change::Remove(name) => command.env_remove(name),
            Change::Keep(names) => {
                command.env_clear().envs(names.iter().filter_map(|name| Some((name, env::var_os(name)?))))
            }
        };
    }
}

/// Starts a process. Retries while another process has the program open for writing, for as long as a start may take:
/// an installer is about to close it.
pub(super) async fn execute<T>(
    watch: &impl Watch,
    budget: Duration,
    mut spawn: impl FnMut() -> Result<T, NoChild>,
) -> Result<T, NoChild> {
    let mut pause = Pause::default();
    loop {
        match spawn() {
            Err(NoChild::CannotExecute(error))
                if error.kind() == io::ErrorKind::ExecutableFileBusy && watch.elapsed() < budget =>
            {
                watch.pause(random::pause(&mut pause).map_err(NoChild::Local)?).await;
            }
            spawned => return spawned,
        }
    }
}

impl<W: Watch> Child<W> {
    /// Starts a process with an order: its context, its cookie and what is left of the budget. The reaper's thread,
    /// which passes the exit to `report`, starts while the program is loaded.
    pub(super) async fn spawn(
        service: &Service,
        cookie: &Cookie,
        budget: Duration,
        (watch, report): (W, impl FnOnce(Option<ExitStatus>) + Send + 'static),
    ) -> Result<Self, NoChild> {
        let (program, context, log) = (service.program().map_err(NoChild::Local)?, &service.context, &service.log);
        let local = |error| NoChild::Local(Error::System { stage: Stage::Spawn, source: error });
        let (errors, log_begin) = log::open(log).map_err(NoChild::Local)?;
        let mut command = Command::new(&program.path);
        surround(&mut command, service);
        let tag = Tag::drawn(random::draw().map_err(NoChild::Local)?);
        command.args(&program.args).env(VARIABLE, tag.to_string());
        command.stdout(Stdio::piped()).stderr(errors);
        let depth = start::depth_below(&service.point).map_err(NoChild::Local)?;
        let kernel = scope::kernel().map_err(NoChild::Local)?;
        let (mut process, orders) = execute(&watch, budget, || {
            let order = Order {
                tag,
                depth,
                budget: budget.saturating_sub(watch.elapsed()),
                ephemeral: context.is_ephemeral(),
                kernel,
                name: Text::of(service.point.file_name().unwrap_or_default().as_encoded_bytes()),
                home: Text::of(context.home().as_os_str().as_encoded_bytes()),
                lib: context.lib().map(|lib| Text::of(lib.as_os_str().as_encoded_bytes())),
                cookie: cookie.clone(),
            };
            // It waits for the child from the beginning: see `Waiting`.
            let (orders, stdin) = Orders::with(&order).map_err(local)?;
            let spawned = command.stdin(stdin).spawn();
            Ok((spawned.map_err(|error| NoChild::of(program, service.directory(), error))?, orders))
        })
        .await?;
        // The child's ends are its own from here on.
        drop(command);
        let pid = process.id();
        let stdout = process.stdout.take();
        let process = Process::reaped(process, report).map_err(local)?;
        let replies = stdout.ok_or_else(|| io::ErrorKind::BrokenPipe.into()).and_then(W::replies);
        let replies = match replies {
            Ok(replies) => replies,
            Err(error) => {
                process.kill();
                return Err(local(error));
            }
        };
        let (orders, context) = (Some(orders), context.clone());
        Ok(Child { process, pid, registered: false, orders, context, watch, replies, log_begin })
    }
}

impl<W: Watch> effects::Child for Child<W> {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn log_begin(&self) -> u64 {
        self.log_begin
    }

    async fn reply(&mut self, budget: Duration) -> Awaited {
        let mut reply = LineBuffer::new();
        let (end, exited) = self.watch.end(&mut self.replies, &mut reply, budget).await;
        match Output::read(reply.line().unwrap_or(reply.bytes())).judge(end) {
            Answer::Ready(record) => Awaited::Ready(record),
            Answer::Busy => Awaited::Busy,
            Answer::Failed(why) => Awaited::Failed(failure(why, exited, budget)),
        }
    }

    /// Registers the child. The standard input of a server of an ephemeral context stays open until the context ends.
    fn confirm(mut self) {
        self.registered = true;
        if let Some(orders) = self.orders.take() {
            // The dial finds out whether it arrived.
            let _ = orders.send(REGISTERED.as_bytes());
            if let Some(ephemeral) = self.context.hold() {
                ephemeral.hold(orders);
            }
        }
    }
}

impl<W: Watch> Drop for Child<W> {
    fn drop(&mut self) {
        if !self.registered {
            self.process.kill();
        }
    }
}

/// Returns the public error for a failure.
pub(super) fn failure(why: Why<'_>, exited: Option<ExitStatus>, budget: Duration) -> StartFailure {
    match why {
        Why::Reported(reason) => StartFailure::Reported(reason.to_owned()),
        Why::OtherVersion => StartFailure::OtherVersion,
        Why::Nonsense { bytes } => StartFailure::Nonsense { bytes },
        Why::Silent => StartFailure::Silent,
        Why::Exited => StartFailure::Exited(exited),
        Why::Overdue => StartFailure::Overdue(budget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::pipes::Reply;
    use crate::proto::record::tests::sample;

    #[test]
    fn a_home_that_is_missing_is_not_a_program_that_cannot_be_executed() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("home");
        let program = Program { path: "program".into(), args: Vec::new() };
        let not_started = || {
            let error = Command::new(directory.path().join("program")).current_dir(&home).spawn().unwrap_err();
            NoChild::of(&program, &home, error)
        };
        assert!(matches!(not_started(), NoChild::Local(Error::File { path, .. }) if path == home));
        std::fs::create_dir(&home).unwrap();
        assert!(matches!(not_started(), NoChild::CannotExecute(_)));
    }

    /// A wait that ends with the exit of a child which had said *ready*.
    struct Exits;

    impl Watch for Exits {
        type Replies = ChildStdout;

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }

        async fn pause(&self, _: Duration) {}

        fn replies(stdout: ChildStdout) -> io::Result<ChildStdout> {
            Ok(stdout)
        }

        async fn end(&mut self, _: &mut ChildStdout, line: &mut LineBuffer, _: Duration) -> (End, Option<ExitStatus>) {
            let ready = [Reply::READY.as_bytes(), &sample().line()].concat();
            line.room()[..ready.len()].copy_from_slice(&ready);
            line.filled(ready.len());
            (End::Exited, None)
        }
    }

    #[tokio::test]
    async fn a_child_that_exits_is_not_ready_whatever_it_said() {
        let home = tempfile::tempdir().unwrap();
        let program = Ok(Program { path: "true".into(), args: Vec::new() });
        let service = Service { program, ..Service::sample(home.path()) };
        let cookie = Cookie::new([3; 32]);
        let spawned = Child::spawn(&service, &cookie, Duration::from_secs(60), (Exits, |_| {})).await;
        let Ok(mut child) = spawned else { panic!("there is no program `true`") };
        assert_eq!(effects::Child::pid(&child), child.pid, "it is reported if the lifetime lock is held");
        let answer = effects::Child::reply(&mut child, Duration::from_secs(60)).await;
        assert!(matches!(answer, Awaited::Failed(StartFailure::Exited(None))));
    }

    #[test]
    fn a_child_is_killed_if_there_is_no_thread_that_waits_for_it() {
        let child = Command::new("sleep").arg("30").spawn().unwrap();
        let (id, begun) = (child.id(), std::time::Instant::now());
        let none = Process::reaped_by(child, |_| Err(io::ErrorKind::WouldBlock.into()));
        assert_eq!(none.err().unwrap().kind(), io::ErrorKind::WouldBlock);
        process::wait_for_end(id);
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it was not killed");
    }
}
