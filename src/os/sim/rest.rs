//! What a simulated system has besides files, processes and connections: all of it small.

pub(crate) mod blocking {
    use std::io;

    use super::super::process::ChildStdout;
    pub(crate) use crate::os::unix::blocking::{Blocking, Did, Ended, Output, ending, wait_for_end, watch_child};

    /// The driver that blocks its thread is not simulated.
    pub(crate) fn output_of_child(_: ChildStdout) -> io::Result<Output> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(crate) mod cleaner {
    use std::path::Path;

    use super::super::file::File;

    pub(crate) fn touch(_: &Path) {}

    pub(crate) fn keep_out(_: &Path) -> Option<File> {
        None
    }
}

pub(crate) mod clock {
    use std::time::{Duration, SystemTime};

    use super::super::world;

    pub(crate) fn wall() -> SystemTime {
        SystemTime::UNIX_EPOCH + since_1970()
    }

    pub(crate) fn since_1970() -> Duration {
        Duration::from_secs(1_000_000_000) + world::with(|world| world.now())
    }
}

pub(crate) mod locks {
    use std::path::Path;

    use super::super::world;

    pub(crate) fn holder(path: &Path) -> Option<u32> {
        world::with(|world| world.lockers(path).map(|(pid, _)| pid).next())
    }

    pub(crate) fn is_anothers(_: &Path, _: &Path, _: u32) -> bool {
        false
    }
}

pub(crate) mod pidfd {
    use crate::error::{Error, Unidentified};
    use crate::pid::Pid;

    /// The end of a silent server is not simulated.
    pub(crate) struct Identity {
        pub(crate) number: u32,
    }

    impl Identity {
        pub(crate) fn kill(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    pub(crate) fn identify(pid: u32, _: u64) -> Result<Identity, Error> {
        Err(unidentified(pid, Unidentified::NoPidfd))
    }

    pub(crate) fn unidentified(pid: u32, found: Unidentified) -> Error {
        Error::Unidentified { pid: Pid::new(pid), found }
    }
}

pub(crate) mod random {
    use std::io;

    use super::super::world;

    pub(crate) fn fill(bytes: &mut [u8]) -> io::Result<()> {
        world::with(|world| bytes.iter_mut().for_each(|byte| *byte = world.bits() as u8));
        Ok(())
    }
}

pub(crate) mod scope {
    use std::path::Path;

    use crate::error::Error;
    use crate::proto::identity::Identity;
    use crate::proto::scope::{Kernel, Place, Scope};

    pub(crate) fn spawned_on(_: Kernel) {}

    pub(crate) fn kernel() -> Result<Kernel, Error> {
        Ok(Kernel { boot: [1; 16], machine: Some([2; 16]) })
    }

    pub(crate) fn here() -> Result<Scope, Error> {
        let Kernel { boot, machine } = kernel()?;
        Ok(Scope { boot, namespace: 1, machine })
    }

    pub(crate) fn place(_: &Path) -> Result<Place, Error> {
        Ok(Place { scope: here()?, local: true })
    }

    pub(crate) fn identity(_: &Path, point: &Path) -> Identity {
        Identity::of(1, 1, point.file_name().unwrap_or_default().as_encoded_bytes())
    }
}

pub(crate) mod signals {
    use std::io;

    /// No simulated process gets a signal but the one that kills it.
    pub(crate) struct Signals;

    impl Signals {
        pub(crate) fn new(_started: bool) -> io::Result<Self> {
            Ok(Signals)
        }

        pub(crate) async fn next(&mut self) {
            std::future::pending().await
        }
    }

    pub(crate) fn block_only_timers() {}

    pub(crate) fn block_none() {}
}

pub(crate) mod stat {
    use super::super::world;

    pub(crate) fn own_began() -> u64 {
        u64::from(world::me())
    }
}
