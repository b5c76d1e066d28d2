//! For the tests of programs that use this crate: a server in one line, and real failures on demand.
//!
//! Nothing here is simulated: the records are records, the strangers listen, and a stopped server is stopped.
//!
//! Only with the feature `test-util`.

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

/// Connects to a server of its own, in this process and in an ephemeral context, which end with the connection.
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

/// Leaves the record of a server that is gone, and whose port nobody has.
///
/// What the point held before is overwritten: a server that lives restores its record when it next looks.
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
/// [`Error::File`] where the point cannot be written or is locked just now, [`Error::System`] where there is no port
/// to be had.
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

/// A server, or any other process, that is stopped until this is dropped.
#[derive(Debug)]
pub struct Stopped(#[expect(dead_code, reason = "it continues the process when it is dropped")] StoppedProcess);

/// Stops a process, such as the one that [`Outcome::pid`](crate::Outcome::pid) names: it holds its locks and its port,
/// and answers nothing.
///
/// For servers of processes of their own: one of this process would stop the test with it.
///
/// ```
/// # use rendezvous_ipc::{Pid, testing};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut server = std::process::Command::new("sleep").arg("60").spawn()?;
/// let stopped = testing::stop(Pid::new(server.id()).expect("a child has a number"))?;
/// // … what does my program say now?
/// drop(stopped);
/// # server.kill()?; server.wait()?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::System`] where there is no such process, or it is not ours to stop.
pub fn stop(pid: Pid) -> Result<Stopped, Error> {
    StoppedProcess::stop(pid).map(Stopped).map_err(Error::system(Stage::Stop))
}

/// Somebody who has the port of a server that is gone, and says nothing to anybody, until this is dropped.
///
/// The kernel accepts for it, as it does for a process that hangs.
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
    /// Leaves a record that leads to the stranger, as [`leave_dead_record`] does.
    ///
    /// # Errors
    /// As of [`leave_dead_record`].
    pub fn take_the_place_of(service: &Descriptor) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::system(Stage::Listen))?;
        leave_record(service, listener.local_addr().map_err(Error::system(Stage::Listen))?)?;
        Ok(Stranger { _listener: listener })
    }
}
