//! Recognises that the machine stood still: a thread that does nothing but look at the clock measures its own gaps.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::program;

/// How often the thread looks at the clock.
const BEAT: Duration = Duration::from_millis(5);
/// A gap of this length is the shortest patience of a client, so it makes a live server look silent.
const GAP: Duration = Duration::from_millis(125);

static GAPS: Mutex<Vec<(Instant, Instant)>> = Mutex::new(Vec::new());

/// Starts the thread. It ends with the program.
pub fn begin() {
    thread::spawn(|| {
        let mut last = Instant::now();
        loop {
            thread::sleep(BEAT);
            let now = Instant::now();
            if now - last >= GAP {
                GAPS.lock().unwrap().push((last, now));
            }
            last = now;
        }
    });
}

/// Returns how the machine stood still since then, if it did: the thread had a gap, or a process of the round took this
/// long to come up. A third of the time of a start is many times what a process takes.
pub fn stood_still(since: Instant, slowest_start: Duration) -> Option<String> {
    let gaps = GAPS.lock().unwrap();
    let gap = gaps.iter().filter(|(_, to)| *to >= since).map(|(from, to)| *to - *from).max();
    let gap = gap.map(|gap| format!("nothing ran for {gap:?}"));
    gap.or((slowest_start * 3 >= program::START).then(|| format!("a process took {slowest_start:?} to come up")))
}
