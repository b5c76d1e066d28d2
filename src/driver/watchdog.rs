//! The watchdog of a spawned server: unless it is registered in time, its process ends.
//!
//! It is a thread of its own that nothing else can hold up: a handler that hangs while it is built, or a
//! fork of the spawner that keeps the pipe open, must leave no orphan behind.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::hall::Told;
use super::os::process::{self, Lines};
use crate::error::Error;
use crate::proto::start::{Order, REGISTERED};

/// What the watchdog hears from the spawner.
pub(super) struct Watchdog {
    order: oneshot::Receiver<Order>,
    registered: oneshot::Receiver<()>,
}

impl Watchdog {
    /// Starts to watch. An order that does not come within `patience` never will. A server that is held tells itself
    /// to retire when the spawner's end is gone.
    pub(super) fn start(orders: OwnedFd, patience: Duration, held: Option<Told>) -> Result<Self, Error> {
        let (tell_order, order) = oneshot::channel();
        let (tell_registered, registered) = oneshot::channel();
        thread::Builder::new()
            .name("rendezvous-watchdog".into())
            .spawn(move || {
                // However this thread ends: nobody else would tell it.
                let held = held.map(TellOnDrop);
                let mut orders = Lines::of(orders);
                watch(&mut orders, patience, tell_order, tell_registered);
                if held.is_some() {
                    orders.end();
                }
            })
            .map_err(Error::system("Watch"))?;
        Ok(Watchdog { order, registered })
    }

    /// The spawner's order; `None` where this process was not started by a spawner.
    pub(super) async fn order(&mut self) -> Option<Order> {
        (&mut self.order).await.ok()
    }

    /// Returns when this server is registered. If it is not, this process ends first.
    pub(super) async fn registered(self) -> Option<()> {
        self.registered.await.ok()
    }
}

/// Has a server retire.
struct TellOnDrop(Told);

impl Drop for TellOnDrop {
    fn drop(&mut self) {
        self.0.tell();
    }
}

/// Ends this process, unless it is forgotten: however the watch ends.
struct EndOnDrop;

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        process::end_this_process();
    }
}

fn watch(
    orders: &mut Lines,
    patience: Duration,
    tell_order: oneshot::Sender<Order>,
    tell_registered: oneshot::Sender<()>,
) {
    let began = Instant::now();
    // Somebody typed `--spawned`: no server depends on it, so nothing has to end.
    let Some(order) = orders.next(began + patience, Order::read).flatten() else { return };
    let end = EndOnDrop;
    let until = began + order.budget;
    let _ = tell_order.send(order);
    if orders.next(until, |line| line == REGISTERED.as_bytes()) == Some(true) {
        std::mem::forget(end);
        let _ = tell_registered.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_server_is_told_however_its_watchdog_ends() {
        let told = Told::new();
        let held = TellOnDrop(told.clone());
        let watchdog = thread::spawn(move || {
            let _held = held;
            panic!("it reads what nobody wrote");
        });
        watchdog.join().unwrap_err();
        assert!(told.at().is_some());
    }
}
