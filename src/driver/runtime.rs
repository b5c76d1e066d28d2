//! Runtimes: a caller's, which needs I/O and time, and those of our own threads.

use std::cell::Cell;
use std::io;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Id, LocalRuntime};

use super::os::{process, stream};
use super::wheel;
use crate::error::{Error, Usage};

/// Whether this process has had a runtime with I/O. The first one creates a pair of sockets for signals.
static HAS_SIGNALS: AtomicBool = AtomicBool::new(false);

/// Creates a runtime for this thread.
///
/// tokio panics if it cannot create the pair of sockets for signals. So this tries first whether there is room for all
/// descriptors of a runtime.
pub(crate) fn local() -> io::Result<LocalRuntime> {
    if !HAS_SIGNALS.load(Ordering::Relaxed) {
        process::try_room_for_a_runtime()?;
    }
    // Just before: a timer's end is rounded up to the next millisecond.
    wheel::begins();
    let runtime = Builder::new_current_thread().enable_all().build_local(Default::default())?;
    HAS_SIGNALS.store(true, Ordering::Relaxed);
    Ok(runtime)
}

/// Returns an error if no runtime runs this task, or one without I/O or time.
///
/// tokio does not report what a runtime has, and panics where a missing part is used. A panic in the middle of a connect
/// could leave a process behind, so this uses each part once, before anything is done, and catches the panic. The panic
/// hook still prints it; replacing the hook would concern the whole program. A runtime that has both is remembered.
pub(super) fn check() -> Result<(), Error> {
    thread_local!(static CHECKED: Cell<Option<Id>> = const { Cell::new(None) });
    let Ok(runtime) = Handle::try_current() else { return Err(Error::Usage(Usage::NoRuntime)) };
    if CHECKED.get() == Some(runtime.id()) {
        return Ok(());
    }
    let has = |part: fn()| catch_unwind(part).is_ok();
    if !has(|| drop(tokio::time::sleep(Duration::ZERO))) {
        return Err(Error::Usage(Usage::RuntimeWithoutTime));
    }
    if !has(stream::try_to_watch) {
        return Err(Error::Usage(Usage::RuntimeWithoutIo));
    }
    CHECKED.set(Some(runtime.id()));
    HAS_SIGNALS.store(true, Ordering::Relaxed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_needs_io_and_time() {
        let usage = |runtime: &mut Builder| match runtime.build().unwrap().block_on(async { check() }) {
            Ok(()) => None,
            Err(Error::Usage(usage)) => Some(usage),
            Err(error) => panic!("{error:?}"),
        };
        // What the thread remembers is of this runtime alone.
        assert_eq!(usage(Builder::new_current_thread().enable_all()), None);
        assert_eq!(usage(&mut Builder::new_current_thread()), Some(Usage::RuntimeWithoutTime));
        assert_eq!(usage(Builder::new_current_thread().enable_io()), Some(Usage::RuntimeWithoutTime));
        assert_eq!(usage(Builder::new_current_thread().enable_time()), Some(Usage::RuntimeWithoutIo));
        assert_eq!(usage(Builder::new_current_thread().enable_all()), None);
        assert!(matches!(check(), Err(Error::Usage(Usage::NoRuntime))));
    }
}
