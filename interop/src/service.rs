//! What each contender is asked to do.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rendezvous_ipc::Policy;

use crate::contender::{Contender, Socket};
use crate::server::Server;
use crate::{Result, floor, ours};

/// One contender's service in a home.
pub struct Service {
    pub contender: Contender,
    home: PathBuf,
    way: Way,
}

enum Way {
    Ours(Box<rendezvous_ipc::Descriptor>),
    Floor(Socket),
    Sequoia(peer::Descriptor),
}

impl Service {
    pub fn at(contender: Contender, home: &Path) -> Result<Self> {
        let way = match contender {
            Contender::Ours(socket) => Way::Ours(Box::new(ours::descriptor(socket, Some(home))?)),
            Contender::Floor(socket) => Way::Floor(socket),
            Contender::Sequoia => Way::Sequoia(Self::peer(home, peer::IPCPolicy::External)?),
        };
        Ok(Service { contender, home: home.to_owned(), way })
    }

    /// The service of a home on `sequoia-ipc`, served by this program.
    pub fn peer(home: &Path, policy: peer::IPCPolicy) -> Result<peer::Descriptor> {
        Ok(peer::descriptor(home, &std::env::current_exe()?, policy)?)
    }

    /// Connects, and asks the server which process it is. The connection ends with what is answered.
    pub async fn ask(&self) -> Result<(u32, Box<dyn Any>)> {
        Ok(match &self.way {
            Way::Ours(descriptor) => boxed(ours::ask(descriptor.connect().await?).await?),
            Way::Floor(socket) => boxed(floor::ask(*socket, &self.home).await?),
            Way::Sequoia(descriptor) => boxed(peer::ask(descriptor).await?),
        })
    }

    /// As [`ask`](Service::ask), and says in microseconds how long it took.
    pub async fn time(&self) -> Result<(f64, Box<dyn Any>)> {
        let began = Instant::now();
        let (_, connection) = self.ask().await?;
        Ok((crate::sample::micros(began), connection))
    }

    /// Connects, and no more.
    pub async fn connect(&self) -> Result<Box<dyn Any>> {
        Ok(match &self.way {
            Way::Ours(descriptor) => Box::new(descriptor.connect().await?),
            Way::Floor(socket) => Box::new(floor::connect(*socket, &self.home).await?),
            Way::Sequoia(descriptor) => Box::new(descriptor.connect()?),
        })
    }

    /// As [`ask`](Service::ask), of a server in a thread of this process.
    pub async fn ask_internal(&self) -> Result<Box<dyn Any>> {
        Ok(match &self.way {
            Way::Ours(descriptor) => {
                Box::new(ours::ask(descriptor.connect_with_policy(Policy::Internal).await?).await?)
            }
            Way::Floor(socket) => {
                let server = floor::spawn(*socket, &self.home).await?;
                Box::new((floor::ask(*socket, &self.home).await?, server))
            }
            Way::Sequoia(_) => Box::new(peer::ask(&Self::peer(&self.home, peer::IPCPolicy::Internal)?).await?),
        })
    }

    /// As [`ask`](Service::ask), whether a server runs or not. It ends with what is answered.
    pub async fn ask_or_start(&self) -> Result<(Server, Box<dyn Any>)> {
        let (pid, connection) = match (&self.way, self.ask().await) {
            (Way::Floor(_), Err(_)) => {
                let server = self.start().await?;
                let (_, connection) = self.ask().await?;
                return Ok((server, connection));
            }
            (_, asked) => asked?,
        };
        Ok((Server::of(pid)?, connection))
    }

    /// Sees to it that a server runs, which ends with what is answered.
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

    /// The server, where it is nobody's business to start it but the user's.
    pub fn by_hand(&self) -> Result<Option<Server>> {
        match self.way {
            Way::Floor(_) => Ok(Some(Server::spawn(self.contender, &self.home)?)),
            Way::Ours(_) | Way::Sequoia(_) => Ok(None),
        }
    }
}

/// Ends a connection, and lets both sides see its end.
pub async fn end(connection: Box<dyn Any>) {
    drop(connection);
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn boxed<C: 'static>((pid, connection): (u32, C)) -> (u32, Box<dyn Any>) {
    (pid, Box::new(connection))
}
