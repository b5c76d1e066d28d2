//! The watchdog of a spawned server: unless it is registered in time, its process ends.
//!
//! It is in force from when the process begins to serve, in two parts:
//! - A thread sleeps, and looks from time to time, without waiting, whether the server is registered. It ends the
//!   process when the budget of the order is over, counted from its own start. So neither a handler that is built nor a
//!   file operation delays it, whatever thread they block, and a fork of the spawner that keeps the pipe open leaves no
//!   orphan.
//! - The serving thread hears the spawner itself: *registered*, without a hop over another thread, and the spawner's
//!   end.
//!
//! Both take what they hear from the same pipe, so whichever hears a line does all that follows from it: it tells the
//! server at *registered*, and ends the process at any other line and at the spawner's end.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::os::process::{self, Lines, Next};
use super::os::stream::Input;
use super::shutdown::Shutdown;
use crate::error::{Error, Usage};
use crate::proto::cookie::Cookie;
use crate::proto::pipes::{Order, is_registered};
use crate::proto::timing;
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

/// The watchdog, as the serving thread sees it.
#[derive(Clone)]
pub(super) struct Watchdog(pub(super) Arc<Mutex<Heard>>);

/// What was heard from the spawner.
#[derive(Default)]
pub(super) enum Heard {
    /// Nothing. The server has not taken its order.
    #[default]
    Nothing,
    /// The order. The lines that follow it, and what tells the server that it is registered.
    Order(Lines, oneshot::Sender<()>),
    Registered,
}

/// The spawner, as its server sees it.
pub(super) struct Spawner {
    /// Its process, as far as the system reports it.
    pub(super) pid: Option<u32>,
    order: Option<Terms>,
    registered: oneshot::Receiver<()>,
}

impl Watchdog {
    /// Starts the thread that ends this process when the budget is over, unless it is registered by then.
    pub(super) fn start(budget: Duration) -> Result<Self, Error> {
        let heard = Arc::default();
        let watchdog = Watchdog(Arc::clone(&heard));
        let began = Instant::now();
        thread::Builder::new()
            .name("rendezvous-watchdog".into())
            .stack_size(128 * 1024)
            .spawn(move || watch(&heard, began, budget, EndOnDrop))
            .map_err(Error::system(Stage::Watch))?;
        Ok(watchdog)
    }

    /// Returns a watchdog that nothing runs.
    #[cfg(rendezvous_sim)]
    pub(super) fn idle() -> Self {
        Watchdog(Arc::default())
    }

    /// Takes the order, and hears the spawner from here on, on this thread's runtime. A server of an ephemeral context,
    /// which passes `held`, requests its own retirement when the spawner's end of the pipe is gone.
    pub(super) fn attend(self, mut lines: Lines, held: Option<Shutdown>) -> Result<Spawner, Error> {
        let input = Input::watch(lines.input()).map_err(Error::system(Stage::Watch))?;
        let pid = lines.creator();
        let order = if let Next::Line(order) = lines.next(Terms::read) { order } else { None };
        let (tell_registered, registered) = oneshot::channel();
        if order.is_some() {
            *lock(&self.0) = Heard::Order(lines, tell_registered);
            // The process ends where this task sees the spawner's end. Wherever else it ends, the thread watches on.
            tokio::task::spawn_local(attend(self.0, input, held.map(RequestOnDrop)));
        }
        Ok(Spawner { pid, order, registered })
    }
}

impl Spawner {
    /// Returns the order. It can be taken once.
    pub(super) fn order(&mut self) -> Result<Terms, Error> {
        // Something took it from standard input.
        self.order.take().ok_or(Error::Usage(Usage::OrderTaken))
    }

    /// Waits until this server is registered. It must not be called again then.
    pub(super) async fn registered(&mut self) -> Result<(), Error> {
        (&mut self.registered).await.map_err(|_| Error::missing("the spawner"))
    }
}

