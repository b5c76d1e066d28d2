//! Help for the tests of programs that use this crate: a server in one line, and real failures on demand.
//!
//! Nothing is simulated: the records are real records, the strangers listen, and a stopped server is stopped.
//!
//! This module needs the feature `test-util`.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::connection::Connection;
use crate::context::Context;
use crate::descriptor::Descriptor;
use crate::driver;
use crate::error::Error;
use crate::os::process::StoppedProcess;
use crate::os::scope;
use crate::pid::Pid;
use crate::policy::Policy;
use crate::proto::address::Address;
use crate::proto::cookie::Cookie;
use crate::proto::record::Record;
use crate::stage::Stage;

/// Connects to a new server in this process and in an ephemeral context. Both end with the connection.
///
/// ```
/// # use rendezvous_ipc::{Descriptor, Stream, testing};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = testing::connect(|context| {
///     Ok(Descriptor::new(context, "greeter")?.stream_handler(async |_server| {
///         Ok(async |_peer, mut stream: Stream| drop(stream.write_all(b"hello").await))
///     }))
/// })
/// .await?;
/// let mut greeting = String::new();
/// connection.into_stream().read_to_string(&mut greeting).await?;
/// assert_eq!(greeting, "hello");
/// # Ok(()) }
/// ```
///
/// # Errors
/// Those of `service`, of [`Context::ephemeral`] and of [`Descriptor::connect_with_policy`].
pub async fn connect(service: impl FnOnce(&Context) -> Result<Descriptor, Error>) -> Result<Connection, Error> {
    let context = Context::ephemeral("rendezvous-ipc.testing")?;
    service(&context)?.connect_with_policy(Policy::Internal).await
}

/// Writes the record of a server that is gone, with a port at which no process listens.
///
/// The record replaces the one in the point. A live server restores its own at its next check.
///
/// ```
/// # use rendezvous_ipc::{Context, Descriptor, Status, testing};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rendezvous_ipc::Error> {
/// let context = Context::ephemeral("org.example.greeter")?;
/// let service = Descriptor::new(&context, "greeter")?;
/// testing::leave_dead_record(&service)?;
/// assert!(matches!(service.inspect().await?, Status::Gone { .. }));
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::File`] if the point cannot be written or is locked just now, [`Error::System`] if there is no free port.
pub fn leave_dead_record(service: &Descriptor) -> Result<(), Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::system(Stage::Listen))?;
    let address = listener.local_addr().map_err(Error::system(Stage::Listen))?;
    drop(listener);
    leave_record(service, address)
}

fn leave_record(service: &Descriptor, address: std::net::SocketAddr) -> Result<(), Error> {
    let address = Address::new(address)
        .map_err(|error| Error::System { stage: Stage::Listen, source: io::Error::other(error) })?;
    let record = Record {
        scope: scope::here()?,
        address,
        cookie: Cookie::drawn(driver::draw()?),
        pid: std::process::id(),
        started: 0,
        version: 0,
    };
    driver::leave_record(service.point(), service.life(), &record)
}

/// A process that is stopped until this is dropped.
#[derive(Debug)]
pub struct Stopped(#[expect(dead_code, reason = "it continues the process when it is dropped")] StoppedProcess);

/// Stops a process, such as the one that [`Outcome::pid`](crate::Outcome::pid) names. It keeps its locks and its port,
/// and does not answer.
///
/// Use it for a server in a process of its own: to stop a server in this process would stop the test.
///
/// ```
/// # use rendezvous_ipc::{Pid, testing};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut server = std::process::Command::new("sleep").arg("60").spawn()?;
/// let stopped = testing::stop(Pid::new(server.id()).expect("a child has a number"))?;
/// // … what does my program do now?
/// drop(stopped);
/// # server.kill()?; server.wait()?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::System`] if there is no such process, or this process may not stop it.
pub fn stop(pid: Pid) -> Result<Stopped, Error> {
    StoppedProcess::stop(pid).map(Stopped).map_err(Error::system(Stage::Stop))
}

/// A listener at the port of a server that is gone, which sends nothing, until this is dropped.
///
/// The kernel completes connections to it, as it does for a process that hangs.
///
/// ```
/// # use rendezvous_ipc::{Context, Descriptor, Limits, Status, testing};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rendezvous_ipc::Error> {
/// let context = Context::ephemeral("org.example.greeter")?;
/// let service = Descriptor::new(&context, "greeter")?.limits(Limits::default().divided_by(10));
/// let _stranger = testing::Stranger::take_the_place_of(&service)?;
/// assert!(matches!(service.inspect().await?, Status::Gone { .. })); // after some silence
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Stranger {
    _listener: TcpListener,
}

impl Stranger {
    /// Listens, and writes a record that names this port, as [`leave_dead_record`] does.
    ///
    /// # Errors
    /// As for [`leave_dead_record`].
    pub fn take_the_place_of(service: &Descriptor) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::system(Stage::Listen))?;
        leave_record(service, listener.local_addr().map_err(Error::system(Stage::Listen))?)?;
        Ok(Stranger { _listener: listener })
    }
}
