//! The supervision of a server's tasks: one that panics, or ends by itself, is logged and leads to a defined end.
//!
//! The task that accepts is started again, on the same listening socket. If any other dies, or that one dies again at
//! once, the server retires: it drains, ends its handler and releases its locks. Then a server that a client started
//! ends its process, and `serve` by hand returns the error.
//!
//! A server's resources are held outside of the code that may panic. So they are released in the usual order, and the
//! lifetime lock after the last code of the handler.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::acceptor::{Acceptor, Handshake};
use super::handlers::Handlers;
use super::os::process;
use crate::error::Error;

/// Runs a loop on which others depend. A panic is logged and returned as an error.
pub(super) async fn caught<T>(what: &str, work: impl Future<Output = T>) -> Result<T, Error> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(dead(what, panicked(panic)))),
    })
    .await
}

/// Runs the body of a thread. A panic is logged and returned as an error.
pub(super) fn caught_thread<T>(what: &str, work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| dead(what, panicked(panic)))
}

/// Waits until a task without which a server serves no client is dead, and returns which. Until then it starts the task
/// that accepts again whenever that ends.
pub(super) async fn lost<G: Handshake>(acceptor: &mut Option<Acceptor<G>>, handlers: &mut Option<Handlers>) -> Error {
    loop {
        let accepting = async {
            match acceptor.as_mut() {
                Some(acceptor) => acceptor.accepts_no_more().await,
                None => std::future::pending().await,
            }
        };
        let running = async {
            match handlers.as_mut() {
                Some(handlers) => handlers.run_no_more().await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = accepting => ended,
            () = running => {
                *handlers = None;
                return dead("the thread of the handlers", "ended".into());
            }
        };
        let how = match ended {
            Ok(()) => "ended".into(),
            Err(error) => error.try_into_panic().map_or_else(|error| error.to_string(), panicked),
        };
        let dead = dead("the task that accepts", how);
        if !acceptor.as_mut().is_some_and(Acceptor::accept_again) {
            return dead;
        }
    }
}

/// Returns the result of a server: its loop's result, or the error of the task that it lost.
pub(super) fn ended(lived: Result<Result<(), Error>, Error>, lost: Option<Error>, spawned: bool) -> Result<(), Error> {
    match (lived, lost) {
        (Ok(result), None) => result,
        (Ok(_), Some(dead)) | (Err(dead), _) => end(dead, spawned),
    }
}

/// The end of a server that lost a task, when all that could be is drained and released: of its process where that is
/// nothing but this server.
pub(super) fn end(dead: Error, spawned: bool) -> Result<(), Error> {
    if spawned {
        log_anyway(|| tracing::error!(target: "rendezvous_ipc::serve", error = %dead, "the process ends"));
        // Its `main` may wait for something else, and the lifetime lock is held for as long as it does.
        process::exit();
    }
    Err(dead)
}

fn dead(what: &str, how: String) -> Error {
    let error = Error::Internal(format!("{what} {how}"));
    log_anyway(|| tracing::error!(target: "rendezvous_ipc::serve", %error, "a task is dead"));
    error
}

/// Logs an event. The subscriber may be what panicked, so its panic is caught.
fn log_anyway(log: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(log)) {
        std::mem::forget(panic);
    }
}

/// Returns the message of a panic. Its payload is not dropped, since that could panic, too.
fn panicked(panic: Box<dyn Any + Send>) -> String {
    let message = panic.downcast_ref::<&str>().map(|message| (*message).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    std::mem::forget(panic);
    message.map_or_else(|| "panicked".into(), |message| format!("panicked: {message}"))
}
