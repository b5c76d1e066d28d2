//! The calls of programs that block their thread, where a runtime has to do the work.

use std::panic::resume_unwind;
use std::thread;

use tracing::Dispatch;
use tracing::dispatcher::{get_default, with_default};

use super::BlockingConnection;
use crate::connection::Connection;
use crate::descriptor::Descriptor;
#[cfg(feature = "sequoia")]
use crate::dialect::Dialect;
use crate::driver::local_runtime;
use crate::error::Error;
use crate::park;
use crate::policy::Policy;
use crate::stage::Stage;

impl Descriptor {
    /// Runs the server in this process, as [`serve`](Descriptor::serve) does, and blocks the thread until the server has
    /// retired. It works in every thread, since the server runs on threads of its own.
    ///
    /// ```no_run
    /// # use rendezvous_ipc::{Context, Descriptor, Error, Stream};
    /// fn main() -> Result<(), Error> {
    ///     let service = Descriptor::new(&Context::new("org.example.counter")?, "counter")?
    ///         .stream_handler(async |_server| Ok(async |_peer, _stream: Stream| {}));
    ///     service.serve_blocking()
    /// }
    /// ```
    ///
    /// # Errors
    /// As for [`serve`](Descriptor::serve).
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    pub fn serve_blocking(&self) -> Result<(), Error> {
        park::wait(self.serve())
    }

    /// Returns whether a connect may serve in this process, by the context's policy.
    pub(super) fn may_serve_here(&self) -> bool {
        match self.context().policy() {
            Policy::External => false,
            Policy::Internal => true,
            // Without a handler there is nothing to fall back to.
            Policy::Robust => self.factory.is_some(),
        }
    }

    /// Returns whether the point's dialect is one that only a runtime speaks.
    pub(super) fn speaks_by_a_runtime(&self) -> bool {
        #[cfg(feature = "sequoia")]
        return self.is_of(Dialect::Sequoia);
        #[cfg(not(feature = "sequoia"))]
        false
    }
}

impl BlockingConnection {
    pub(super) fn of(connection: Connection) -> Result<Self, Error> {
        let Connection { stream, outcome } = connection;
        Ok(BlockingConnection { stream: stream.into_blocking().map_err(Error::system(Stage::Done))?, outcome })
    }
}

/// Runs a call in a runtime, on a thread of its own: this one may have a runtime that must not be entered again. Its log
/// and its panic are those of this thread.
pub(super) fn by_a_runtime<T: Send>(call: impl AsyncFnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    let log = get_default(Dispatch::clone);
    let call = || with_default(&log, || local_runtime().map_err(Error::system(Stage::Read))?.block_on(call()));
    thread::scope(|scope| {
        let called = thread::Builder::new().name("rendezvous-call".into()).spawn_scoped(scope, call);
        let called = called.map_err(Error::system(Stage::Read))?.join();
        called.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// A subscriber that drops what it gets.
    struct Mine;

    impl Subscriber for Mine {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_panic_in_the_thread_of_a_call_is_a_panic_of_the_call() {
        let call = || by_a_runtime(async || -> Result<(), Error> { panic!("a spinner fell over") });
        assert_eq!(catch_unwind(call).unwrap_err().downcast_ref(), Some(&"a spinner fell over"));
    }

    #[test]
    fn a_call_in_a_thread_of_its_own_logs_to_its_callers_subscriber() {
        let logs_to_mine = || by_a_runtime(async || Ok(get_default(|log| log.is::<Mine>())));
        assert!(with_default(&Dispatch::new(Mine), logs_to_mine).unwrap());
        assert!(!logs_to_mine().unwrap());
    }
}
