//! Runs the example: it starts, keeps what clients add, and stops.

#[path = "../../support/program.rs"]
mod program;

use program::Program;

#[test]
fn clients_of_one_server_share_its_notes() {
    let notes = Program::new(env!("CARGO_BIN_EXE_example-schema"), "--home");
    assert_eq!(notes.run(["add", "milk"]), "note 1");
    assert_eq!(notes.run(["add", "bread"]), "note 2");
    assert_eq!(notes.run(["list"]), "milk\nbread");
    assert!(notes.run(["stop"]).starts_with("retired: pid "));
    assert_eq!(notes.run(["list"]), "", "another server has none");
}
