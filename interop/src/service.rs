//! The service of each contender, and the operations that are measured.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rendezvous_ipc::Policy;

use crate::contender::{Contender, Socket};
use crate::server::Server;
use crate::{Result, floor, ours};

/// The service of one contender in a home.
pub struct Service {
    pub contender: Contender,
    home: PathBuf,
    kind: Kind,
}

enum Kind {
    Ours(Box<rendezvous_ipc::Descriptor>),
    Floor(Socket),
    Sequoia(peer::Descriptor),
}

impl Service {
    pub fn at(contender: Contender, home: &Path) -> Result<Self> {
        let kind = match contender {
            Contender::Ours(socket) => Kind::Ours(Box::new(ours::descriptor(socket, Some(home))?)),
            Contender::Floor(socket) => Kind::Floor(socket),
            Contender::Sequoia => Kind::Sequoia(Self::peer(home, peer::IPCPolicy::External)?),
        };
        Ok(Service { contender, home: home.to_owned(), kind })
    }

    /// The service of a home on `sequoia-ipc`, which this program serves.
    pub fn peer(home: &Path, policy: peer::IPCPolicy) -> Result<peer::Descriptor> {
        Ok(peer::descriptor(home, &std::env::current_exe()?, policy)?)
    }

    /// Connects, and asks the server for its number. Dropping the returned value ends the connection.
    pub async fn ask(&self) -> Result<(u32, Box<dyn Any>)> {
        Ok(match &self.kind {
            Kind::Ours(descriptor) => boxed(ours::ask(descriptor.connect().await?).await?),
            Kind::Floor(socket) => boxed(floor::ask(*socket, &self.home).await?),
            Kind::Sequoia(descriptor) => boxed(peer::ask(descriptor).await?),
        })
    }

    /// Like [`ask`](Service::ask), and returns how many microseconds it took.
    pub async fn time(&self) -> Result<(f64, Box<dyn Any>)> {
        let began = Instant::now();
        let (_, connection) = self.ask().await?;
        Ok((crate::sample::micros(began), connection))
    }

    /// Connects without a call.
    pub async fn connect(&self) -> Result<Box<dyn Any>> {
        Ok(match &self.kind {
            Kind::Ours(descriptor) => Box::new(descriptor.connect().await?),
            Kind::Floor(socket) => Box::new(floor::connect(*socket, &self.home).await?),
            Kind::Sequoia(descriptor) => Box::new(descriptor.connect()?),
        })
    }

    /// Like [`ask`](Service::ask), with a server in a thread of this process.
    pub async fn ask_internal(&self) -> Result<Box<dyn Any>> {
        Ok(match &self.kind {
            Kind::Ours(descriptor) => {
                Box::new(ours::ask(descriptor.connect_with_policy(Policy::Internal).await?).await?)
            }
            Kind::Floor(socket) => {
                let server = floor::spawn(*socket, &self.home).await?;
                Box::new((floor::ask(*socket, &self.home).await?, server))
            }
            Kind::Sequoia(_) => Box::new(peer::ask(&Self::peer(&self.home, peer::IPCPolicy::Internal)?).await?),
        })
    }

    /// Like [`ask`](Service::ask), but starts the server if there is none. Dropping the returned value ends the server.
    pub async fn ask_or_start(&self) -> Result<(Server, Box<dyn Any>)> {
        let (pid, connection) = match (&self.kind, self.ask().await) {
            (Kind::Floor(_), Err(_)) => {
                let server = self.start().await?;
                let (_, connection) = self.ask().await?;
                return Ok((server, connection));
            }
            (_, asked) => asked?,
        };
        Ok((Server::of(pid)?, connection))
    }

    /// Starts a server if there is none. Dropping the returned value ends it.
    pub async fn start(&self) -> Result<Server> {
        match self.by_hand()? {
            Some(server) => Ok(server),
            None => {
                let (pid, connection) = self.ask().await?;
                end(connection).await;
                Server::of(pid)
            }
        }
    }

    /// Starts the server if the contender's clients do not start it themselves.
    pub fn by_hand(&self) -> Result<Option<Server>> {
        match self.kind {
            Kind::Floor(_) => Ok(Some(Server::spawn(self.contender, &self.home)?)),
            Kind::Ours(_) | Kind::Sequoia(_) => Ok(None),
        }
    }
}

/// Ends a connection, and waits until both sides notice.
pub async fn end(connection: Box<dyn Any>) {
    drop(connection);
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn boxed<C: 'static>((pid, connection): (u32, C)) -> (u32, Box<dyn Any>) {
    (pid, Box::new(connection))
}
