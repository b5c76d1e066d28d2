//! Who comes to the internal server of a process, goes, and ends.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;
use rendezvous_ipc::Error;
use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::record::Record;
use rendezvous_ipc::proto::scope::Scope;

use crate::registry::{Lease, Registry, Running};
use crate::{explore, wait};

/// A process: its registry, how many servers were started in it, and how many handlers run just now.
#[derive(Clone, Default)]
struct Program {
    registry: Arc<Registry>,
    started: Arc<AtomicUsize>,
    handlers: Arc<AtomicUsize>,
}

/// What becomes of the first, the second … server that is started.
type Fate = fn(usize, &Running) -> Result<(), Error>;

impl Program {
    /// Joins the server, or starts one of this fate.
    fn join(&self, fate: Fate) -> Result<(Lease, bool, Record), Error> {
        wait(self.registry.join(Path::new("point"), |running| {
            let program = self.clone();
            thread::spawn(move || program.run(running, fate));
            Ok(())
        }))
    }

    fn run(&self, running: Running, fate: Fate) {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        assert_eq!(self.handlers.fetch_add(1, Ordering::Relaxed), 0, "two handlers run");
        let result = fate(number, &running);
        self.handlers.fetch_sub(1, Ordering::Relaxed);
        running.ended(result);
    }

    /// Comes, is served, and goes.
    fn uses(&self) {
        let (lease, ..) = self.join(serves).expect("it is served");
        assert!(!lease.is_told(), "nobody had it retire, and it is in use");
        assert_eq!(self.handlers.load(Ordering::Relaxed), 1, "it runs");
    }

    /// Another thread of it.
    fn spawn(&self, run: fn(&Program)) -> thread::JoinHandle<()> {
        let program = self.clone();
        thread::spawn(move || run(&program))
    }
}

/// It serves until it is told.
fn serves(_: usize, running: &Running) -> Result<(), Error> {
    running.serves(record());
    wait(running.told().told());
    Ok(())
}

/// The first is told to retire by its handler.
fn retires(number: usize, running: &Running) -> Result<(), Error> {
    if number == 0 {
        running.told().tell();
    }
    serves(number, running)
}

/// Its handler cannot be built.
fn fails(_: usize, _: &Running) -> Result<(), Error> {
    Err(Error::Handler("it fails".into()))
}

fn record() -> Record {
    let scope = Scope { boot: [1; 16], namespace: 1, machine: None };
    let cookie = Cookie::from_hex(&"5e".repeat(32)).unwrap();
    Record { scope, address: Address::new(([127, 0, 0, 1], 1).into()).unwrap(), cookie, pid: 1, started: 1, version: 1 }
}

#[test]
fn who_comes_when_the_last_user_leaves_is_served_by_one_that_stays() {
    explore(2, || {
        let program = Program::default();
        let other = program.spawn(Program::uses);
        program.uses();
        program.uses();
        other.join().unwrap();
    });
}

#[test]
fn two_who_come_at_once_share_one_server_and_the_last_ends_it() {
    explore(3, || {
        let program = Program::default();
        let (lease, ..) = program.join(serves).expect("it is served");
        let other = program.spawn(Program::uses);
        other.join().unwrap();
        assert!(!lease.is_told(), "one is still there");
        drop(lease);
        program.uses();
        assert_eq!(program.started.load(Ordering::Relaxed), 2, "it began anew");
    });
}

#[test]
fn a_server_that_its_handler_retires_has_a_successor_and_never_runs_beside_it() {
    explore(2, || {
        let program = Program::default();
        let joins: fn(&Program) = |program| drop(program.join(retires).expect("it is served"));
        let other = program.spawn(joins);
        joins(&program);
        other.join().unwrap();
    });
}

#[test]
fn a_server_that_fails_is_told_to_all_who_came_and_leaves_its_place() {
    explore(3, || {
        let program = Program::default();
        let fails: fn(&Program) = |program| drop(program.join(fails).err().expect("it fails"));
        let other = program.spawn(fails);
        fails(&program);
        other.join().unwrap();
    });
}

#[test]
fn a_server_without_a_thread_leaves_its_place_to_the_next() {
    explore(2, || {
        let program = Program::default();
        let other = program.spawn(|program| {
            let _ = wait(program.registry.join(Path::new("point"), |_running| Err(Error::Usage("no".into()))));
        });
        // It meets the one that is not started, and is told, or comes after it.
        if let Err(error) = program.join(serves) {
            assert!(error.to_string().ends_with("there is no thread for it"), "{error}");
        }
        other.join().unwrap();
        program.uses();
    });
}
