//! Runs the example: it starts, joins, stops with an open channel, and starts again by that channel.

#[path = "../../support/program.rs"]
mod program;

use program::Program;

#[test]
fn a_channel_outlives_its_server_and_does_not_delay_its_stop() {
    let grpc = Program::new(env!("CARGO_BIN_EXE_example-grpc"), "--home");
    assert_eq!(grpc.run(["world"]), "hello world, 1");
    let restarted = grpc.start(["restart"]);
    assert_eq!(restarted.line(), "hello one, 2");
    let stopped = restarted.line();
    let ms = stopped.strip_suffix(" ms").and_then(|stopped| stopped.rsplit_once(" after ")).expect(&stopped).1;
    assert!(ms.parse::<u64>().expect(ms) < 5_000, "the drain is over after 10 s: {stopped}");
    assert_eq!(restarted.rest(), "hello two, 1", "another server counts anew");
    assert_eq!(grpc.run(["world"]), "hello world, 2", "which stays");
    assert!(grpc.run(["stop"]).starts_with("retired: pid "));
    assert_eq!(std::fs::read(grpc.home().join("grpc")).expect("the point"), b"", "the record is withdrawn");
}
