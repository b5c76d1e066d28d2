//! The types of `src/driver/sync.rs`, made of what loom explores.

use std::convert::Infallible;
use std::ops::Add;
use std::time::Duration;

use loom::sync::Condvar;
pub use loom::sync::atomic::{AtomicU32, Ordering};
/// A channel, used for one value.
pub use loom::sync::mpsc as oneshot;
pub use loom::sync::{Mutex, MutexGuard};
pub use loom::thread;

/// A clock that stands still, so that every wait for a moment ends at once.
#[derive(Clone, Copy)]
pub struct Instant;

impl Instant {
    pub fn now() -> Self {
        Instant
    }

    pub fn elapsed(self) -> Duration {
        Duration::ZERO
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, _: Duration) -> Self {
        self
    }
}

/// Polls before it looks at the time, as tokio does: only a notification that was not sent yet times out.
pub async fn timeout_at(_: Instant, notified: Notified<'_>) -> Result<(), ()> {
    std::mem::take(&mut *notified.0.permit.lock().unwrap()).then_some(()).ok_or(())
}

/// Like tokio's, for one waiting task.
pub struct Notify {
    permit: Mutex<bool>,
    given: Condvar,
}

pub struct Notified<'a>(&'a Notify);

impl Notify {
    pub fn new() -> Self {
        Notify { permit: Mutex::new(false), given: Condvar::new() }
    }

    pub fn notify_one(&self) {
        *self.permit.lock().unwrap() = true;
        self.given.notify_one();
    }

    pub fn notified(&self) -> Notified<'_> {
        Notified(self)
    }
}

impl<'a> IntoFuture for Notified<'a> {
    type Output = ();
    type IntoFuture = std::future::Ready<()>;

    fn into_future(self) -> Self::IntoFuture {
        let mut permit = self.0.permit.lock().unwrap();
        while !std::mem::take(&mut *permit) {
            permit = self.0.given.wait(permit).unwrap();
        }
        std::future::ready(())
    }
}

/// Like tokio's, with a sender that lives for as long as there are receivers.
pub mod watch {
    use std::sync::Arc;

    use super::{Condvar, Infallible, Mutex, MutexGuard};

    struct Shared<T> {
        value: Mutex<T>,
        changed: Condvar,
    }

    pub struct Sender<T>(Arc<Shared<T>>);

    pub struct Receiver<T>(Arc<Shared<T>>);

    impl<T> Clone for Sender<T> {
        fn clone(&self) -> Self {
            Sender(self.0.clone())
        }
    }

    impl<T> Sender<T> {
        pub fn new(value: T) -> Self {
            Sender(Arc::new(Shared { value: Mutex::new(value), changed: Condvar::new() }))
        }

        pub fn subscribe(&self) -> Receiver<T> {
            Receiver(self.0.clone())
        }

        pub fn borrow(&self) -> MutexGuard<'_, T> {
            self.0.value.lock().unwrap()
        }

        pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) {
            if modify(&mut *self.borrow()) {
                self.0.changed.notify_all();
            }
        }

        pub fn send_replace(&self, value: T) {
            *self.borrow() = value;
            self.0.changed.notify_all();
        }
    }

    impl<T> Receiver<T> {
        pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<MutexGuard<'_, T>, Infallible> {
            let mut value = self.0.value.lock().unwrap();
            while !wanted(&value) {
                value = self.0.changed.wait(value).unwrap();
            }
            Ok(value)
        }
    }
}
