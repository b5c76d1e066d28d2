//! What a handler does once when its server retires.

use std::fs;
use std::time::{Duration, Instant};

use rendezvous_ipc::{Closing, ServerHandle};

use crate::home::{Home, connected, runtime};

crate::trials![a_server_retires_when_the_work_of_its_close_hook_is_done, a_close_hook_ends_with_the_drain,];

/// Saves in a task or a thread when the server retires, for longer than a handler has to end without a drain.
pub fn save_at_the_end(server: &ServerHandle, how: &str) {
    let closing = server.closing();
    let path = server.context().home().join("saved");
    let pause = crate::program::limits().patience * 2;
    let save = move |closing: Closing, why| {
        fs::write(path, format!("{why}")).unwrap();
        drop(closing);
    };
    match how {
        "task" => drop(tokio::spawn(async move {
            let why = closing.retiring().await;
            tokio::time::sleep(pause).await;
            save(closing, why);
        })),
        "thread" => drop(std::thread::spawn(move || {
            let why = closing.retiring_blocking();
            std::thread::sleep(pause);
            save(closing, why);
        })),
        _ => drop(tokio::task::spawn_local(async move {
            closing.retiring().await;
            std::future::pending::<()>().await;
        })),
    }
}

fn a_server_retires_when_the_work_of_its_close_hook_is_done() {
    for server in [
        &["@serve", "closing=task", "idle=100"][..],
        &["@serve", "closing=thread", "idle=100"],
        &["@serve", "binds", "closing=task", "idle=100"],
        &["@serve", "binds", "closing=thread", "idle=100"],
    ] {
        let home = Home::new();
        drop(runtime().block_on(connected(&home.service_by(server))));
        home.wait_for_all_exits();
        assert_eq!(fs::read_to_string(home.path().join("saved")).unwrap(), "it is idle", "{server:?}");
    }
}

fn a_close_hook_ends_with_the_drain() {
    let mut home = Home::new();
    home.limits.drain = Duration::from_secs(1);
    home.server = &["@serve", "closing=never", "drain=1000"];
    let connection = runtime().block_on(connected(&home.service()));
    let begun = Instant::now();
    drop(connection);
    home.retire();
    let took = begun.elapsed();
    assert!((home.limits.drain..home.limits.drain * 10).contains(&took), "{took:?}");
}
