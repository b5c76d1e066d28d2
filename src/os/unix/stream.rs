//! A connected Unix socket, which checks the user of its peer and is watched by the runtime only when needed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use rustix::net::{RecvFlags, Shutdown};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, ReadBuf};
pub(crate) use tokio::net::unix::pipe::Receiver as Output;

use super::blocking::Blocking;
use super::process::ChildStdout;
use super::socket::{self, Connected, end, recv, send, shut_down};

/// A connection between processes of one user.
///
/// The runtime starts to watch the socket, for reading only, when there is nothing to read; after a write at once,
/// since the answer is not there yet. tokio's stream is also watched for room to write, and wakes its writer each time
/// the peer has read something: several times in a handshake. This one is watched for room from the first write that
/// would block.
#[derive(Debug)]
pub(crate) struct Stream {
    stream: Arc<UnixStream>,
    watched: Option<Watched>,
    /// The task that waits to read. Another task may write.
    reader: Option<Waker>,
    /// Whether this side has sent something.
    has_sent: bool,
    /// Whether the peer has ended its direction of the connection.
    is_at_end: bool,
    /// The number of the process that connected, if the system reports it. A process outside of this PID namespace has
    /// no number here.
    pub(crate) peer: Option<u32>,
}

#[derive(Debug)]
struct Watched {
    stream: AsyncFd<Arc<UnixStream>>,
    for_room: bool,
}

impl Stream {
    /// Wraps an accepted socket. Closes it without an answer unless its peer is known to be a process of this user.
    pub(crate) fn accepted(socket: OwnedFd) -> Option<Self> {
        socket::of_ours(socket).map(|ours| ours.ok().map(Stream::of)).unwrap_or_else(|error| {
            tracing::debug!(target: "rendezvous_ipc::serve", %error, "closed a connection: its user is unknown");
            None
        })
    }

    /// Wraps a connected socket.
    pub(crate) fn of(Connected { stream, peer }: Connected) -> Self {
        Stream { stream: Arc::new(stream), watched: None, reader: None, has_sent: false, is_at_end: false, peer }
    }

    /// Ends the watch, so that another runtime can watch the socket.
    pub(crate) fn unwatched(self) -> Self {
        Stream { watched: None, reader: None, ..self }
    }

    /// Takes the socket from its runtime, for a thread that blocks.
    pub(crate) fn into_blocking(self) -> io::Result<Blocking> {
        // The watch had the only other reference.
        Blocking::new(Arc::try_unwrap(self.unwatched().stream).or_else(|stream| stream.try_clone())?)
    }

    /// Leaves the socket open until this process ends.
    pub(crate) fn leave(self) {
        std::mem::forget(self.unwatched().stream);
    }

