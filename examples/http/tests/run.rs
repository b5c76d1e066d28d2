//! Runs the example: it starts, joins, and stops with an idle connection.

#[path = "../../support/program.rs"]
mod program;

use program::Program;

#[test]
fn a_stop_does_not_wait_for_an_idle_connection() {
    let http = Program::new(env!("CARGO_BIN_EXE_example-http"), "--home");
    let started = http.run([""; 0]);
    let pid = started.strip_prefix("started an external server (no record): pid ").expect(&started);
    let pid = pid.strip_suffix(", counter 1").expect(&started);
    let watching = http.start(["watch"]);
    assert_eq!(watching.line(), format!("joined an external server: pid {pid}, counter 2"));
    let stopped = http.run(["stop"]);
    let ms = stopped.strip_prefix(&format!("retired: pid {pid} after ")).expect(&stopped);
    let ms: u64 = ms.strip_suffix(" ms").and_then(|ms| ms.parse().ok()).expect(&stopped);
    assert!(ms < 5_000, "the drain is over after 10 s: {ms} ms");
    assert_eq!(watching.rest(), "the server has ended the connection");
    assert_eq!(std::fs::read(http.home().join("http")).expect("the point"), b"", "the record is withdrawn");
    assert!(http.run(["stop"]).starts_with("nothing there"));
}
