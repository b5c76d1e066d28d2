//! The handlers of a server whose clients the program accepts itself.

use tokio::sync::{mpsc, oneshot};

use super::handlers::{Clients, Session};
use super::launch::Launched;
use super::shutdown::Shutdown;
use crate::error::{Error, NotBuilt};
use crate::handler::ServerHandle;
use crate::peer::Peer;
use crate::stream::Stream;

/// The clients that a server in this process has welcomed. Dropping it requests the retirement.
pub(crate) struct Incoming {
    server: ServerHandle,
    shutdown: Shutdown,
    built: Built,
    waiting: mpsc::Receiver<Session>,
    _runs: oneshot::Sender<()>,
}

/// The end of a server in this process. Dropping it requests the retirement.
pub(crate) struct Ending {
    launched: Launched,
}

impl Incoming {
    /// Waits until the server holds the lifetime lock.
    pub(super) async fn begun(mut launched: Launched, clients: Clients) -> Result<(Self, Ending), Error> {
        let Clients { begun, built, waiting, runs, .. } = clients;
        let built = Built(Some(built));
        let Ok(server) = begun.await else {
            // The server ends before it has begun, and waits until no code of its handler runs.
            drop((runs, waiting));
            return Err(launched.ended().await.err().unwrap_or_else(|| Error::missing("the listener")));
        };
        let shutdown = launched.shutdown.clone();
        Ok((Incoming { server, shutdown, built, waiting, _runs: runs }, Ending { launched }))
    }

    pub(crate) fn server(&self) -> &ServerHandle {
        &self.server
    }

    /// Returns the next client, or `None` when there will be no other.
    pub(crate) async fn accept(&mut self) -> Option<(Peer, Stream)> {
        self.built.report(Ok(()));
        loop {
            let session = tokio::select! {
                biased;
                session = self.waiting.recv() => session,
                // Every client was counted and sent before. One may have been sent after the receiver was polled.
                _ = self.server.retiring() => self.waiting.try_recv().ok(),
            };
            match session?.open() {
                Ok(client) => return Some(client),
                Err(error) => tracing::warn!(target: "rendezvous_ipc::serve", %error, "a client was lost"),
            }
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.shutdown.leave();
    }
}

impl Ending {
    /// Has the server retire, and waits until it has.
    pub(crate) async fn drained(mut self) -> Result<(), Error> {
        self.launched.retire();
        self.launched.ended().await
    }
}

/// The report that the program accepts clients. Dropped before, it reports that the program does not.
struct Built(Option<oneshot::Sender<Result<(), Error>>>);

impl Built {
    fn report(&mut self, built: Result<(), Error>) {
        if let Some(report) = self.0.take() {
            // If the server is gone, no client comes.
            let _ = report.send(built);
        }
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        self.report(Err(Error::Handler(NotBuilt::Abandoned.into())));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::handlers::Handlers;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_begins_does_not_wait_for_its_listener() {
        let (handlers, clients) = Handlers::of_listener();
        let (tell, ended) = oneshot::channel();
        let began = Instant::now();
        let server = async {
            let ended = handlers.end(Duration::from_secs(60)).await;
            tell.send(Err(Error::missing("its turn"))).expect("the listener waits");
            ended
        };
        let launched = Launched { shutdown: Shutdown::new(), ended };
        let (begun, ended) = tokio::join!(Incoming::begun(launched, clients), server);
        assert!(begun.is_err_and(|error| error.to_string().contains("its turn")));
        assert!(ended && began.elapsed().is_zero(), "{:?}", began.elapsed());
    }
}
