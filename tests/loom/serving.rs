//! Clients that enter, leave or keep a server, concurrent with the server's decision to retire.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use loom::thread;
use rendezvous_ipc::proto::serving::Retire;

use crate::admission::Admission;
use crate::shutdown::Shutdown;
use crate::{explore, wait};

fn open() -> Arc<Admission> {
    let admission = Admission::new();
    admission.open();
    admission
}

/// Runs a server that retires as soon as it is idle.
fn retires(admission: &Admission) {
    loop {
        wait(admission.idle(Some(Duration::ZERO), Duration::ZERO));
        if admission.look(Retire::Idle) {
            break;
        }
    }
    assert_eq!(admission.counted(), 0, "the server retired while a client was counted");
}

#[test]
fn a_server_that_went_idle_welcomes_no_client() {
    explore(3, || {
        let admission = open();
        let client = |admission: Arc<Admission>| {
            if let Some(_counted) = admission.admit() {
                assert!(admission.is_open(), "a counted client keeps the server open");
            }
        };
        let clients = [0, 1].map(|_| {
            let admission = admission.clone();
            thread::spawn(move || client(admission))
        });
        retires(&admission);
        assert!(admission.admit().is_none(), "no client enters after that");
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert_eq!(admission.counted(), 0);
    });
}

#[test]
fn an_idle_server_ends_when_its_last_client_leaves_and_not_before() {
    explore(3, || {
        let admission = open();
        for _ in 0..2 {
            let counted = admission.admit().expect("the server is open");
            let admission = admission.clone();
            thread::spawn(move || {
                assert!(admission.is_open());
                drop(counted);
            });
        }
        // If the last client did not wake it, the server would never retire, which loom reports as a deadlock.
        retires(&admission);
    });
}

#[test]
fn a_stream_that_outlives_its_session_keeps_its_server() {
    explore(3, || {
        let admission = open();
        let session = loom::sync::Arc::new(admission.admit().expect("the server is open"));
        let stream = session.clone();
        thread::spawn({
            let admission = admission.clone();
            move || {
                assert!(admission.is_open(), "the stream keeps the server open");
                drop(stream);
            }
        });
        thread::spawn(move || drop(session));
        // If the last of the two did not wake it, the server would never retire, which loom reports as a deadlock.
        retires(&admission);
    });
}

#[test]
fn a_reason_to_stay_outlives_its_client() {
    explore(3, || {
        let admission = open();
        let session = thread::spawn({
            let admission = admission.clone();
            move || {
                if let Some(counted) = admission.admit() {
                    let kept = admission.keep();
                    drop(counted);
                    assert!(admission.is_open(), "the server stays open while its work goes on");
                    drop(kept);
                }
            }
        });
        retires(&admission);
        session.join().unwrap();
    });
}

#[test]
fn a_server_asked_to_retire_admits_no_new_client_and_drains() {
    explore(3, || {
        let (admission, shutdown) = (open(), Shutdown::new());
        let client = thread::spawn({
            let (admission, shutdown) = (admission.clone(), shutdown.clone());
            move || {
                let counted = admission.admit();
                // A client asks its server to retire.
                shutdown.request();
                drop(counted);
            }
        });
        let handler = thread::spawn({
            let shutdown = shutdown.clone();
            move || shutdown.request()
        });
        wait(shutdown.requested());
        assert!(shutdown.at().is_some() && admission.look(Retire::Requested));
        assert!(admission.admit().is_none(), "no new client enters");
        wait(admission.empty());
        assert_eq!(admission.counted(), 0, "all clients have left");
        client.join().unwrap();
        handler.join().unwrap();
    });
}

#[test]
fn a_server_that_retires_waits_for_work_that_begins_then() {
    explore(3, || {
        let (admission, shutdown) = (open(), Shutdown::new());
        let closes = admission.close();
        let saved = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        let work = thread::spawn({
            let (shutdown, saved) = (shutdown.clone(), saved.clone());
            move || {
                wait(shutdown.announced());
                saved.store(true, Ordering::Relaxed);
                drop(closes);
            }
        });
        let client = thread::spawn({
            let admission = admission.clone();
            move || drop(admission.admit())
        });
        retires(&admission);
        shutdown.announce(Retire::Idle);
        // If the work did not wake it, the server would drain for ever, which loom reports as a deadlock.
        wait(admission.empty());
        assert!(saved.load(Ordering::Relaxed), "the work is done");
        work.join().unwrap();
        client.join().unwrap();
    });
}
