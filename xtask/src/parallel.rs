//! Two things at a time.

use std::sync::Mutex;
use std::thread;

use crate::tlc::Result;

/// As many as there are cores on the smallest machine that this is run on. TLC gets one worker a run: so its states come
/// in the same order each time, and a counterexample is the shortest.
const WORKERS: usize = 2;

/// Does it for each, in that order, and gives what came of it, in that order.
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
