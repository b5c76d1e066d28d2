//! Prepares the process of a server, and starts the server's thread.

use std::thread;

use tokio::sync::oneshot;

use super::os::{process, progress, reexec, signals};
use super::shutdown::Shutdown;
use super::{handlers, role, supervise};
use crate::context::{self, Started};
use crate::error::{Error, Usage};
use crate::handler::Factory;
use crate::service::Service;
use crate::stage::Stage;

/// Serves on a thread of its own until the server has retired. `by` is how clients of its dialect start a server;
/// `run` serves.
pub(super) async fn launch<R>(service: Service, factory: Factory, by: Started, run: R) -> Result<(), Error>
where
    R: AsyncFnOnce(&Service, Factory, Shutdown) -> Result<(), Error> + Send + 'static,
{
    let spawned = service.context.is_spawned();
    if process::was_given_sockets() {
        return Err(Error::Usage(Usage::SocketActivation));
    }
    if !spawned && context::started_as_server() {
        return Err(Error::Usage(Usage::ContextWithoutArguments));
    }
    if spawned {
        role::begin_to_serve()?;
        signals::block_only_timers();
        process::raise_descriptors();
        if let Err(error) = reexec::close_inherited() {
            tracing::warn!(target: "rendezvous_ipc::serve", %error, "what this process inherited stays open");
        }
        if service.context.started() != by {
            return Err(Error::Usage(Usage::StartedForOtherDialect));
        }
    }
    let shutdown = Shutdown::new();
    let (send_ended, ended) = oneshot::channel();
    let stop = StopOnDrop(shutdown.clone());
    let body = move || match handlers::local_runtime() {
        Ok(runtime) => runtime.block_on(run(&service, factory, shutdown)),
        Err(error) => Err(Error::System { stage: Stage::Watch, source: error }),
    };
    thread::Builder::new()
        .name(progress::SERVING.into())
        .spawn(move || {
            let result = supervise::caught_thread("the server's thread", body);
            let _ = send_ended.send(result.unwrap_or_else(|dead| supervise::end(dead, spawned)));
        })
        .map_err(Error::system(Stage::Watch))?;
    let ended = ended.await;
    drop(stop);
    ended.unwrap_or_else(|_| Err(Error::missing("the server's thread")))
}

/// Requests the retirement of a server when its `serve` is dropped.
struct StopOnDrop(Shutdown);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}
