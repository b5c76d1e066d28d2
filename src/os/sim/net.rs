//! Connections between processes: in memory, with a queue at each listening socket.

use std::io;
use std::task::{Context, Poll};

use super::world::{self, effect};

/// One end of a connection or of a pipe. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Endpoint(pub(super) u64);

/// As many bytes as wait in one direction.
const ROOM: usize = 64 * 1024;

impl Endpoint {
    /// Sends as many bytes as there is room for.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        effect("send", || format!("{} bytes", bytes.len()))?;
        world::with(|world| {
            let Some(end) = world.ends.get(&self.0) else { return Err(io::ErrorKind::BrokenPipe.into()) };
            let writes = end.writes;
            let pipe = &mut world.pipes[writes];
            if pipe.deaf || pipe.ended {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let len = bytes.len().min(ROOM - pipe.bytes.len());
            if len == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            pipe.bytes.extend(&bytes[..len]);
            world.wake(writes);
            Ok(len)
        })
    }

    /// Receives what has arrived. 0 bytes mean the end.
    pub(crate) fn receive(&self, buf: &mut [u8], takes: bool) -> io::Result<usize> {
        world::with(|world| {
            let Some(end) = world.ends.get(&self.0) else { return Ok(0) };
            let reads = end.reads;
            let pipe = &mut world.pipes[reads];
            if pipe.bytes.is_empty() {
                return if pipe.ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
            }
            let len = buf.len().min(pipe.bytes.len());
            for (to, from) in buf.iter_mut().zip(&pipe.bytes) {
                *to = *from;
            }
            if takes {
                pipe.bytes.drain(..len);
                world.wake(reads);
            }
            Ok(len)
        })
    }

    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>, buf: &mut [u8], takes: bool) -> Poll<io::Result<usize>> {
        if world::with(|world| !world.is_alive(world.me())) {
            return Poll::Pending;
        }
        match self.receive(buf, takes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.wait(cx, false);
                Poll::Pending
            }
            received => {
                effect("receive", || format!("{:?} bytes", received.as_ref().ok()))?;
                Poll::Ready(received)
            }
        }
    }

    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.send(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.wait(cx, true);
                Poll::Pending
            }
            sent => Poll::Ready(sent),
        }
    }

    fn wait(&self, cx: &mut Context<'_>, to_write: bool) {
        world::with(|world| {
            if let Some(end) = world.ends.get(&self.0) {
                let pipe = if to_write { end.writes } else { end.reads };
                world.pipes[pipe].waits.push(cx.waker().clone());
            }
        });
    }

    /// Ends the direction in which this side sends, or both.
    pub(crate) fn shut_down(&self, both: bool) {
        if effect("shutdown", String::new).is_err() {
            return;
        }
        world::with(|world| {
            if let Some(end) = world.ends.get(&self.0) {
                let (reads, writes) = (end.reads, end.writes);
                world.pipes[writes].ended = true;
                world.wake(writes);
                if both {
                    world.pipes[reads].ended = true;
                    world.wake(reads);
                }
            }
        });
    }

    pub(crate) fn peer(&self) -> Option<u32> {
        world::with(|world| world.ends.get(&self.0).map(|end| end.peer)).filter(|pid| *pid > 0)
    }

    /// Leaves it open until the process ends.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        world::with(|world| {
            // That of a process that was killed is closed already, and that of another is not ours.
            if world.ends.get(&self.0).is_some_and(|end| end.owner == world.me()) {
                world.close_end(self.0);
            }
        });
    }
}

pub(crate) mod socket {
    use super::*;
    use std::collections::VecDeque;
    use std::path::Path;

    use crate::os::blocking::Blocking;
    use crate::os::sim::world::Kind;

    /// A connected socket.
    #[derive(Debug)]
    pub(crate) struct Connected {
        pub(crate) stream: Endpoint,
        pub(crate) peer: Option<u32>,
    }

    impl Connected {
        pub(crate) fn into_blocking(self) -> io::Result<Blocking> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    pub(crate) fn connect(path: &Path) -> io::Result<Result<Connected, u32>> {
        effect("connect", || world::short(path))?;
        world::with(|world| {
            let inode = world.names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
            if world.inodes[inode].kind != Kind::Socket {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let socket = world.listening.iter().find(|(_, of)| of.inode == inode).map(|(id, of)| (*id, of.owner));
            let (socket, owner) = socket.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (ours, theirs) = world.connection(world.me(), owner);
            if let Some(listening) = world.listening.get_mut(&socket) {
                VecDeque::push_back(&mut listening.queue, theirs);
                listening.waits.drain(..).for_each(std::task::Waker::wake);
            }
            Ok(Ok(Connected { stream: Endpoint(ours), peer: Some(owner) }))
        })
    }

    pub(crate) fn is_not_accessible(_path: &Path) -> bool {
        false
    }

    pub(crate) fn end(_stream: &impl Sized) {}
}

pub(crate) mod listener {
    use super::*;
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::net::TcpStream;
    use std::os::fd::OwnedFd;
    use std::path::{Path, PathBuf};

    use crate::os::sim::world::{Kind, Listening};
    pub(crate) use crate::os::unix::listener::ListenError;

    #[derive(Debug)]
    pub(crate) struct Listener(u64);

