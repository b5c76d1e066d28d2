//! A server that is being started in the dialect: the listener that it inherits, its cookie, and its end.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use super::super::child::{execute, failure, surround};
use super::super::effects::NoChild;
use super::super::files::log;
use super::super::net::socket::BACKLOG;
use super::super::reaper::Process;
use super::super::watching::Watching;
use crate::error::{Error, StartFailure};
use crate::proto::cookie::Cookie;
use crate::proto::sequoia::connect::Introduced;
use crate::proto::sequoia::record::Record;
use crate::proto::timing::EXIT_GRACE;
use crate::service::Service;
use crate::stage::Stage;

/// A listener for a server to be, and the first connection to it, which carried the cookie.
pub(super) struct Port {
    listener: TcpListener,
    introduction: TcpStream,
}

impl Port {
    /// Listens, and is the first to connect: the server does not run yet, and no other process knows the port.
    pub(super) async fn open(cookie: &Cookie) -> io::Result<(Self, Record)> {
        // It blocks, as the servers of the dialect expect it to.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        rustix::net::listen(&listener, BACKLOG as i32)?;
        let address = listener.local_addr()?;
        let mut introduction = TcpStream::connect(address).await?;
        introduction.write_all(cookie.expose()).await?;
        let port = NonZeroU16::new(address.port()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok((Port { listener, introduction }, Record { cookie: cookie.clone(), port }))
    }
}

/// A child that is not registered: dropping it kills it. A thread of its own reaps it in the end.
pub(super) struct Child {
    process: Process,
    pid: u32,
    registered: bool,
    introduction: TcpStream,
    watch: Watching,
    log_begin: u64,
}

impl Child {
    /// Starts a process, with the listener as its standard input.
    pub(super) async fn spawn(service: &Service, port: Port) -> Result<Self, NoChild> {
        let local = |error| NoChild::Local(Error::System { stage: Stage::Spawn, source: error });
        let (program, context) = (service.program().map_err(NoChild::Local)?, &service.context);
        let (errors, log_begin) = log::open(&service.log).map_err(NoChild::Local)?;
        let Port { listener, introduction } = port;
        let (watch, report) = Watching::start();
        let mut command = Command::new(&program.path);
        surround(&mut command, service);
        command.args(&program.args).args(context.to_sequoia_args());
        command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(errors.try_clone().map_err(local)?).stderr(errors);
        let directory = service.directory();
        let spawn = || command.spawn().map_err(|error| NoChild::of(program, directory, error));
        let process = execute(&watch, service.limits.start, spawn).await?;
        let pid = process.id();
        let process = Process::reaped(process, report).map_err(local)?;
        Ok(Child { process, pid, registered: false, introduction, watch, log_begin })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Where its part of the log begins.
    pub(super) fn log_begin(&self) -> u64 {
        self.log_begin
    }

    /// Waits until the child closes the connection on which it received the cookie, exits, or has used up its budget.
    pub(super) async fn received(&mut self, budget: Duration) -> Result<(), StartFailure> {
        let (until, mut bytes) = (self.watch.until(budget), [0; 64]);
        let mut exited = None;
        let introduced = tokio::select! {
            biased;
            end = self.introduction.read(&mut bytes) => match end {
                Ok(0) => Introduced::Closed,
                Ok(read) => Introduced::Sent(read),
                // The exit and the end of its sockets race: the exit explains more, so it has a moment.
                Err(_) => {
                    exited = timeout(EXIT_GRACE, &mut self.watch.exit).await.ok().and_then(Result::ok).flatten();
                    Introduced::Broken
                }
            },
            status = &mut self.watch.exit => {
                exited = status.ok().flatten();
                Introduced::Exited
            }
            () = sleep_until(until) => Introduced::Overdue,
        };
        introduced.failure().map_or(Ok(()), |why| Err(failure(why, exited, budget)))
    }

    /// From here on it is a server like any other.
    pub(super) fn register(mut self) {
        self.registered = true;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.registered {
            self.process.kill();
        }
    }
}