impl Heard {
    /// Hears whether this server is registered, and tells it so, or will not be: after any other line, and at the end
    /// of the pipe. The process must end then, because the line is taken.
    fn next(&mut self) -> Next<()> {
        let next = match self {
            Heard::Nothing => return Next::Nothing,
            Heard::Order(lines, _) => lines.next(is_registered),
            Heard::Registered => return Next::Line(()),
        };
        match next {
            Next::Nothing => Next::Nothing,
            Next::Line(true) => {
                if let Heard::Order(_, tell_registered) = mem::replace(self, Heard::Registered) {
                    let _ = tell_registered.send(());
                }
                Next::Line(())
            }
            Next::Line(false) | Next::End => Next::End,
        }
    }
}

/// Locks what was heard. The lock is held for no longer than a receive that does not wait.
fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until this server is registered, or will not be, or its time is over. `end` is forgotten if it is registered,
/// and dropped otherwise, which ends the process.
fn watch<E>(heard: &Mutex<Heard>, began: Instant, budget: Duration, end: E) {
    loop {
        match look(heard, began.elapsed(), budget) {
            Looked::Registered => return mem::forget(end),
            Looked::Over => return,
            Looked::Again(pause) => thread::sleep(pause),
        }
    }
}

/// What the watchdog does after a look.
pub(super) enum Looked {
    /// The server is registered: nothing, from here on.
    Registered,
    /// The server will not be registered, or its time is over: the process ends.
    Over,
    /// It looks again after this pause.
    Again(Duration),
}

/// Looks whether the server is registered, `elapsed` after the watchdog's start.
pub(super) fn look(heard: &Mutex<Heard>, elapsed: Duration, budget: Duration) -> Looked {
    let pause = timing::before_the_next_look(elapsed, budget);
    // After the time is over, too: the line may wait unheard, as after the process was stopped.
    match (lock(heard).next(), pause) {
        (Next::Line(()), _) => Looked::Registered,
        (Next::End, _) | (Next::Nothing, None) => Looked::Over,
        (Next::Nothing, Some(pause)) => Looked::Again(pause),
    }
}

/// Hears the spawner until the server is registered, and in an ephemeral context until the spawner's end.
async fn attend(heard: Arc<Mutex<Heard>>, input: Input, held: Option<RequestOnDrop>) {
    loop {
        let next = lock(&heard).next();
        match next {
            Next::Line(()) => break,
            Next::Nothing => {}
            Next::End => process::end_this_process(),
        }
        // The runtime has ended, so this server will not be registered.
        if input.arrived().await.is_err() {
            *lock(&heard) = Heard::Nothing;
            return;
        }
    }
    if held.is_some() {
        while !input.discard() && input.arrived().await.is_ok() {}
    }
}

/// Requests the retirement of a server when it is dropped.
struct RequestOnDrop(Shutdown);

