//! The least that a join needs, by hand: reads a file, connects a socket, and exchanges the same number of bytes before
//! the same RPC. Nothing is proved, no client is counted, and no failure is survived.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use capnp::capability::FromClientHook;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use capnp_rpc::{RpcSystem, new_client};
use futures_util::io::{BufReader, BufWriter};
use rendezvous_ipc::proto::handshake::{CLIENT_PROOF, HELLO, SERVER_PROOF, WELCOME};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixSocket, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, spawn_local};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::contender::{Socket, Speaks};
use crate::ours::Pid;
use crate::process_capnp::process;
use crate::{Result, runtime};

/// The file in which the server writes its address, and as many bytes as a cookie has.
pub fn record(home: &Path) -> PathBuf {
    home.join("floor")
}

/// The backlog, equal to ours: with the default of 128, clients that connect at once stall for a second.
const BACKLOG: u32 = 1024;

/// Listens, writes the file, and serves without end.
pub async fn serve(socket: Socket, speaks: Speaks, home: &Path, ready: impl FnOnce()) -> Result<()> {
    let path = home.join("floor.sock");
    let cookie = "0".repeat(64);
    match socket {
        Socket::Unix => {
            // The caller knows that there is no other server.
            let _ = fs::remove_file(&path);
            let socket = UnixSocket::new_stream()?;
            socket.bind(&path)?;
            let listener = socket.listen(BACKLOG)?;
            fs::write(record(home), format!("{}\n{cookie}\n", path.display()))?;
            ready();
            loop {
                let (mut stream, _) = listener.accept().await?;
                spawn_local(async move {
                    welcome(&mut stream).await?;
                    match speaks {
                        Speaks::Bytes => Ok(echo(stream).await?),
                        Speaks::Rpc => {
                            let (reader, writer) = stream.into_split();
                            session(reader, writer).await
                        }
                    }
                });
            }
        }
        Socket::Tcp => {
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            let listener = socket.listen(BACKLOG)?;
            fs::write(record(home), format!("{}\n{cookie}\n", listener.local_addr()?))?;
            ready();
            loop {
                let (mut stream, _) = listener.accept().await?;
                spawn_local(async move {
                    stream.set_nodelay(true)?;
                    welcome(&mut stream).await?;
                    match speaks {
                        Speaks::Bytes => Ok(echo(stream).await?),
                        Speaks::Rpc => {
                            let (reader, writer) = stream.into_split();
                            session(reader, writer).await
                        }
                    }
                });
            }
        }
    }
}

/// Serves in a thread of its own until the returned value is dropped.
pub async fn spawn(socket: Socket, home: &Path) -> Result<oneshot::Sender<()>> {
    let (ready, is_ready) = oneshot::channel();
    let (stop, mut stopped) = oneshot::channel();
    let home = home.to_owned();
    std::thread::spawn(move || {
        let Ok(runtime) = runtime() else { return };
        runtime.block_on(async {
            tokio::select! {
                // A failure is noticed by the receiver of `ready`.
                _ = serve(socket, Speaks::Rpc, &home, || _ = ready.send(())) => {}
                _ = &mut stopped => {}
            }
        });
    });
    is_ready.await?;
    Ok(stop)
}

/// Sends one byte back, and waits for the end of the stream.
pub async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    stream.write_all(&byte).await?;
    stream.read(&mut byte).await.map(drop)
}

async fn session<R, W>(reader: R, writer: W) -> Result<()>
where
    R: AsyncRead + Unpin + 'static,
    W: AsyncWrite + Unpin + 'static,
{
    let service: process::Client = new_client(Pid);
    let client = capnp::capability::Client::new(service.into_client_hook());
    Ok(RpcSystem::new(network(reader, writer, Side::Server), Some(client)).await?)
}

/// Connects, and asks the server for its number.
pub async fn ask(socket: Socket, home: &Path) -> Result<(u32, Connection)> {
    let (client, connection) = match connect(socket, home).await? {
        Stream::Unix(stream) => {
            let (reader, writer) = stream.into_split();
            call(reader, writer)
        }
        Stream::Tcp(stream) => {
            let (reader, writer) = stream.into_split();
            call(reader, writer)
        }
    };
    let response = client.pid_request().send().promise.await?;
    Ok((response.get()?.get_pid(), connection))
}

pub enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// The address of the server of a home.
pub fn address(home: &Path) -> Result<String> {
    let record = fs::read_to_string(record(home))?;
    let (address, _cookie) = record.split_once('\n').ok_or("no record")?;
    Ok(address.into())
}

/// A connected socket of the standard library.
pub trait Blocking: Read + Write {}
impl<S: Read + Write> Blocking for S {}

pub fn tcp(address: impl std::net::ToSocketAddrs) -> io::Result<std::net::TcpStream> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Like [`connect`], and blocks the thread.
pub fn connect_blocking(socket: Socket, address: &str) -> io::Result<Box<dyn Blocking>> {
    let mut stream: Box<dyn Blocking> = match socket {
        Socket::Unix => Box::new(StdUnixStream::connect(address)?),
        Socket::Tcp => Box::new(tcp(address)?),
    };
    stream.write_all(&[1; HELLO])?;
    stream.read_exact(&mut [0; SERVER_PROOF])?;
    stream.write_all(&[2; CLIENT_PROOF])?;
    stream.read_exact(&mut [0; WELCOME])?;
    Ok(stream)
}

/// Connects, and exchanges the bytes of the handshake.
pub async fn connect(socket: Socket, home: &Path) -> Result<Stream> {
    let address = address(home)?;
    Ok(match socket {
        Socket::Unix => {
            let mut stream = UnixStream::connect(address).await?;
            handshake(&mut stream).await?;
            Stream::Unix(stream)
        }
        Socket::Tcp => {
            let mut stream = TcpStream::connect(address.parse::<std::net::SocketAddr>()?).await?;
            stream.set_nodelay(true)?;
            handshake(&mut stream).await?;
            Stream::Tcp(stream)
        }
    })
}

/// The client's side of the handshake, by the number of its bytes.
async fn handshake(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(&[1; HELLO]).await?;
    stream.read_exact(&mut [0; SERVER_PROOF]).await?;
    stream.write_all(&[2; CLIENT_PROOF]).await?;
    stream.read_exact(&mut [0; WELCOME]).await?;
    Ok(())
}

/// The server's side.
async fn welcome(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.read_exact(&mut [0; HELLO]).await?;
    stream.write_all(&[3; SERVER_PROOF]).await?;
    stream.read_exact(&mut [0; CLIENT_PROOF]).await?;
    stream.write_all(&[4; WELCOME]).await
}

/// A connection. Dropping it ends it.
pub struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn call<R, W>(reader: R, writer: W) -> (process::Client, Connection)
where
    R: AsyncRead + Unpin + 'static,
    W: AsyncWrite + Unpin + 'static,
{
    let mut rpc = RpcSystem::new(network(reader, writer, Side::Client), None);
    let client = rpc.bootstrap(Side::Server);
    (client, Connection(spawn_local(rpc).abort_handle()))
}

/// Cap'n Proto with the same settings as ours.
fn network<R, W>(reader: R, writer: W, side: Side) -> Box<VatNetwork<BufReader<Compat<R>>>>
where
    R: AsyncRead + Unpin + 'static,
    W: AsyncWrite + Unpin + 'static,
{
    let (reader, writer) = (BufReader::new(reader.compat()), BufWriter::new(writer.compat_write()));
    Box::new(VatNetwork::new(reader, writer, side, Default::default()))
}
