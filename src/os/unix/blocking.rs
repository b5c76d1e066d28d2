//! A connected socket of either transport for a thread that blocks, and the waits of such a thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown};

use super::socket::{recv, send, shut_down};

/// A connected socket of either transport, whose reads and writes block their thread.
#[derive(Debug)]
pub(crate) struct Blocking(OwnedFd);

impl Blocking {
    pub(crate) fn new(socket: impl Into<OwnedFd>) -> io::Result<Self> {
        let socket = socket.into();
        rustix::io::ioctl_fionbio(&socket, false)?;
        Ok(Blocking(socket))
    }

    /// Returns whether this is a Unix socket.
    pub(crate) fn is_local(&self) -> io::Result<bool> {
        Ok(rustix::net::getsockname(&self.0)?.address_family() == AddressFamily::UNIX)
    }

    /// Returns the socket.
    pub(crate) fn into_owned(self) -> OwnedFd {
        self.0
    }

    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(&self.0, buf, RecvFlags::empty())?.1)
    }

    /// Sends without SIGPIPE, as [`send`] does.
    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&self.0, buf, SendFlags::NOSIGNAL)?)
    }

    /// Sends these bytes until none is left, and returns `None` at `until`. It can be called again for the rest.
    pub(crate) fn send_until(&self, bytes: &mut &[u8], until: Instant) -> io::Result<Option<()>> {
        while !bytes.is_empty() {
            match send(&self.0, bytes) {
                Ok(sent) => *bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !wait(&mut [PollFd::new(&self.0, PollFlags::OUT)], until)? {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(()))
    }

    /// Fills `buf` from `len` on, and reads not a byte more. Returns `None` at `until`. It can be called again for the rest.
    pub(crate) fn receive_until(&self, buf: &mut [u8], len: &mut usize, until: Instant) -> io::Result<Option<()>> {
        while *len < buf.len() {
            // The peer answers what was sent just now, so there is nothing to receive yet.
            if !wait(&mut [PollFd::new(&self.0, PollFlags::IN)], until)? {
                return Ok(None);
            }
            match recv(&self.0, &mut buf[*len..], RecvFlags::empty()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(received) => *len += received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(()))
    }

    /// Waits until the peer has sent something or ended the connection, and returns `None` at `until`.
    pub(crate) fn readable_until(&self, until: Instant) -> io::Result<Option<()>> {
        Ok(wait(&mut [PollFd::new(&self.0, PollFlags::IN)], until)?.then_some(()))
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, timeout)?)
    }

    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Send, timeout)?)
    }

    pub(crate) fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()> {
        let how = match how {
            std::net::Shutdown::Read => Shutdown::Read,
            std::net::Shutdown::Write => Shutdown::Write,
            std::net::Shutdown::Both => Shutdown::Both,
        };
        shut_down(&self.0, how)
    }
}

impl AsFd for Blocking {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of these descriptors is ready or at its end. Returns `false` at `until`. It looks once if that is over.
fn wait(descriptors: &mut [PollFd<'_>], until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        match rustix::event::poll(descriptors, Some(&timeout)) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

/// What a child did.
pub(crate) enum Did {
    /// It wrote so many bytes; none: its output is at its end.
    Wrote(usize),
    /// Its process has ended. There may be output that was not read.
    Ended,
}

/// The output of a child.
pub(crate) type Output = OwnedFd;

/// Prepares the output of a child for [`watch_child`].
pub(crate) fn output_of_child(output: impl Into<OwnedFd>) -> io::Result<Output> {
    let output = output.into();
    rustix::io::ioctl_fionbio(&output, true)?;
    Ok(output)
}

/// It is at its end when [`Ending::end`] was called, so that a thread can wait for that beside a socket.
pub(crate) type Ended = UnixStream;

/// The other side of an [`Ended`].
pub(crate) struct Ending(UnixStream);

impl Ending {
    pub(crate) fn end(self) {
        // A process that the host forks meanwhile has a copy of the descriptor.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

pub(crate) fn ending() -> io::Result<(Ended, Ending)> {
    let (ended, ends) = UnixStream::pair()?;
    Ok((ended, Ending(ends)))
}

/// Reads what a child writes, or waits for the end of its process, which is also that of `ended`. Returns `None` at
/// `until`.
pub(crate) fn watch_child(
    output: &Output,
    ended: Option<&Ended>,
    buf: &mut [u8],
    until: Instant,
) -> io::Result<Option<Did>> {
    loop {
        match rustix::io::read(output, &mut *buf) {
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {}
            read => return Ok(Some(Did::Wrote(read?))),
        }
        let output = PollFd::new(output, PollFlags::IN);
        let mut waits: Vec<_> =
            [output].into_iter().chain(ended.map(|ended| PollFd::new(ended, PollFlags::IN))).collect();
        if !wait(&mut waits, until)? {
            return Ok(None);
        }
        if waits[0].revents().is_empty() {
            return Ok(Some(Did::Ended));
        }
    }
}

/// Waits until `ended` is at its end, and returns `None` at `until`.
pub(crate) fn wait_for_end(ended: &Ended, until: Instant) -> io::Result<Option<()>> {
    Ok(wait(&mut [PollFd::new(ended, PollFlags::IN)], until)?.then_some(()))
}
