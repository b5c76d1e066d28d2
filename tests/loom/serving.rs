//! Who is admitted, leaves and keeps a server, against the one that looks.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use rendezvous_ipc::proto::serve::Retire;

use crate::hall::{Hall, Told};
use crate::{explore, wait};

fn open() -> Arc<Hall> {
    let hall = Hall::new();
    hall.open();
    hall
}

/// A server that goes as soon as it is idle.
fn retires(hall: &Hall) {
    loop {
        wait(hall.idle(Some(Duration::ZERO), Duration::ZERO));
        if hall.look(Retire::Idle) {
            break;
        }
    }
    assert_eq!(hall.counted(), 0, "it went, and somebody was inside");
}

#[test]
fn nobody_is_welcomed_by_a_server_that_went_idle() {
    explore(3, || {
        let hall = open();
        let client = |hall: Arc<Hall>| {
            if let Some(_counted) = hall.admit() {
                assert!(hall.is_open(), "who is counted keeps the server");
            }
        };
        let clients = [0, 1].map(|_| {
            let hall = hall.clone();
            thread::spawn(move || client(hall))
        });
        retires(&hall);
        assert!(hall.admit().is_none(), "nobody comes after that");
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert_eq!(hall.counted(), 0);
    });
}

#[test]
fn the_last_who_leaves_lets_an_idle_server_go_and_no_one_before() {
    explore(3, || {
        let hall = open();
        for _ in 0..2 {
            let counted = hall.admit().expect("it serves");
            let hall = hall.clone();
            thread::spawn(move || {
                assert!(hall.is_open());
                drop(counted);
            });
        }
        // Whoever does not wake it leaves a server that never goes, which loom takes for a deadlock.
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
                    assert!(hall.is_open(), "its work goes on");
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
                // A client may have its server retire.
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
        assert!(hall.admit().is_none(), "nobody new");
        wait(hall.empty());
        assert_eq!(hall.counted(), 0, "whoever was inside has left");
        client.join().unwrap();
        handler.join().unwrap();
    });
}
