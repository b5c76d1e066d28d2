//! The calls of programs that block their thread, over `std` and this system alone.
//!
//! The loops are those of the other driver. Their futures are polled once: each effect here blocks the thread until it is
//! done. An effect that is still not done when the deadline of the whole call is reached never ends, so that the loop is
//! dropped there, as it is where a timer of a runtime drops it, and releases what it holds.

mod dial;
mod system;
mod watching;

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use self::system::System;
use super::ending::{self, Ended};
use super::report::Report;
use super::waiting::Teller;
use super::{end, inspect as inspecting};
use crate::blocking::{BlockingConnection, BlockingStream};
use crate::error::Error;
use crate::join::Join;
use crate::keeps::Keeps;
use crate::os::blocking::Blocking;
use crate::proto::connect::{Goal, Policy};
use crate::proto::handshake::Welcome;
use crate::service::Service;
use crate::status::{Retirement, Status, Termination};

/// Connects to the server of a service, starting a process where there is none.
pub(crate) fn connect(service: &Service) -> Result<BlockingConnection, Error> {
    let teller = Teller::of_connect(service);
    let mut report = Report::new(&teller);
    match run_to(service, Goal::Connect(Policy::External), &mut report)? {
        Ended::Welcomed(welcome, stream) => Ok(connection(service, welcome, stream, &mut report)),
        Ended::Start(_) | Ended::Absent | Ended::Internal(_) => Err(Error::missing("the server that was connected to")),
    }
}

/// Joins the server of a service, if there is one.
pub(crate) fn join(service: &Service) -> Result<Join<BlockingConnection>, Error> {
    let teller = Teller::of_connect(service);
    let mut report = Report::new(&teller);
    match run_to(service, Goal::Join, &mut report)? {
        Ended::Welcomed(welcome, stream) => Ok(Join::Joined(connection(service, welcome, stream, &mut report))),
        Ended::Absent => Ok(Join::Absent),
        Ended::Start(_) | Ended::Internal(_) => Err(Error::missing("the server that was to be joined")),
    }
}

/// Inspects a point.
pub(crate) fn inspect(service: &Service) -> Result<Status, Error> {
    let teller = Teller::of_inspect(service);
    run(inspecting::inspect(&mut System::new(service, &teller), service, &teller))
}

/// Asks the server to retire, and waits until it is about to exit.
pub(crate) fn retire(service: &Service) -> Result<Retirement, Error> {
    let teller = Teller::of_connect(service);
    let mut system = System::until(service, service.limits.connect, &teller);
    let asked = run(inspecting::ask_to_retire(&mut system, service, &teller))?;
    let Some(server) = asked else { return Ok(Retirement::NoServer) };
    // The wait after the request has a limit of its own.
    let longest = inspecting::longest_exit(service);
    let teller = Teller::new(service, longest, longest);
    run(inspecting::exit(&mut System::new(service, &teller), service, &teller, server))
}

/// Kills the server of the record, if it holds its lifetime lock, does not answer, and makes no progress.
pub(crate) fn end_unresponsive(service: &Service) -> Result<Termination, Error> {
    let teller = Teller::of_end(service);
    run(end::end_unresponsive(&mut System::new(service, &teller), service, &teller))
}

/// Runs the loop of a connect with this goal.
fn run_to<'a>(service: &'a Service, goal: Goal, report: &mut Report<'a>) -> Result<Ended<System<'a>>, Error> {
    ending::may_connect(service)?;
    let mut system = System::until(service, service.limits.connect, report.teller());
    run(ending::run(&mut system, service, goal, report))
}

fn connection(service: &Service, welcome: Welcome, stream: Blocking, report: &mut Report<'_>) -> BlockingConnection {
    let keeps = Keeps { _context: service.context.hold(), ..Keeps::default() };
    BlockingConnection { stream: BlockingStream::new(stream, keeps), outcome: report.outcome(welcome) }
}

/// Runs a loop over effects that block.
fn run<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    poll(work, Waker::noop()).unwrap_or_else(|| Err(Error::Internal("a thread that blocks waited for a future".into())))
}

/// Runs a loop until one of its effects reaches the deadline. Their clock alone says when that is.
async fn within<T>(work: impl Future<Output = T>) -> Option<T> {
    let reached = Arc::new(Reached::default());
    match poll(work, &reached.clone().into()) {
        None if !reached.0.load(Ordering::Relaxed) => pending().await,
        done => done,
    }
}

/// Never ends, and wakes its task. So [`within`] can tell an effect at the deadline from a future that waits by itself.
async fn reach_the_deadline<T>() -> T {
    poll_fn(|task| {
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Whether an effect has reached the deadline of its call.
#[derive(Default)]
struct Reached(AtomicBool);

impl Wake for Reached {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn poll<T>(work: impl Future<Output = T>, waker: &Waker) -> Option<T> {
    match pin!(work).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests;
