//! Clients that join the internal server of a process and leave it, concurrent with the server's end.

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

/// A process: its registry, the number of servers started in it, and the number of handlers that run now.
#[derive(Clone, Default)]
struct Program {
    registry: Arc<Registry>,
    started: Arc<AtomicUsize>,
    handlers: Arc<AtomicUsize>,
}

/// How the first, the second … server behaves when it is started.
type Run = fn(usize, &Running) -> Result<(), Error>;

impl Program {
    /// Joins the server, or starts one that behaves like this.
    fn join(&self, run: Run) -> Result<(Lease, bool, Record), Error> {
        wait(self.registry.join(Path::new("point"), |running| {
            let program = self.clone();
            thread::spawn(move || program.run(running, run));
            Ok(())
        }))
    }

    fn run(&self, running: Running, run: Run) {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        assert_eq!(self.handlers.fetch_add(1, Ordering::Relaxed), 0, "two handlers run");
        let result = run(number, &running);
        self.handlers.fetch_sub(1, Ordering::Relaxed);
        running.ended(result);
    }

    /// Joins a server, uses it, and leaves.
    fn uses(&self) {
        let (lease, ..) = self.join(serves).expect("a server is joined");
        assert!(!lease.is_retiring(), "a server in use was not asked to retire");
        assert_eq!(self.handlers.load(Ordering::Relaxed), 1, "its handler runs");
    }

    /// Runs another thread of the process.
    fn spawn(&self, run: fn(&Program)) -> thread::JoinHandle<()> {
        let program = self.clone();
        thread::spawn(move || run(&program))
    }
}

/// A server that serves until it is asked to retire.
fn serves(_: usize, running: &Running) -> Result<(), Error> {
    running.serves(record());
    wait(running.shutdown().requested());
    Ok(())
}

/// A server whose handler has it retire, if it is the first.
fn retires(number: usize, running: &Running) -> Result<(), Error> {
    if number == 0 {
        running.shutdown().request();
    }
    serves(number, running)
}

/// A server whose handler fails to start.
fn fails(_: usize, _: &Running) -> Result<(), Error> {
    Err(Error::Handler("the handler fails".into()))
}

fn record() -> Record {
    let scope = Scope { boot: [1; 16], namespace: 1, machine: None };
    let cookie = Cookie::from_hex(&"5e".repeat(32)).unwrap();
    Record { scope, address: Address::new(([127, 0, 0, 1], 1).into()).unwrap(), cookie, pid: 1, started: 1, version: 1 }
}

#[test]
fn a_connect_that_arrives_at_the_end_gets_a_server_that_stays() {
    explore(2, || {
        let program = Program::default();
        let other = program.spawn(Program::uses);
        program.uses();
        program.uses();
        other.join().unwrap();
    });
}

#[test]
fn two_threads_at_once_share_one_server_and_the_last_ends_it() {
    explore(3, || {
        let program = Program::default();
        let (lease, ..) = program.join(serves).expect("a server is joined");
        let other = program.spawn(Program::uses);
        other.join().unwrap();
        assert!(!lease.is_retiring(), "one user is left");
        drop(lease);
        program.uses();
        assert_eq!(program.started.load(Ordering::Relaxed), 2, "a second server was started");
    });
}

#[test]
fn a_server_retired_by_its_handler_never_runs_beside_its_successor() {
    explore(2, || {
        let program = Program::default();
        let joins: fn(&Program) = |program| drop(program.join(retires).expect("a server is joined"));
        let other = program.spawn(joins);
        joins(&program);
        other.join().unwrap();
    });
}

#[test]
fn a_failed_internal_server_reports_to_all_clients_and_is_removed() {
    explore(3, || {
        let program = Program::default();
        let fails: fn(&Program) = |program| drop(program.join(fails).err().expect("the server fails"));
        let other = program.spawn(fails);
        fails(&program);
        other.join().unwrap();
    });
}

#[test]
fn an_internal_server_without_a_thread_is_replaced_by_the_next() {
    explore(2, || {
        let program = Program::default();
        let other = program.spawn(|program| {
            let _ =
                wait(program.registry.join(Path::new("point"), |_running| Err(Error::AlreadyRunning { pid: None })));
        });
        // The thread finds the server that could not start, and gets its error, or comes after it.
        if let Err(error) = program.join(serves) {
            assert!(format!("{error:#}").ends_with("there is no thread for it"), "{error:#}");
        }
        other.join().unwrap();
        program.uses();
    });
}
