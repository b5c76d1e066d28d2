//! What a client does with a server of an older version.

use crate::proto::connect;

/// What a client does with a live server of an older version than its own
/// ([`Descriptor::version`](crate::Descriptor::version)).
///
/// ```
/// # use rendezvous_ipc::{Context, Descriptor, Error, Older};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
/// # let context = Context::ephemeral("org.example.counter")?;
/// // A session server: what it has in memory is worth more than the new version.
/// let service = Descriptor::new(&context, "counter")?.version(3).older(Older::Refuse);
/// if let Err(Error::TooOld { offers, wanted, .. }) = service.join().await {
///     eprintln!("version {offers} still runs, and this is {wanted}: `counter stop` ends it");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Older {
    /// It requests that the server retire, waits until it has drained, and starts its own. A client that could start
    /// no process in its place joins the server: one without a program, one of [`Policy::Internal`](crate::Policy), or
    /// one that only [joins](crate::Descriptor::join).
    #[default]
    Replace,
    /// It joins the server. [`Outcome::version`](crate::Outcome::version) has the version that the server offers.
    Join,
    /// It leaves the server alone, and the call fails with [`Error::TooOld`](crate::Error::TooOld), under every policy
    /// and also for [`join`](crate::Descriptor::join).
    Refuse,
}

impl Older {
    /// Returns the choice as the machine takes it.
    pub(crate) fn machine(self) -> connect::Older {
        match self {
            Older::Replace => connect::Older::Replace,
            Older::Join => connect::Older::Join,
            Older::Refuse => connect::Older::Refuse,
        }
    }
}
