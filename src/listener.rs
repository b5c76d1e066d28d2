//! A server whose accept loop belongs to the program.

use std::fmt;

use crate::descriptor::Descriptor;
use crate::driver;
use crate::error::Error;
use crate::handler::ServerHandle;
use crate::peer::Peer;
use crate::stream::Stream;

impl Descriptor {
    /// Becomes the server of this service, in this process, with an accept loop of the program's own.
    ///
    /// It is [`serve`](Descriptor::serve) for a program that decides itself where and how its sessions run: on its own
    /// multi-thread runtime, in threads, or in `axum::serve`. The descriptor needs no handler, and its handler is not
    /// used.
    ///
    /// It needs a runtime with I/O and time, and so does [`accept`](Listener::accept). A program that does not end after its
    /// server has retired keeps every other server from starting ([more](crate::manual::life_of_a_server)).
    ///
    /// When it returns, this process holds the lifetime lock. So open the data of the service after it: no other server
    /// of this service has them open then. Clients can connect from the first [`accept`](Listener::accept) on, which has
    /// to come within [`Limits::start`](crate::Limits::start).
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{Context, Descriptor, Peer, Stream};
    /// use tokio::io::AsyncWriteExt;
    ///
    /// async fn session(_peer: Peer, mut stream: Stream) -> std::io::Result<()> {
    ///     stream.write_all(b"hello").await
    /// }
    ///
    /// #[tokio::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let context = Context::new("org.example.greeter")?;
    ///     let mut listener = Descriptor::new(&context, "greeter")?.bind().await?;
    ///     let home = listener.server().context().home(); // of the client that started this server
    ///     let _data = std::fs::File::create(home.join("data"))?; // no other server has it open
    ///     while let Some((peer, stream)) = listener.accept().await {
    ///         tokio::spawn(session(peer, stream));
    ///     }
    ///     Ok(listener.drained().await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As for [`serve`](Descriptor::serve).
    ///
    /// # Cancel safety
    /// If the future is dropped, the server retires on threads of its own.
    pub async fn bind(&self) -> Result<Listener, Error> {
        let (incoming, ending) = driver::bind(self.to_serve()?).await?;
        Ok(Listener { incoming: Incoming { incoming }, ending: Ending { ending } })
    }
}

/// A server whose clients the program accepts itself, made by [`Descriptor::bind`]. [`split`](Listener::split) is for
/// frameworks.
///
/// The lifetime lock is held until this and all streams that it returned are gone, or the drain is over. In the second
/// case the lock stays with the process. If this is dropped, the server retires; streams that are left keep it draining.
pub struct Listener {
    // Dropped first, as by `drained`.
    incoming: Incoming,
    ending: Ending,
}

impl Listener {
    /// Waits for the next client. The first call opens the service: from then on clients can connect.
    ///
    /// It returns `None` when the server retires and all clients that it has welcomed were returned, or when the server
    /// has failed: end what is idle, let the others finish, and call [`drained`](Listener::drained), which returns the
    /// error. [`ServerHandle::retiring`] tells the sessions of it, and why.
    ///
    /// Call it again soon: up to 128 clients are welcomed meanwhile, and further ones wait.
    ///
    /// # Cancel safety
    /// No client is lost if the future is dropped.
    pub async fn accept(&mut self) -> Option<(Peer, Stream)> {
        self.incoming.accept().await
    }

    /// Returns the handle of the server, which can be cloned and kept.
    pub fn server(&self) -> &ServerHandle {
        self.incoming.incoming.server()
    }

    /// Has the server retire, unless it does already, and waits until its streams are gone or the drain is over. A server
    /// that keeps its sessions ([`WhenLost`](crate::WhenLost)) has no such limit.
    ///
    /// # Errors
    /// The error that ended the server.
    ///
    /// # Cancel safety
    /// If the future is dropped, the server goes on to drain.
    pub async fn drained(self) -> Result<(), Error> {
        drop(self.incoming);
        self.ending.drained().await
    }

    /// Splits the listener, for a framework that takes what it accepts from, and keeps it.
    ///
    /// Keep both parts: if either is dropped, the server retires. So does `let (incoming, _) = listener.split()`, which
    /// drops the [`Ending`] at once.
    ///
    /// Here with `axum`, whose trait the program implements for a type of its own ([more](crate::manual::http)):
    ///
    /// ```no_run
    /// # use std::future::Future;
    /// # use rendezvous_ipc::{Context, Descriptor, Incoming, Peer, Stream};
    /// struct Clients(Incoming);
    ///
    /// # async fn framework(_: Clients, shutdown: impl Future<Output = ()>) { shutdown.await }
    /// # impl Clients {
    /// async fn accept(&mut self) -> (Stream, Peer) {
    ///     match self.0.accept().await {
    ///         Some((peer, stream)) => (stream, peer),
    ///         None => std::future::pending().await, // the framework knows by `retiring`
    ///     }
    /// }
    /// # }
    /// # async fn serve(service: Descriptor) -> Result<(), rendezvous_ipc::Error> {
    /// let listener = service.bind().await?;
    /// let server = listener.server().clone();
    /// let (incoming, ending) = listener.split();
    /// framework(Clients(incoming), async move { _ = server.retiring().await }).await;
    /// ending.drained().await
    /// # }
    /// ```
    pub fn split(self) -> (Incoming, Ending) {
        (self.incoming, self.ending)
    }
}

/// The clients of a [`Listener`], made by [`Listener::split`]. If it is dropped, the server retires.
pub struct Incoming {
    incoming: driver::Incoming,
}

impl Incoming {
    /// Waits for the next client, as [`Listener::accept`] does.
    ///
    /// # Cancel safety
    /// No client is lost if the future is dropped.
    pub async fn accept(&mut self) -> Option<(Peer, Stream)> {
        self.incoming.accept().await
    }
}

/// The end of a [`Listener`], made by [`Listener::split`]. If it is dropped, the server retires.
pub struct Ending {
    ending: driver::Ending,
}

impl Ending {
    /// Has the server retire, unless it does already, and waits for its end, as [`Listener::drained`] does.
    ///
    /// Drop the [`Incoming`] before: clients that nobody accepts keep the server until the drain is over.
    ///
    /// # Errors
    /// The error that ended the server.
    ///
    /// # Cancel safety
    /// If the future is dropped, the server goes on to drain.
    pub async fn drained(self) -> Result<(), Error> {
        self.ending.drained().await
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Incoming")
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ending")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_can_be_used_in_any_task_and_thread() {
        fn can<T: Send + Unpin + 'static>() {}
        fn send(_: impl Send) {}
        can::<Listener>();
        can::<Incoming>();
        can::<Ending>();
        let _bind = |service: &Descriptor| send(service.bind());
        let _accept = |listener: &mut Listener| send(listener.accept());
        let _drained = |listener: Listener| send(listener.drained());
    }
}