impl Drop for RequestOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Ends this process when it is dropped, by a panic, too. It is forgotten once the server is registered.
struct EndOnDrop;

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        process::end_this_process();
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

    /// An order by a spawner that waits so long.
    fn order(budget: Duration) -> Vec<u8> {
        let mut line = String::new();
        sample_order(budget).write(&mut line).unwrap();
        line.into_bytes()
    }

    const LONG: Duration = Duration::from_secs(60);

    /// What a spawner has written that keeps its end, with that end.
    fn heard(sent: &[u8]) -> (UnixStream, Mutex<Heard>) {
        let (mut spawner, orders) = UnixStream::pair().unwrap();
        spawner.write_all(sent).unwrap();
        (spawner, Mutex::new(Heard::Order(Lines::of(orders.into()), oneshot::channel().0)))
    }

    /// Watches for so long, and returns whether the process would have ended.
    fn ends(heard: &Mutex<Heard>, budget: Duration) -> bool {
        let ended = Rc::new(Cell::new(false));
        watch(heard, Instant::now(), budget, Ends(ended.clone()));
        ended.get()
    }

    #[test]
    fn a_server_continues_only_at_the_line_registered() {
        for other in ["\n", "hello\n", "Registered\n", "registered \n", "registered\r\n"] {
            assert_eq!(lock(&heard(other.as_bytes()).1).next(), Next::End, "{other:?}");
        }
        for part in ["", "registered"] {
            let (spawner, heard) = heard(part.as_bytes());
            assert_eq!(lock(&heard).next(), Next::Nothing, "{part:?}");
            drop(spawner);
            assert_eq!(lock(&heard).next(), Next::End, "{part:?}");
        }
        let (spawner, heard) = heard(REGISTERED.as_bytes());
        for _ in 0..2 {
            assert_eq!(lock(&heard).next(), Next::Line(()));
        }
        drop(spawner);
        assert_eq!(lock(&heard).next(), Next::Line(()), "the end of the spawner comes after it");
    }

    #[test]
    fn a_process_that_is_not_registered_ends_when_its_budget_is_over() {
        let short = Duration::from_millis(20);
        let began = Instant::now();
        assert!(ends(&Mutex::default(), short), "no thread has taken the order");
        assert!(ends(&heard(b"").1, short));
        assert!(ends(&heard(b"registered").1, short), "it is not whole");
        assert!(began.elapsed() >= 3 * short);
        assert!(ends(&heard(b"hello\n").1, LONG), "the thread has taken the line, so nobody else hears it");
        let (spawner, heard_of_it) = heard(b"");
        drop(spawner);
        assert!(ends(&heard_of_it, LONG), "its spawner has ended");
        assert!(began.elapsed() < LONG);
        assert!(!ends(&heard(REGISTERED.as_bytes()).1, LONG));
        assert!(!ends(&heard(REGISTERED.as_bytes()).1, Duration::ZERO), "it waits, and nobody has heard it yet");
    }

    #[tokio::test(flavor = "local")]
    async fn a_server_takes_its_order_once_and_hears_that_it_is_registered() {
        for (sent, whole) in [(&order(LONG)[..], true), (b"rendezvous start", false), (b"hello\n", false), (b"", false)]
        {
            let (mut theirs, orders) = UnixStream::pair().unwrap();
            theirs.write_all(sent).unwrap();
            let watchdog = Watchdog(Arc::default());
            let mut spawner = watchdog.attend(Lines::of(orders.into()), None).unwrap();
            assert_eq!(spawner.order().is_ok(), whole, "{sent:?}");
            assert!(matches!(spawner.order(), Err(Error::Usage(Usage::OrderTaken))));
            if whole {
                theirs.write_all(REGISTERED.as_bytes()).unwrap();
            }
            assert_eq!(spawner.registered().await.is_ok(), whole, "{sent:?}");
        }
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_server_is_told_that_it_is_registered_by_whoever_hears_it() {
        let (mut theirs, orders) = UnixStream::pair().unwrap();
        theirs.write_all(&order(LONG)).unwrap();
        let watchdog = Watchdog(Arc::default());
        let heard = Arc::clone(&watchdog.0);
        let mut spawner = watchdog.attend(Lines::of(orders.into()), None).unwrap();
        // The serving thread waits for what arrives, and the watchdog's thread takes it first.
        tokio::task::yield_now().await;
        theirs.write_all(REGISTERED.as_bytes()).unwrap();
        assert_eq!(lock(&heard).next(), Next::Line(()));
        tokio::time::timeout(LONG, spawner.registered()).await.expect("it is told").unwrap();
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_server_of_an_ephemeral_context_retires_at_its_spawners_end() {
        let (mut theirs, orders) = UnixStream::pair().unwrap();
        theirs.write_all(&[&order(LONG)[..], REGISTERED.as_bytes()].concat()).unwrap();
        let shutdown = Shutdown::new();
        let watchdog = Watchdog(Arc::default());
        let mut spawner = watchdog.attend(Lines::of(orders.into()), Some(shutdown.clone())).unwrap();
        spawner.registered().await.unwrap();
        theirs.write_all(b"more, which means nothing").unwrap();
        // The clock is moved on when all tasks wait.
        assert!(tokio::time::timeout(LONG, shutdown.requested()).await.is_err(), "its spawner is there");
        drop(theirs);
        shutdown.requested().await;
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
