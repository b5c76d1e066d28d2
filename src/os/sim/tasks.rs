//! The tasks of the simulated processes, and the scheduler that picks, by the seed, the process that runs next.
//!
//! All run in one thread. A process runs until it waits. At an effect, others may run before it goes on: they run inside
//! the effect, each until it waits. So any effect of a process may be followed by any number of steps of others, and a
//! process that is inside an effect is not run again before that effect is over.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::LocalSet;

use super::world::{self, Pid, Process};

thread_local!(static TASKS: RefCell<Vec<Tasks>> = const { RefCell::new(Vec::new()) });

/// The program that a process executes.
pub(crate) type Program = Pin<Box<dyn Future<Output = ()>>>;

/// How deep processes run inside the effects of others.
const DEPTH: usize = 4;

struct Tasks {
    pid: Pid,
    /// `None` while it runs, and when the process is gone.
    set: Option<LocalSet>,
    /// A task of it is ready.
    ready: Arc<Ready>,
}

#[derive(Default)]
struct Ready {
    ready: AtomicBool,
    scheduler: Mutex<Option<Waker>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.ready.store(true, Ordering::Relaxed);
        if let Some(waker) = self.scheduler.lock().unwrap().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// Starts a process.
pub(crate) fn start(process: Process, program: Program) -> Pid {
    let pid = world::with(|world| {
        world.processes.push(process);
        world.processes.len() as Pid - 1
    });
    let set = LocalSet::new();
    set.spawn_local(async move {
        program.await;
        world::with(|world| {
            world.note("exits", String::new());
            world.bury(pid, 0);
        });
    });
    let ready = Arc::new(Ready::default());
    ready.ready.store(true, Ordering::Relaxed);
    SCHEDULER.with_borrow(|scheduler| ready.scheduler.lock().unwrap().clone_from(scheduler));
    TASKS.with_borrow_mut(|tasks| tasks.push(Tasks { pid, set: Some(set), ready }));
    pid
}

thread_local!(static SCHEDULER: RefCell<Option<Waker>> = const { RefCell::new(None) });

/// Has the scheduler drop the tasks of a process that has ended.
pub(crate) fn forget(pid: Pid) {
    let _ = TASKS.try_with(|tasks| {
        if let Ok(tasks) = tasks.try_borrow()
            && let Some(tasks) = tasks.iter().find(|tasks| tasks.pid == pid)
        {
            tasks.ready.clone().wake();
        }
    });
}

/// Runs up to so many other processes that are ready, each until it waits.
pub(crate) fn run_others(most: u32) {
    if world::with(|world| world.running.len()) >= DEPTH {
        return;
    }
    for _ in 0..most {
        if !run_one() {
            return;
        }
    }
}

/// Runs one process that is ready, until it waits. Returns whether there was one.
fn run_one() -> bool {
    let ready: Vec<usize> = TASKS.with_borrow(|tasks| {
        let is_ready = |tasks: &Tasks| tasks.set.is_some() && tasks.ready.ready.load(Ordering::Relaxed);
        (0..tasks.len()).filter(|&at| is_ready(&tasks[at])).collect()
    });
    if ready.is_empty() {
        return false;
    }
    let at = ready[world::with(|world| world.draw(ready.len() as u32)) as usize];
    let (pid, set, ready) = TASKS.with_borrow_mut(|tasks| {
        let tasks = &mut tasks[at];
        tasks.ready.ready.store(false, Ordering::Relaxed);
        (tasks.pid, tasks.set.take(), tasks.ready.clone())
    });
    let Some(mut set) = set else { return false };
    world::with(|world| world.running.push(pid));
    let waker = Waker::from(ready.clone());
    if world::with(|world| world.is_alive(pid)) {
        // A process that was killed meanwhile does nothing more, and its tasks are dropped.
        let _ = Pin::new(&mut set).poll(&mut Context::from_waker(&waker));
    }
    if world::with(|world| world.is_alive(pid)) {
        TASKS.with_borrow_mut(|tasks| tasks[at].set = Some(set));
    } else {
        // What it drops has no effect any more: it runs as a process that is dead.
        drop(set);
    }
    world::with(|world| world.running.pop());
    true
}

/// Runs all processes until `is_over`, which is asked whenever all of them wait.
pub(crate) async fn run(mut is_over: impl FnMut() -> bool) {
    poll_fn(|cx| {
        SCHEDULER.set(Some(cx.waker().clone()));
        TASKS.with_borrow(|tasks| {
            tasks.iter().for_each(|tasks| *tasks.ready.scheduler.lock().unwrap() = Some(cx.waker().clone()));
        });
        while run_one() {}
        if is_over() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Drops all tasks.
pub(crate) fn end() {
    let pids: Vec<Pid> = TASKS.with_borrow(|tasks| tasks.iter().map(|tasks| tasks.pid).collect());
    world::with(|world| pids.into_iter().for_each(|pid| world.bury(pid, 0)));
    let tasks = TASKS.take();
    for task in tasks {
        world::with(|world| world.running.push(task.pid));
        drop(task.set);
        world::with(|world| world.running.pop());
    }
}
