//! The effects that the client's loop asks for, as an interface.
//!
//! The loop decides nothing and waits for nothing by itself: each step of the machine is an effect and its answer. A
//! driver for another runtime, another system or a simulated world provides these traits and gets the loop.
//!
//! # Rules
//! - **Everything is bounded.** An effect that may wait gets the time by which it returns. Times count from the
//!   beginning of the connect.
//! - **Everything can be dropped.** The loop may be dropped while an effect waits. The `Drop` of a [`Child`], a stream
//!   and a [`Point`] then releases what it holds: the child is killed first, the lock is released last.
//! - **An error is local** and ends the connect. A fact about a server, a lock or a program is an answer.

use std::future::Future;
use std::io;
use std::time::Duration;

use super::net::dial::DialError;
use crate::error::{Error, StartFailure};
use crate::os::lock::TryLock;
use crate::proto::address::Address;
use crate::proto::connect::Lifetime;
use crate::proto::cookie::Cookie;
use crate::proto::handshake::Party;
use crate::proto::random::Random;
use crate::proto::record::{Line, Record};
use crate::proto::scope::Place;

/// The effects of a client on its system.
pub(super) trait Effects {
    /// The point lock while it is held.
    type Point: Point;
    /// A process that was started and is not registered.
    type Child: Child;
    /// A connection. Dropping it closes it.
    type Stream;

    /// Returns the time since the connect began.
    fn now(&self) -> Duration;

    /// Draws the bytes of one cookie or one nonce.
    fn random(&mut self) -> Result<Random, Error>;

    /// Draws the random byte of a pause.
    fn jitter(&mut self) -> Result<u8, Error>;

    /// Runs `work`, which performs effects. `None`: the limit is reached first.
    async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T>;

    /// Waits for so long.
    async fn pause(&mut self, pause: Duration);

    /// Looks up the place of this process.
    fn place(&mut self) -> Result<Place, Error>;

    /// Reads the point, without its lock, and creates nothing. `None`: there is no file.
    fn read<F>(&mut self, read: fn(&[u8]) -> F) -> Result<Option<F>, Error>;

    /// Tries the point lock, once. With `creates`, it makes a missing file and a missing home.
    fn try_lock(&mut self, creates: bool) -> Result<TryLock<Self::Point>, Error>;

    /// Asks the lifetime lock, by a shared try that is given back at once. `CannotTell` comes with the reason.
    fn probe(&mut self, point: &Self::Point) -> (Lifetime, Option<Error>);

    /// Starts a process and sends it its order, with this cookie. A program that another process is writing is tried
    /// again until `budget` is over.
    async fn spawn(&mut self, cookie: &Cookie, budget: Duration) -> Result<Self::Child, NoChild>;

    /// Returns this client's side of a handshake, with the identity that the point has now.
    fn party(&self) -> Party;

    /// Connects to a server.
    async fn connect(&mut self, address: Address, until: Duration) -> Result<Self::Stream, DialError>;

    /// Sends a message.
    async fn send(&mut self, stream: &mut Self::Stream, message: &[u8], until: Duration) -> Result<(), DialError>;

    /// Sends the answer to a message. The server sends nothing before it has it, so there is nothing to receive until
    /// then.
    async fn answer(&mut self, stream: &mut Self::Stream, message: &[u8], until: Duration) -> Result<(), DialError> {
        self.send(stream, message, until).await
    }

    /// Receives a message of a fixed size, and not a byte more.
    async fn receive<const N: usize>(
        &mut self,
        stream: &mut Self::Stream,
        until: Duration,
    ) -> Result<[u8; N], DialError>;

    /// Waits until the other side has ended the connection, for so long at most. Returns whether it has.
    async fn ended(&mut self, stream: &mut Self::Stream, longest: Duration) -> bool;
}

/// The point, under its lock. Dropping it releases the lock.
pub(super) trait Point {
    /// Reads what the point holds.
    fn read<F>(&mut self, read: fn(&[u8]) -> F) -> Result<F, Error>;

    /// Whether the point's path leads to the file that is locked.
    fn is_current(&self) -> Result<bool, Error>;

    /// Withdraws whatever the point holds.
    fn clear(&mut self) -> Result<(), Error>;

    /// Writes a record into the empty point, in one write. If not all of it can be written, nothing of it stays.
    fn write(&mut self, line: &Line) -> Result<(), Error>;
}

/// A process that is not registered. Dropping it kills it.
pub(super) trait Child {
    /// Returns its process.
    fn pid(&self) -> u32;

    /// Returns where its part of the log begins.
    fn log_begin(&self) -> u64;

    /// Awaits its reply, its exit, and the end of its budget, which began with its start.
    async fn reply(&mut self, budget: Duration) -> Awaited;

    /// Sends *registered*: from here on it is a server like any other, and lives on.
    fn confirm(self);
}

/// The result of the wait for a child.
pub(super) enum Awaited {
    Ready(Record),
    Busy,
    Failed(StartFailure),
}

/// Why there is no child.
pub(super) enum NoChild {
    /// The program cannot be executed.
    CannotExecute(io::Error),
    /// A local error. The program may have run for a moment: without a thread to reap it, it is killed again.
    Local(Error),
}
