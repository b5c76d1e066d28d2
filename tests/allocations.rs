//! The protocol never allocates: neither do its machines, nor its codecs and proofs.

#[path = "../benches/runs/mod.rs"]
mod runs;

use allocation_counter::measure;
use rendezvous_ipc::proto::record::Found;
use rendezvous_ipc::proto::{connect, serve, serving};

use self::runs::{Life, World};

fn allocates<T>(work: impl FnOnce() -> T) -> u64 {
    let mut done = None;
    let counted = measure(|| done = Some(work()));
    drop(done);
    counted.count_total
}

#[test]
fn an_allocation_is_counted() {
    assert_eq!(allocates(|| vec![1, 2, 3]), 1);
}

#[test]
fn no_step_of_a_client_allocates() {
    let world = World::new();
    for lives in [true, false] {
        let mut step = world.client();
        while !matches!(step, connect::Step::Done(_)) {
            let (name, before, record) = (step.name(), step.clone(), world.record.clone());
            assert_eq!(allocates(|| world.client_next(before, record, lives)), 0, "{name}");
            step = world.client_next(step, world.record.clone(), lives);
        }
        assert!(matches!(step, connect::Step::Done(connect::Done::Welcomed(..))));
    }
}

#[test]
fn no_step_of_a_server_allocates() {
    let world = World::new();
    let (mut step, mut life) = (world.server(), Life::default());
    while !matches!(step, serve::Step::Serving(serving::Step::Done(_))) {
        let (name, before, mut lived) = (step.name(), step.clone(), life.clone());
        assert_eq!(allocates(|| world.server_next(before, &mut lived)), 0, "{name}");
        step = world.server_next(step, &mut life);
    }
    assert_eq!(step, serving::Step::Done(serving::Done::Retired(serving::Retire::Idle)).into());
}

#[test]
fn neither_side_of_a_handshake_allocates() {
    let world = World::new();
    assert_eq!(allocates(|| world.join()), 0);
    assert_eq!(allocates(|| world.handshake()), 0);
}

#[test]
fn a_record_is_printed_and_parsed_without_allocating() {
    let world = World::new();
    assert_eq!(allocates(|| world.record.line()), 0);
    let line = world.record.line();
    assert_eq!(allocates(|| Found::read(&line)), 0);
}
