//! Prepares the process of a server, and starts the server's thread.

use std::io::Write;
use std::thread;

use tokio::sync::oneshot;

use super::handlers::{Handler, Handlers};
use super::os::changes::{Changes, Instance};
use super::os::file::File;
use super::os::process::{self, Lines};
use super::os::signals::{self, Signals};
use super::os::{progress, reexec, scope, stat, stdio};
use super::serve::failed;
use super::shutdown::Shutdown;
use super::watchdog::Watchdog;
use super::{runtime, supervise};
use crate::error::{Error, Usage};
use crate::service::Service;
use crate::stage::Stage;
use crate::start::{self, Started};

/// A server on a thread of its own. Dropping it requests the retirement.
pub(super) struct Launched {
    pub(super) shutdown: Shutdown,
    pub(super) ended: oneshot::Receiver<Result<(), Error>>,
}

impl Launched {
    /// Requests that the server retire, unless it does already.
    pub(super) fn retire(&self) {
        self.shutdown.leave();
    }

    /// Waits until the server has retired. It must not be called again then.
    pub(super) async fn ended(&mut self) -> Result<(), Error> {
        (&mut self.ended).await.unwrap_or_else(|_| Err(Error::missing("the server's thread")))
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        self.retire();
    }
}

/// What [`launch`] makes for a server before it takes its order or touches a file.
pub(super) struct Prepared {
    pub(super) signals: Signals,
    /// What reports changes of the files. `None`: the system does not.
    pub(super) changes: Option<Changes>,
    /// In a server of the native dialect that a client started: its watchdog, and the pipes to the client.
    pub(super) spawner: Option<(Watchdog, Lines, File)>,
    /// The handlers' thread, where it was started early. Without one, *Build* tries again, and says why there is none.
    pub(super) handlers: Option<Handlers>,
}

/// Launches a server. `by` is how clients of its dialect start a server; `run` serves.
///
/// While a client waits, the threads start side by side: the server's thread and the handlers' thread make their
/// runtimes, and this one prepares the process. It looks for inherited files, which may execute the program again. So
/// nobody takes the order, handles a signal or touches a file before that. The watchdog's budget begins here, and anew
/// if the program is executed again.
pub(super) fn launch<R>(service: Service, mut handler: Handler, by: Started, run: R) -> Result<Launched, Error>
where
    R: AsyncFnOnce(&Service, Prepared, Handler, Shutdown) -> Result<(), Error> + Send + 'static,
{
    let service = allowed(service, by).map_err(told)?;
    let spawned = service.context.started() != Started::Hand;
    let keeps_umask = service.surroundings.keeps_umask;
    if spawned {
        start::begin_to_serve(&service.point)?;
        signals::block_only_timers();
    }
    let shutdown = Shutdown::new();
    let (send_ended, ended) = oneshot::channel();
    let launched = Launched { shutdown: shutdown.clone(), ended };
    let (go, gone) = oneshot::channel();
    // Before any thread opens a file, so that a killed process closes it last.
    let instance = Instance::new().ok();
    let body = move || match runtime::local() {
        Ok(runtime) => runtime.block_on(async {
            // Otherwise the launch has failed, and reported why.
            let Ok((spawner, handlers, handler)) = gone.await else { return Ok(()) };
            // After the program may have been executed again, which would lose a signal that was caught. Before any
            // file is written: this process has inherited the limits of the process that started it.
            let signals = Signals::new(spawned).map_err(Error::system(Stage::Watch))?;
            let changes = instance.and_then(|instance| Changes::by(instance).ok());
            run(&service, Prepared { signals, changes, spawner, handlers }, handler, shutdown).await
        }),
        Err(error) => Err(Error::System { stage: Stage::Watch, source: error }),
    };
    thread::Builder::new()
        .name(progress::SERVING.into())
        .spawn(move || {
            let result = supervise::caught_thread("the server's thread", body);
            let _ = send_ended.send(result.unwrap_or_else(|dead| supervise::end(dead, spawned)));
        })
        .map_err(Error::system(Stage::Watch))?;
    let (mut spawner, mut handlers) = (None, None);
    if spawned {
        let watchdog = start::budget().map(Watchdog::start).transpose().inspect_err(tell)?;
        handlers = handler.start().ok();
        process::raise_descriptors();
        if let Err(error) = reexec::close_inherited() {
            tracing::warn!(target: "rendezvous_ipc::serve", %error, "what this process inherited stays open");
        }
        if let Some(watchdog) = watchdog {
            let (orders, replies) = stdio::take().map_err(Error::system(Stage::Watch))?;
            spawner = Some((watchdog, orders, replies));
        }
        process::leave_session();
        if !keeps_umask {
            process::make_new_files_private();
        }
    }
    let _ = go.send((spawner, handlers, handler));
    if spawned {
        // The record needs them, and this thread has nothing else to do now. An error is seen where they are needed.
        let _ = (scope::kernel(), stat::own_began());
    }
    // It may take longer than the start, so no thread of the server does it. If there is no thread for it, the server
    // makes room when it needs it.
    let room = thread::Builder::new().name("rendezvous-room".into());
    let _ = room.spawn(process::make_room_for_descriptors);
    Ok(launched)
}

/// Returns the service as [`ordered`] does, if this process may serve it.
fn allowed(service: Service, by: Started) -> Result<Service, Error> {
    if process::was_given_sockets() {
        return Err(Error::Usage(Usage::SocketActivation));
    }
    let service = ordered(service)?;
    let started = service.context.started();
    #[cfg(feature = "sequoia")]
    if started == Started::Hand && start::started_with_a_listener() {
        return Err(Error::Usage(Usage::ContextWithoutArguments));
    }
    if started != Started::Hand && started != by {
        return Err(Error::Usage(Usage::StartedForOtherDialect));
    }
    Ok(service)
}

/// Returns the service in the context that the spawner has ordered, or as it is where there is no spawner. If this
/// process may not serve the service, the spawner is told.
fn ordered(service: Service) -> Result<Service, Error> {
    start::check_serves_nothing(&service.point)?;
    match start::order_of(&service.point, service.limits.patience) {
        Ok(None) => Ok(service),
        Ok(Some(order)) => {
            scope::spawned_on(order.kernel);
            let context = service.context.ordered(order);
            Ok(service.within(context))
        }
        Err(usage) => {
            let error = Error::Usage(usage);
            tell(&error);
            Err(error)
        }
    }
}

/// Returns the error, for which this process does not serve. A client that started it, and still waits, was told.
pub(crate) fn told(error: Error) -> Error {
    if start::pending().is_some() && start::order_waits() {
        tell(&error);
    }
    error
}

fn tell(error: &Error) {
    // A spawner that is gone needs no reason.
    if let Ok((_, mut replies)) = stdio::take() {
        let _ = replies.write_all(failed(&format!("{error:#}")).as_bytes());
    }
}
