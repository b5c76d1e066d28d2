//! The service of each contender, and the operations that are measured.

use std::any::Any;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rendezvous_ipc::Policy;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::contender::{Contender, Socket, Speaks};
use crate::server::Server;
use crate::{Result, floor, ours};

/// The service of one contender in a home.
pub struct Service {
    pub contender: Contender,
    speaks: Speaks,
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
        Self::speaking(Speaks::Rpc, contender, home)
    }

    pub fn speaking(speaks: Speaks, contender: Contender, home: &Path) -> Result<Self> {
        let kind = match contender {
            Contender::Ours(socket) => Kind::Ours(Box::new(ours::descriptor(socket, speaks, Some(home))?)),
            Contender::Floor(socket) => Kind::Floor(socket),
            Contender::Sequoia => Kind::Sequoia(Self::peer(home, peer::IPCPolicy::External)?),
        };
        Ok(Service { contender, speaks, home: home.to_owned(), kind })
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
        Ok((micros(began), connection))
    }

    /// Connects, sends a byte, and receives it back.
    pub async fn byte(&self) -> Result<Box<dyn Any>> {
        Ok(match &self.kind {
            Kind::Ours(descriptor) => Box::new(send(descriptor.connect().await?.into_stream()).await?),
            Kind::Floor(socket) => match floor::connect(*socket, &self.home).await? {
                floor::Stream::Unix(stream) => Box::new(send(stream).await?),
                floor::Stream::Tcp(stream) => Box::new(send(stream).await?),
            },
            Kind::Sequoia(_) => return Err("sequoia-ipc has no streams".into()),
        })
    }

    /// Like [`byte`](Service::byte), and blocks the thread.
    pub fn byte_blocking(&self) -> Result<Box<dyn Any>> {
        Ok(match &self.kind {
            Kind::Ours(descriptor) => Box::new(send_blocking(descriptor.connect_blocking()?.into_stream())?),
            Kind::Floor(socket) => {
                Box::new(send_blocking(floor::connect_blocking(*socket, &floor::address(&self.home)?)?)?)
            }
            Kind::Sequoia(_) => return Err("sequoia-ipc has no clients that block".into()),
        })
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
            None if self.speaks == Speaks::Bytes => {
                end(self.byte().await?).await;
                Server::of(ours::record(self.contender, &self.home)?.pid)
            }
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
            Kind::Floor(_) => Ok(Some(Server::spawn(self.contender, self.speaks, &self.home)?)),
            Kind::Ours(_) | Kind::Sequoia(_) => Ok(None),
        }
    }
}

/// Ends a connection, and waits until both sides notice.
pub async fn end(connection: Box<dyn Any>) {
    drop(connection);
    tokio::time::sleep(Duration::from_millis(1)).await;
}

pub fn micros(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e6
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<S> {
    stream.write_all(&[9]).await?;
    stream.read_exact(&mut [0]).await?;
    Ok(stream)
}

fn send_blocking<S: Read + Write>(mut stream: S) -> io::Result<S> {
    stream.write_all(&[9])?;
    stream.read_exact(&mut [0])?;
    Ok(stream)
}

fn boxed<C: 'static>((pid, connection): (u32, C)) -> (u32, Box<dyn Any>) {
    (pid, Box::new(connection))
}
