//! What is truly concurrent at a server's gate: threads that admit and leave against the one that looks.
//! Every interleaving is tried.

use loom::sync::{Arc, Mutex};
use loom::thread;
use rendezvous_ipc::proto::serve::{Gate, Retire};

fn open_gate() -> Arc<Mutex<Gate>> {
    let mut gate = Gate::new();
    gate.open();
    Arc::new(Mutex::new(gate))
}

#[test]
fn nobody_is_welcomed_by_a_server_that_went_idle() {
    loom::model(|| {
        let gate = open_gate();
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let gate = gate.clone();
                thread::spawn(move || gate.lock().unwrap().admit())
            })
            .collect();
        let shut = gate.lock().unwrap().look(Retire::Idle);
        let welcomed = clients.into_iter().map(|client| client.join().unwrap()).filter(|welcomed| *welcomed).count();
        let gate = gate.lock().unwrap();
        assert_eq!(gate.counted() as usize, welcomed, "each welcome is counted, and nothing else");
        // Who came before the look keeps the server, and who came after it is refused.
        assert!(!shut || welcomed == 0, "it is shut, and {welcomed} are inside");
        assert_eq!(gate.is_open(), !shut);
    });
}

#[test]
fn a_told_server_knows_whom_it_has_to_drain() {
    loom::model(|| {
        let gate = open_gate();
        let client = thread::spawn({
            let gate = gate.clone();
            move || {
                let welcomed = gate.lock().unwrap().admit();
                thread::yield_now();
                if welcomed {
                    gate.lock().unwrap().leave();
                }
            }
        });
        assert!(gate.lock().unwrap().look(Retire::Told));
        assert!(!gate.lock().unwrap().admit(), "nobody new");
        client.join().unwrap();
        assert_eq!(gate.lock().unwrap().counted(), 0, "whoever was inside has left");
    });
}

#[test]
fn the_last_who_leaves_lets_an_idle_server_go_and_no_one_before() {
    loom::model(|| {
        let gate = open_gate();
        assert!(gate.lock().unwrap().admit() && gate.lock().unwrap().admit());
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let gate = gate.clone();
                thread::spawn(move || gate.lock().unwrap().leave())
            })
            .collect();
        let shut = gate.lock().unwrap().look(Retire::Idle);
        let left = gate.lock().unwrap().counted();
        assert!(!shut || left == 0, "it went, and {left} were inside");
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert!(gate.lock().unwrap().look(Retire::Idle), "now it may go");
    });
}
