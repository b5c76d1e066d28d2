//! A server whose clients the program accepts itself.

use std::fs;
use std::time::Duration;

use rendezvous_ipc::{Error, Status};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::home::{Home, connected, eventually, runtime};
use crate::program::{COUNT, RETIRE, ask};

crate::trials![
    a_listener_serves_on_the_programs_own_runtime,
    a_listener_has_the_lifetime_lock_until_it_and_its_streams_are_gone,
    a_listener_that_ends_before_it_accepts_fails_the_start,
    a_server_retires_when_either_part_of_its_listener_is_dropped,
];

fn a_listener_serves_on_the_programs_own_runtime() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "binds", "idle=300"]);
    runtime().block_on(async {
        let (mut one, mut two) = (connected(&service).await.into_stream(), connected(&service).await.into_stream());
        assert_eq!((ask(&mut one, COUNT).await.unwrap(), ask(&mut two, COUNT).await.unwrap()), (1, 2));
        // Three idle periods pass.
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert!(matches!(service.inspect().await.unwrap(), Status::Live { clients: 2, .. }));
        drop(one);
        ask(&mut two, RETIRE).await.unwrap();
        eventually("the record is withdrawn", || fs::read(home.point()).unwrap().is_empty());
        assert_eq!(ask(&mut two, COUNT).await.unwrap(), 4, "the client is served to its end");
    });
    home.wait_for_all_exits();
}

fn a_listener_has_the_lifetime_lock_until_it_and_its_streams_are_gone() {
    let home = Home::new();
    let service = home.service();
    runtime().block_on(async {
        let mut listener = service.bind().await.unwrap();
        let (connection, accepted) = tokio::join!(connected(&service), listener.accept());
        let (peer, stream) = accepted.expect("a client");
        assert_eq!(peer.number, 1);
        assert!(matches!(service.bind().await, Err(Error::AlreadyRunning { .. })));
        drop(listener);
        eventually("the record is withdrawn", || fs::read(home.point()).unwrap().is_empty());
        let mut next = Box::pin(service.bind());
        assert!(timeout(home.limits.patience, &mut next).await.is_err(), "a stream is left");
        drop(stream);
        let next = next.await.expect("the lifetime lock is free");
        assert_eq!(connection.into_stream().read(&mut [0]).await.unwrap(), 0);
        next.drained().await.expect_err("it has accepted nobody");
    });
}

fn a_listener_that_ends_before_it_accepts_fails_the_start() {
    let home = Home::new();
    let error = runtime().block_on(home.service_by(&["@serve", "gives-up"]).connect()).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("the handler could not be built: no caller waits for it any more"), "{text}");
    home.wait_for_all_exits();
}

fn a_server_retires_when_either_part_of_its_listener_is_dropped() {
    let home = Home::new();
    let service = home.service();
    runtime().block_on(async {
        let (mut incoming, ending) = service.bind().await.unwrap().split();
        let (connection, client) = tokio::join!(connected(&service), incoming.accept());
        drop((incoming, connection, client));
        eventually("the record is withdrawn", || fs::read(home.point()).unwrap().is_empty());
        ending.drained().await.unwrap();

        let (mut incoming, ending) = service.bind().await.unwrap().split();
        let (connection, client) = tokio::join!(connected(&service), incoming.accept());
        drop((ending, connection, client));
        assert!(timeout(home.limits.connect, incoming.accept()).await.unwrap().is_none());
    });
}
