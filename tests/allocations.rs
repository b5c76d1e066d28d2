//! The protocol never allocates: neither do its machines, nor its codecs and proofs. What a client allocates to join a
//! live server is counted.

#[path = "../benches/runs/mod.rs"]
mod runs;

use std::thread;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use rendezvous_ipc::proto::record::Found;
use rendezvous_ipc::proto::{connect, serve, serving};
use rendezvous_ipc::{Context, Descriptor, Join, Stream, Transport};
use tokio::runtime::{Builder, LocalRuntime};

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

#[test]
fn a_join_allocates_no_more_than_it_did() {
    // The loop; the path of the socket, the socket itself, and the runtime's watch of it. For a port the loop, the watch,
    // and two for the network namespace.
    for (transport, expected) in [(Transport::Unix, 4), (Transport::Tcp, 4)] {
        let home = tempfile::tempdir().unwrap();
        let context = Context::new("org.example.allocations").unwrap().with_home(home.path());
        let service = Descriptor::new(&context, "join").unwrap().transport(transport);
        let service = service.stream_handler(async |_server| Ok(async |_peer, _stream: Stream| {}));
        let server = thread::spawn({
            let service = service.clone();
            move || runtime().block_on(service.serve())
        });
        let runtime = runtime();
        let began = Instant::now();
        while matches!(runtime.block_on(service.join()).unwrap(), Join::Absent) {
            assert!(began.elapsed() < Duration::from_secs(30), "no server");
        }
        // The tables of the runtime grow now and then.
        let counted = (0..20).map(|_| {
            let joining = Box::pin(service.join());
            allocates(|| runtime.block_on(joining))
        });
        assert_eq!(counted.min(), Some(expected), "{transport:?}");
        runtime.block_on(service.retire()).unwrap();
        server.join().unwrap().unwrap();
    }
}

fn runtime() -> LocalRuntime {
    Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap()
}
