//! The watchdog of a spawned server: unless it is registered in time, its process ends.
//!
//! It is a thread of its own, so nothing else delays it: neither a handler that hangs while it is built nor a fork of the
//! spawner that keeps the pipe open leaves an orphan.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::os::process::{self, Lines};
use super::shutdown::Shutdown;
use crate::error::Error;
use crate::proto::cookie::Cookie;
use crate::proto::pipes::{Order, is_registered};
use crate::stage::Stage;

/// The part of an order that a server takes only when it serves.
pub(super) struct Terms {
    /// The server's cookie.
    pub(super) cookie: Cookie,
    /// How long the spawner waits for the reply.
    pub(super) budget: Duration,
}

impl Terms {
    fn read(line: &[u8]) -> Option<Self> {
        let Order { cookie, budget, .. } = Order::read(line)?;
        Some(Terms { cookie, budget })
    }
}

/// The messages that the watchdog receives from the spawner.
pub(super) struct Watchdog {
    order: oneshot::Receiver<Terms>,
    registered: oneshot::Receiver<()>,
}

impl Watchdog {
    /// Starts to watch. Waits `patience` for the order. A server of an ephemeral context requests its own retirement when
    /// the spawner's end of the pipe is gone.
    pub(super) fn start(mut orders: Lines, patience: Duration, held: Option<Shutdown>) -> Result<Self, Error> {
        let (tell_order, order) = oneshot::channel();
        let (tell_registered, registered) = oneshot::channel();
        thread::Builder::new()
            .name("rendezvous-watchdog".into())
            .spawn(move || {
                // Requests retirement however this thread ends, since no other thread would.
                let held = held.map(RequestOnDrop);
                watch(&mut orders, patience, || EndOnDrop, tell_order, tell_registered);
                if held.is_some() {
                    orders.end();
                }
            })
            .map_err(Error::system(Stage::Watch))?;
        Ok(Watchdog { order, registered })
    }

    /// Waits for the spawner's order; `None` if it is not there any more.
    pub(super) async fn order(&mut self) -> Option<Terms> {
        (&mut self.order).await.ok()
    }

    /// Waits until this server is registered. Otherwise this process ends.
    pub(super) async fn registered(self) -> Option<()> {
        self.registered.await.ok()
    }
}

/// Requests the retirement of a server when it is dropped.
struct RequestOnDrop(Shutdown);

impl Drop for RequestOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Ends this process when it is dropped. It is forgotten once the server is registered.
struct EndOnDrop;

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        process::end_this_process();
    }
}

/// Watches until this server is registered. `end` creates the guard that ends the process, once the order has come. The
/// guard is forgotten if the server is registered in time, and dropped otherwise.
fn watch<E>(
    orders: &mut Lines,
    patience: Duration,
    end: impl FnOnce() -> E,
    tell_order: oneshot::Sender<Terms>,
    tell_registered: oneshot::Sender<()>,
) {
    let began = Instant::now();
    // Something took the order from standard input. `serve` fails then, and says so.
    let Some(order) = orders.next(began + patience, Terms::read).flatten() else { return };
    let end = end();
    let until = began + order.budget;
    let _ = tell_order.send(order);
    if orders.next(until, is_registered) == Some(true) {
        std::mem::forget(end);
        let _ = tell_registered.send(());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;

    use super::*;
    use crate::proto::pipes::{REGISTERED, sample_order};

    /// Whether the process would have ended.
    struct Ends(Rc<Cell<bool>>);

    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }

    /// Watches a spawner that writes this and keeps its end: whether an order came, whether *registered* did, and
    /// whether the process would have ended.
    fn watched(sent: &[u8], patience: Duration) -> (bool, bool, bool) {
        let (mut spawner, orders) = UnixStream::pair().unwrap();
        let (tell_order, mut order) = oneshot::channel();
        let (tell_registered, mut registered) = oneshot::channel();
        spawner.write_all(sent).unwrap();
        let ended = Rc::new(Cell::new(false));
        let end = || Ends(ended.clone());
        watch(&mut Lines::of(orders.into()), patience, end, tell_order, tell_registered);
        (order.try_recv().is_ok(), registered.try_recv().is_ok(), ended.get())
    }

    /// An order by a spawner that waits so long.
    fn order(budget: Duration) -> Vec<u8> {
        let mut line = String::new();
        sample_order(budget).write(&mut line).unwrap();
        line.into_bytes()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_server_continues_only_at_the_line_registered() {
        let after = |line: &str| watched(&[&order(LONG)[..], line.as_bytes()].concat(), LONG);
        assert_eq!(after(REGISTERED), (true, true, false));
        for other in ["\n", "hello\n", "Registered\n", "registered \n", "registered\r\n"] {
            assert_eq!(after(other), (true, false, true), "{other:?}");
        }
    }

    #[test]
    fn an_order_and_registered_are_awaited_for_their_times_at_most() {
        let short = Duration::from_millis(20);
        let began = Instant::now();
        assert_eq!(watched(b"", short), (false, false, false), "no process depends on it");
        assert_eq!(watched(b"rendezvous start", short), (false, false, false), "it is not whole");
        assert_eq!(watched(&order(short), LONG), (true, false, true), "it is not registered");
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn a_request_reaches_a_server_however_its_watchdog_ends() {
        let shutdown = Shutdown::new();
        let held = RequestOnDrop(shutdown.clone());
        let watchdog = thread::spawn(move || {
            let _held = held;
            panic!("it reads bytes that were never written");
        });
        watchdog.join().unwrap_err();
        assert!(shutdown.at().is_some());
    }
}
