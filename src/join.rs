//! The result of a join.

/// The result of [`Descriptor::join`](crate::Descriptor::join), with a [`Connection`](crate::Connection), or of
/// [`join_blocking`](crate::Descriptor::join_blocking), with a [`BlockingConnection`](crate::BlockingConnection).
///
/// ```
/// # use rendezvous_ipc::{Context, Descriptor, Join};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rendezvous_ipc::Error> {
/// # let context = Context::ephemeral("org.example.counter")?;
/// # let service = Descriptor::new(&context, "counter")?;
/// match service.join().await? {
///     Join::Joined(connection) => println!("{}", connection.outcome()),
///     Join::Absent => println!("no server is running"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use]
pub enum Join<C> {
    /// A server was there, and counts this client.
    Joined(C),
    /// No server was there: the point has no record, or its server is dead.
    Absent,
}

impl<C> Join<C> {
    /// Returns the connection, if there is one.
    ///
    /// ```
    /// # use rendezvous_ipc::{Context, Descriptor};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rendezvous_ipc::Error> {
    /// # let context = Context::ephemeral("org.example.counter")?;
    /// # let service = Descriptor::new(&context, "counter")?;
    /// let Some(connection) = service.join().await?.connection() else { return Ok(()) };
    /// let stream = connection.into_stream();
    /// # Ok(()) }
    /// ```
    pub fn connection(self) -> Option<C> {
        match self {
            Join::Joined(connection) => Some(connection),
            Join::Absent => None,
        }
    }
}