    impl Listener {
        pub(crate) fn at(path: &Path, _backlog: u32) -> Result<(Self, SocketFile), ListenError> {
            effect("listen", || world::short(path))?;
            let (id, inode) = world::with(|world| {
                let (id, inode, owner) = (world.id(), world.inode(Kind::Socket), world.me());
                world.names.insert(path.to_owned(), inode);
                world.listening.insert(id, Listening { owner, inode, queue: VecDeque::new(), waits: Vec::new() });
                (id, inode)
            });
            Ok((Listener(id), SocketFile { path: path.to_owned(), inode }))
        }

        /// Ports are not simulated.
        pub(crate) fn on(_listener: OwnedFd) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) async fn accept_port(&self) -> io::Result<TcpStream> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) async fn accept(&self) -> io::Result<Endpoint> {
            poll_fn(|cx| {
                let accepted = world::with(|world| {
                    if !world.is_alive(world.me()) {
                        return None;
                    }
                    let listening = world.listening.get_mut(&self.0)?;
                    let accepted = listening.queue.pop_front();
                    if accepted.is_none() {
                        listening.waits.push(cx.waker().clone());
                    }
                    accepted
                });
                match accepted {
                    Some(end) => {
                        effect("accept", String::new)?;
                        Poll::Ready(Ok(Endpoint(end)))
                    }
                    None => Poll::Pending,
                }
            })
            .await
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            if effect("close", || "the listener".into()).is_ok() {
                world::with(|world| world.close_listener(self.0));
            }
        }
    }

    #[derive(Debug)]
    pub(crate) struct SocketFile {
        path: PathBuf,
        inode: usize,
    }

    impl SocketFile {
        pub(crate) fn is_there(&self) -> bool {
            world::with(|world| world.names.get(&self.path) == Some(&self.inode))
        }

        pub(crate) fn repair(&self) -> io::Result<bool> {
            Ok(false)
        }
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            if self.is_there() && effect("unlink", || world::short(&self.path)).is_ok() {
                world::with(|world| world.names.remove(&self.path));
            }
        }
    }

    pub(crate) fn sweep(directory: &Path, is: impl Fn(&str) -> bool) -> io::Result<Vec<(PathBuf, io::Error)>> {
        effect("sweep", String::new)?;
        world::with(|world| {
            let names: Vec<PathBuf> = world.names.keys().cloned().collect();
            for path in names {
                let inside = path.parent() == Some(directory);
                let is_socket = world.at(&path).is_some_and(|inode| inode.kind == Kind::Socket);
                if inside && is_socket && path.file_name().and_then(|name| name.to_str()).is_some_and(&is) {
                    world.note("swept", world::short(&path));
                    world.names.remove(&path);
                }
            }
        });
        Ok(Vec::new())
    }
}

pub(crate) mod stream {
    use super::*;
    use std::pin::Pin;
    use std::sync::Arc;

    use tokio::io::{AsyncRead, ReadBuf};

    use super::socket::Connected;
    use crate::os::blocking::Blocking;
    use crate::os::process::ChildStdout;

    #[derive(Debug)]
    pub(crate) struct Stream {
        end: Endpoint,
        pub(crate) peer: Option<u32>,
    }

    impl Stream {
        pub(crate) fn accepted(end: Endpoint) -> Option<Self> {
            let peer = end.peer();
            Some(Stream { end, peer })
        }

        pub(crate) fn of(Connected { stream: end, peer }: Connected) -> Self {
            Stream { end, peer }
        }

        pub(crate) fn unwatched(self) -> Self {
            self
        }

        pub(crate) fn into_blocking(self) -> io::Result<Blocking> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn leave(self) {
            self.end.leave();
        }

        pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
            self.end.send(bytes)
        }

        pub(crate) fn end(&self) {
            self.end.shut_down(true);
        }

        pub(crate) fn shut_down(&self) -> io::Result<()> {
            self.end.shut_down(false);
            Ok(())
        }

        /// Nothing is known of a connection beside what is in it.
        pub(crate) fn forget_readiness(&self) {}

        pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.end.poll_receive(cx, buf.initialize_unfilled(), true).map_ok(|len| buf.advance(len))
        }

        pub(crate) fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
            self.end.poll_receive(cx, &mut [0], false).map_ok(|len| len > 0)
        }

        pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.end.poll_send(cx, bytes)
        }
    }

    /// The server's end of the pair to its spawner.
    pub(crate) struct Input(Arc<Endpoint>);

    impl Input {
        pub(crate) fn watch(input: Arc<Endpoint>) -> io::Result<Self> {
            Ok(Input(input))
        }

        /// Waits until there is something to read, or the end.
        pub(crate) async fn arrived(&self) -> io::Result<()> {
            std::future::poll_fn(|cx| self.0.poll_receive(cx, &mut [0], false)).await.map(drop)
        }

        pub(crate) fn discard(&self) -> bool {
            loop {
                match self.0.receive(&mut [0; 64], true) {
                    Ok(1..) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                    _ => return true,
                }
            }
        }
    }

    /// A simulated connection needs no runtime with I/O.
    pub(crate) fn try_to_watch() {}

    /// The output of a child.
    pub(crate) struct Output(Endpoint);

    pub(crate) fn output(stdout: ChildStdout) -> io::Result<Output> {
        Ok(Output(stdout.0))
    }

    impl AsyncRead for Output {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.0.poll_receive(cx, buf.initialize_unfilled(), true).map_ok(|len| buf.advance(len))
        }
    }
}
