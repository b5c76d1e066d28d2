//! Runs the example: one client keeps all cores busy, another is answered meanwhile.

#[path = "../../support/program.rs"]
mod program;

use program::Program;

/// It takes years.
const LONG: &str = "1000000000000000";

#[test]
fn a_client_is_answered_while_all_cores_compute_for_others() {
    let program = Program::new(env!("CARGO_BIN_EXE_example-many-cores"), "--home");
    let primes = |below: &str| program.run([below]).lines().last().expect("an answer").to_owned();
    assert_eq!(primes("200000"), "17984 primes", "on all cores");
    let cores = std::thread::available_parallelism().expect("a number").get();
    let mut long: Vec<_> = (0..cores).map(|_| program.start([LONG])).collect();
    for client in &long {
        assert!(client.line().starts_with("joined an external server"));
    }
    assert_eq!(primes("1000"), "168 primes");
    assert!(long.iter_mut().all(|client| client.child.try_wait().expect("its status").is_none()));
    drop(long); // they are killed, and their work with them: or else this would wait for it, and the server not end
    assert_eq!(primes("200000"), "17984 primes");
    assert!(program.run(["stop"]).starts_with("retired: pid "));
}
