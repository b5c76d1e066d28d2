//! Clients that enter, leave or keep a server, concurrent with the server's decision to retire.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use rendezvous_ipc::proto::serving::Retire;

use crate::hall::{Hall, Told};
use crate::{explore, wait};

fn open() -> Arc<Hall> {
    let hall = Hall::new();
    hall.open();
    hall
}

/// Runs a server that retires as soon as it is idle.
fn retires(hall: &Hall) {
    loop {
        wait(hall.idle(Some(Duration::ZERO), Duration::ZERO));
        if hall.look(Retire::Idle) {
            break;
        }
    }
    assert_eq!(hall.counted(), 0, "the server retired while a client was counted");
}

#[test]
fn nobody_is_welcomed_by_a_server_that_went_idle() {
    explore(3, || {
        let hall = open();
        let client = |hall: Arc<Hall>| {
            if let Some(_counted) = hall.admit() {
                assert!(hall.is_open(), "a counted client keeps the server open");
            }
        };
        let clients = [0, 1].map(|_| {
            let hall = hall.clone();
            thread::spawn(move || client(hall))
        });
        retires(&hall);
        assert!(hall.admit().is_none(), "no client enters after that");
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert_eq!(hall.counted(), 0);
    });
}

#[test]
fn the_last_who_leaves_lets_an_idle_server_go_and_no_one_before() {
    explore(3, || {
        let hall = open();
        for _ in 0..2 {
            let counted = hall.admit().expect("the server is open");
            let hall = hall.clone();
            thread::spawn(move || {
                assert!(hall.is_open());
                drop(counted);
            });
        }
        // If the last client did not wake it, the server would never retire, which loom reports as a deadlock.
        retires(&hall);
    });
}

#[test]
fn a_reason_to_stay_outlives_its_client() {
    explore(3, || {
        let hall = open();
        let session = thread::spawn({
            let hall = hall.clone();
            move || {
                if let Some(counted) = hall.admit() {
                    let kept = hall.keep();
                    drop(counted);
                    assert!(hall.is_open(), "the server stays open while its work goes on");
                    drop(kept);
                }
            }
        });
        retires(&hall);
        session.join().unwrap();
    });
}

#[test]
fn a_told_server_takes_nobody_new_and_knows_whom_it_has_to_drain() {
    explore(3, || {
        let (hall, told) = (open(), Told::new());
        let client = thread::spawn({
            let (hall, told) = (hall.clone(), told.clone());
            move || {
                let counted = hall.admit();
                // A client asks its server to retire.
                told.tell();
                drop(counted);
            }
        });
        let handler = thread::spawn({
            let told = told.clone();
            move || told.tell()
        });
        wait(told.told());
        assert!(told.at().is_some() && hall.look(Retire::Told));
        assert!(hall.admit().is_none(), "no new client enters");
        wait(hall.empty());
        assert_eq!(hall.counted(), 0, "all clients have left");
        client.join().unwrap();
        handler.join().unwrap();
    });
}