    /// Sends as many bytes as there is room for. `write` would raise SIGPIPE, which kills a host that is not a Rust
    /// program.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        send(&self.stream, bytes)
    }

    /// Ends the connection, so that its reader sees the end, unless it has seen it already. Most writes that fail are
    /// to a peer that is gone.
    pub(crate) fn end(&self) {
        if !self.is_at_end {
            end(&self.stream);
        }
    }

    /// Ends the direction in which this side sends.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        shut_down(&self.stream, Shutdown::Write)
    }

    /// Forgets that there was something to read. The caller has read all that the peer sends before it gets an answer, so
    /// the next read asks the runtime and not the socket. The end of the connection is not forgotten.
    pub(crate) fn forget_readiness(&self) {
        if let Some(Watched { stream, .. }) = &self.watched {
            let _ = stream.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        let recv = |stream: &UnixStream| recv(stream, buf.initialize_unfilled(), RecvFlags::empty());
        let read = ready!(self.poll_recv(cx, room, recv))?;
        self.is_at_end |= room > 0 && read == 0;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }

    /// Waits until there is something to read (`true`) or the connection is at its end (`false`). Reads nothing.
    pub(crate) fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let peeked = ready!(self.poll_recv(cx, 1, |stream| recv(stream, &mut [0], RecvFlags::PEEK)))?;
        Poll::Ready(Ok(peeked > 0))
    }

    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        mut recv: impl FnMut(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let watched = match &self.watched {
            Some(watched) => &watched.stream,
            None if self.has_sent => self.watch(Interest::READABLE)?,
            None => match recv(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.watch(Interest::READABLE)?,
                received => return Poll::Ready(received),
            },
        };
        loop {
            let Poll::Ready(ready) = watched.poll_read_ready(cx) else {
                if !self.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                    self.reader = Some(cx.waker().clone());
                }
                return Poll::Pending;
            };
            let mut guard = ready?;
            if let Ok(received) = guard.try_io(|stream| recv(stream.get_ref())) {
                // A short read means the socket is drained. The next read asks the runtime and not the socket.
                if received.as_ref().is_ok_and(|len| (1..room).contains(len)) {
                    guard.clear_ready();
                }
                return Poll::Ready(received);
            }
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.has_sent = true;
        let watched = match &self.watched {
            Some(Watched { stream, for_room: true }) => stream,
            _ => match self.send(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.watch(Interest::READABLE | Interest::WRITABLE)?
                }
                sent => return Poll::Ready(sent),
            },
        };
        loop {
            let mut guard = ready!(watched.poll_write_ready(cx))?;
            if let Ok(sent) = guard.try_io(|stream| send(stream.get_ref(), bytes)) {
                return Poll::Ready(sent);
            }
        }
    }

    /// Has the runtime watch the socket for `interest`, and for nothing else. This takes no further descriptor, since
    /// there may be none left.
    fn watch(&mut self, interest: Interest) -> io::Result<&AsyncFd<Arc<UnixStream>>> {
        // There is one watch at a time. A task that waits at the old one has to poll again.
        self.watched = None;
        self.reader.take().into_iter().for_each(Waker::wake);
        let stream = watch(self.stream.clone(), interest)?;
        Ok(&self.watched.insert(Watched { stream, for_room: interest.is_writable() }).stream)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The server's end of the socket pair to its spawner, watched by the runtime.
pub(crate) struct Input(AsyncFd<Arc<OwnedFd>>);

impl Input {
    pub(crate) fn watch(input: Arc<OwnedFd>) -> io::Result<Self> {
        watch(input, Interest::READABLE).map(Input)
    }

    /// Waits until something has arrived that was not announced before, or the end.
    pub(crate) async fn arrived(&self) -> io::Result<()> {
        self.0.readable().await.map(|mut arrived| arrived.clear_ready())
    }

    /// Discards what has arrived. Returns whether the other side has closed its end.
    pub(crate) fn discard(&self) -> bool {
        loop {
            match recv(self.0.get_ref(), &mut [0; 64], RecvFlags::empty()) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                _ => return true,
            }
        }
    }
}

/// Has the runtime watch the output of a child.
pub(crate) fn output(stdout: ChildStdout) -> io::Result<Output> {
    Output::from_owned_fd(OwnedFd::from(stdout))
}

/// Registers a socket with the runtime, which watches it for `interest`.
#[allow(
    deprecated,
    reason = "its successor is unsafe: it relies on a descriptor that stays the same, as that of a socket does"
)]
pub(super) fn watch<T: AsRawFd>(socket: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(socket, interest)
}

/// Registers a descriptor that does not exist, which panics in a runtime without I/O and does nothing in any other.
pub(crate) fn try_to_watch() {
    struct NoSocket;

    impl AsRawFd for NoSocket {
        fn as_raw_fd(&self) -> RawFd {
            -1
        }
    }

    let _ = watch(NoSocket, Interest::READABLE);
}

/// Returns whether at least `N` bytes from the peer wait to be read.
#[cfg(feature = "sequoia")]
pub(crate) fn has_received<const N: usize>(stream: impl AsFd) -> bool {
    recv(stream, &mut [0; N], RecvFlags::PEEK).is_ok_and(|received| received == N)
}

