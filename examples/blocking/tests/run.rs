//! Runs the example: it starts, joins, reports, and stops.

#[path = "../../support/program.rs"]
mod program;

use program::Program;

#[test]
fn a_service_without_a_line_of_async_is_started_joined_and_stopped() {
    let shout = Program::new(env!("CARGO_BIN_EXE_example-blocking"), "--home");
    assert_eq!(shout.run(["hello world"]), "HELLO WORLD!");
    let status = shout.run(["status"]);
    assert!(status.contains("pid"), "{status}");
    assert_eq!(shout.run(["again"]), "AGAIN!");
    assert_eq!(shout.run(["status"]).split(',').next(), status.split(',').next(), "the same server");
    assert!(shout.run(["stop"]).starts_with("retired: pid "));
    assert!(shout.run(["stop"]).starts_with("nothing there"));
}
