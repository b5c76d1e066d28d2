//! A mock of a child process. Its number may belong to another process as soon as it is reaped.

pub mod process {
    use std::io;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use crate::sync::watch;

    #[derive(Clone, Copy, PartialEq, Debug)]
    pub enum State {
        Runs,
        /// It has ended, but was not reaped.
        Zombie,
        /// Its number may belong to another process.
        Reaped,
    }

    loom::lazy_static! {
        static ref STATE: watch::Sender<State> = watch::Sender::new(State::Runs);
    }

    pub struct Child;

    impl Child {
        pub fn id(&self) -> u32 {
            1
        }

        pub fn kill(&mut self) -> io::Result<()> {
            assert_ne!(state(), State::Reaped, "the process killed may be another one");
            end();
            Ok(())
        }

        pub fn wait(&mut self) -> io::Result<ExitStatus> {
            wait_for_end(1);
            STATE.send_if_modified(|state| {
                assert_eq!(*state, State::Zombie, "a process is reaped once");
                *state = State::Reaped;
                true
            });
            Ok(ExitStatus::from_raw(0))
        }
    }

    pub fn state() -> State {
        *STATE.borrow()
    }

    /// Ends the process by itself, unless it has ended.
    pub fn end() {
        STATE.send_if_modified(|state| {
            let runs = *state == State::Runs;
            if runs {
                *state = State::Zombie;
            }
            runs
        });
    }

    /// Loom's threads always start.
    pub fn end_without_a_reaper(_child: &mut Child) {}

    /// Calls `then` when the process has ended, on a thread of its own.
    pub fn at_end(id: u32, then: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let wait = move || {
            wait_for_end(id);
            then();
        };
        crate::sync::thread::Builder::new().spawn(wait).map(drop)
    }

    fn wait_for_end(_id: u32) {
        let _ = crate::wait(STATE.subscribe().wait_for(|state| *state != State::Runs));
    }
}
