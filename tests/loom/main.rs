//! Explores what is concurrent within a process: the driver's own sources, compiled with a `sync` module made of loom.

// Sources of the driver, unchanged. The modules that they use are replaced here under the same names.
#[path = "../../src/driver/admission.rs"]
#[allow(dead_code)]
mod admission;
#[path = "../../src/driver/clock.rs"]
mod clock;
mod os;
#[path = "../../src/driver/reaper.rs"]
mod reaper;
#[path = "../../src/driver/registry.rs"]
mod registry;
#[path = "../../src/driver/shutdown.rs"]
#[allow(dead_code)]
mod shutdown;
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

/// Explores every interleaving in which threads are preempted at most `bound` times. A thread that waits for another is
/// not preempted.
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

/// Polls a future that blocks its thread instead of returning `Pending`.
fn wait<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits for something that loom does not control"),
    }
}
