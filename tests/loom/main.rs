//! What is truly concurrent in one process: the driver's own source, beside a `sync` that loom explores.

// Files of the driver, as they are. What else they are made of is here under the same names.
#[path = "../../src/driver/hall.rs"]
#[allow(dead_code)]
mod hall;
mod os;
#[path = "../../src/driver/reaper.rs"]
mod reaper;
#[path = "../../src/driver/registry.rs"]
mod registry;
mod sync;

mod error {
    pub use rendezvous_ipc::Error;
}
use rendezvous_ipc::proto;

mod ending;
mod machines;
mod serving;
mod sharing;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Tries every interleaving in which a thread is interrupted no more than `bound` times, where it could have gone on.
/// That it waits for another is no interruption.
fn explore(bound: usize, run: impl Fn() + Send + Sync + 'static) {
    let (began, executions) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(bound);
    model.check({
        let executions = executions.clone();
        move || {
            executions.fetch_add(1, Ordering::Relaxed);
            run();
        }
    });
    let test = std::thread::current();
    println!("{}: {executions:?} executions, {:.1?}", test.name().unwrap_or_default(), began.elapsed());
}

/// What waits here blocks its thread.
fn wait<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for what loom does not know"),
    }
}
