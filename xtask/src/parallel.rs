//! Runs tasks in parallel.

use std::error::Error;
use std::sync::Mutex;
use std::thread;

/// A result that one thread may hand to another.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The number of cores of the smallest machine that runs this. TLC gets one worker a run, so that it visits states in a
/// fixed order and its counterexamples are the shortest.
const WORKERS: usize = 2;

/// Runs the work for each item, starting them in order, and returns the results in order.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let next = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let Some((at, item)) = next.lock().map_err(|_| "a worker panicked")?.next() else {
                            return Ok(());
                        };
                        let result = work(item)?;
                        done.lock().map_err(|_| "a worker panicked")?.push((at, result));
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
    })?;
    let mut done = done.into_inner().map_err(|_| "a worker panicked")?;
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