/// Sets whether a connection is reset when it is closed, which includes the end of this process.
#[cfg(feature = "sequoia")]
pub(crate) fn reset_at_close(stream: impl AsFd, reset: bool) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(stream, reset.then_some(std::time::Duration::ZERO))?)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs::File;
    use std::future::poll_fn;
    use std::net::{Ipv4Addr, TcpListener};
    use std::pin::pin;
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::{spawn_local, yield_now};

    use super::super::listener::Listener;
    use super::*;

    fn pair() -> (Stream, Stream) {
        let (one, two) = UnixStream::pair().unwrap();
        let ours = |stream: UnixStream| {
            stream.set_nonblocking(true).unwrap();
            Stream::of(socket::of_ours(stream.into()).unwrap().expect("the peer is this user's"))
        };
        (ours(one), ours(two))
    }

    async fn read(stream: &mut Stream, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(bytes);
        poll_fn(|cx| stream.poll_read(cx, &mut buf)).await?;
        Ok(buf.filled().len())
    }

    #[tokio::test]
    async fn a_reader_is_woken_while_its_stream_waits_for_room() {
        const MUCH: usize = 1 << 20;
        let (ours, mut theirs) = pair();
        // Two tasks share the stream, as they do when it is split.
        let ours = Rc::new(RefCell::new(ours));
        let (reader, writer) = (ours.clone(), ours.clone());
        let all = async {
            let reading = spawn_local(async move {
                let mut byte = [0];
                let mut buf = ReadBuf::new(&mut byte);
                poll_fn(|cx| reader.borrow_mut().poll_read(cx, &mut buf)).await.unwrap();
                buf.filled().to_vec()
            });
            // Until the reader waits.
            while ours.borrow().reader.is_none() {
                yield_now().await;
            }
            let writing = spawn_local(async move {
                let mut sent = 0;
                while sent < MUCH {
                    sent += poll_fn(|cx| writer.borrow_mut().poll_write(cx, &[7; 64 << 10])).await.unwrap();
                }
                sent
            });
            // Until the writer waits, too.
            while !ours.borrow().watched.as_ref().is_some_and(|watched| watched.for_room) {
                yield_now().await;
            }
            theirs.send(b"!").unwrap();
            assert_eq!(reading.await.unwrap(), b"!");
            let (mut received, mut bytes) = (0, vec![0; MUCH]);
            while received < MUCH {
                received += read(&mut theirs, &mut bytes).await.unwrap();
            }
            assert!(writing.await.unwrap() >= received);
        };
        let all = tokio::time::timeout(Duration::from_secs(30), all);
        tokio::task::LocalSet::new().run_until(all).await.expect("both tasks are woken");
    }

    #[tokio::test]
    async fn readiness_is_forgotten_but_not_the_end_nor_what_comes_later() {
        let (mut ours, theirs) = pair();
        for answer in [b"answer", b"more.."] {
            let mut bytes = [0; 6];
            {
                let mut reading = pin!(read(&mut ours, &mut bytes));
                assert!(poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending())).await, "it waits");
                theirs.send(answer).unwrap();
                assert_eq!(reading.await.unwrap(), 6);
            }
            assert_eq!(&bytes, answer);
            let is_readable = || {
                let watched = &ours.watched.as_ref().unwrap().stream;
                watched.try_io(Interest::READABLE, |_| Ok(())).is_ok()
            };
            assert!(is_readable(), "the runtime cannot know that nothing is left");
            ours.forget_readiness();
            assert!(!is_readable());
        }
        theirs.send(b"last..").unwrap();
        theirs.shut_down().unwrap();
        assert_eq!(read(&mut ours, &mut [0; 6]).await.unwrap(), 6);
        ours.forget_readiness();
        assert_eq!(read(&mut ours, &mut [0; 6]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_answer_that_came_before_the_first_read_is_read() {
        let (mut ours, mut theirs) = pair();
        for _ in 0..2 {
            poll_fn(|cx| ours.poll_write(cx, b"question")).await.unwrap();
            theirs.send(b"answer").unwrap();
            theirs.send(b", more").unwrap();
            for part in [b"answer", b", more"] {
                let mut bytes = [0; 6];
                let reading = tokio::time::timeout(Duration::from_secs(30), read(&mut ours, &mut bytes));
                assert_eq!(reading.await.expect("the runtime sees what had arrived").unwrap(), 6);
                assert_eq!(&bytes, part);
            }
            assert_eq!(read(&mut theirs, &mut [0; 9]).await.unwrap(), 8);
            // Another runtime watches it from here on.
            ours = ours.unwatched();
        }
    }

    #[tokio::test]
    async fn a_stream_whose_writes_fail_is_at_its_end_for_its_reader() {
        let (ours, mut theirs) = pair();
        theirs.send(b"before").unwrap();
        // The peer receives nothing any more, but can still send.
        theirs.stream.shutdown(std::net::Shutdown::Read).unwrap();
        let mut ours = crate::stream::Socket::Unix(ours);
        let error = ours.write(b"answer").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let mut received = Vec::new();
        let reading = tokio::time::timeout(Duration::from_secs(30), ours.read_to_end(&mut received));
        reading.await.expect("the stream is at its end").unwrap();
        assert_eq!(received, b"before", "bytes that had arrived are read before the end");
        assert_eq!(theirs.send(b"after").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        read(&mut theirs, &mut [0]).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_with_an_unknown_peer_is_dropped_and_others_are_not() {
        // A listening port stands in for a listening Unix socket.
        let ports = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        ports.set_nonblocking(true).unwrap();
        let mut client = tokio::net::TcpStream::connect(ports.local_addr().unwrap()).await.unwrap();
        let listener = Listener::on(ports.into()).unwrap();
        assert!(Stream::accepted(listener.accept().await.unwrap()).is_none(), "the user of its peer is unknown");
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the connection is closed without an answer");
        let no_socket = || OwnedFd::from(File::open("/dev/null").unwrap());
        assert!(socket::of_ours(no_socket()).is_err(), "a file has no peer");
        assert!(Stream::accepted(no_socket()).is_none());
    }
}
