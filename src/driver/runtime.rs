//! The runtime of a caller, which needs I/O and time.

use std::cell::Cell;
use std::panic::catch_unwind;
use std::time::Duration;

use tokio::runtime::{Handle, Id};

use super::os::stream;
use crate::error::{Error, Usage};

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
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

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
