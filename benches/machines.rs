//! Measures the protocol itself: its bytes, its proofs, and its machines, step by step and from end to end.

mod runs;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rendezvous_ipc::proto::record::Found;
use rendezvous_ipc::proto::{connect, serve, serving};

use self::runs::{Life, World};

/// A step is half a kilobyte: a batch of 16 and their results fit into the processor's cache, as a single one does.
const IN_CACHE: BatchSize = BatchSize::NumIterations(16);

fn record(criterion: &mut Criterion) {
    let world = World::new();
    let line = world.record.line();
    let mut group = criterion.benchmark_group("record");
    group.bench_function("print", |b| b.iter(|| black_box(&world.record).line()));
    group.bench_function("parse", |b| b.iter(|| Found::read(black_box(&line))));
    group.finish();
}

fn handshake(criterion: &mut Criterion) {
    let world = World::new();
    let mut group = criterion.benchmark_group("handshake");
    group.bench_function("client", |b| b.iter(|| black_box(&world).join()));
    group.bench_function("server", |b| b.iter(|| black_box(&world).handshake()));
    group.finish();
}

/// Measures each step of a run by itself. The answers exist beforehand, and so do the proof and the welcome, whose MACs
/// [`handshake`] measures.
fn step(criterion: &mut Criterion) {
    let world = World::new();
    let mut group = criterion.benchmark_group("step");
    for (path, lives) in [("join", true), ("start", false)] {
        let mut step = world.client();
        while !matches!(step, connect::Step::Done(_)) {
            let proof = if let connect::Step::Prove(prove) = &step { Some(world.proof(prove)) } else { None };
            let welcome = if let connect::Step::Welcome(step) = &step { Some(world.welcomed(step)) } else { None };
            group.bench_function(format!("client/{path}/{}", step.name()), |b| {
                b.iter_batched(
                    || (step.clone(), proof.clone(), world.record.clone()),
                    |(step, proof, record)| match (step, proof, welcome) {
                        (connect::Step::Prove(prove), Some(proof), _) => prove.proved(proof),
                        (connect::Step::Welcome(step), _, Some(welcome)) => step.welcomed(welcome),
                        (step, ..) => world.client_next(step, record, lives),
                    },
                    IN_CACHE,
                );
            });
            step = world.client_next(step, world.record.clone(), lives);
        }
    }
    let mut step = world.server();
    let mut life = Life::default();
    let mut seen = Vec::new();
    while !matches!(step, serve::Step::Serving(serving::Step::Done(_))) {
        if !seen.contains(&step.name()) {
            seen.push(step.name());
            group.bench_function(format!("server/{}", step.name()), |b| {
                b.iter_batched(
                    || (step.clone(), life.clone()),
                    |(step, mut life)| world.server_next(step, &mut life),
                    IN_CACHE,
                );
            });
        }
        step = world.server_next(step, &mut life);
    }
    group.finish();
}

fn run(criterion: &mut Criterion) {
    let world = World::new();
    let mut group = criterion.benchmark_group("run");
    group.bench_function("client/join", |b| b.iter(|| client(black_box(&world), true)));
    group.bench_function("client/start", |b| b.iter(|| client(black_box(&world), false)));
    group.bench_function("server", |b| b.iter(|| server(black_box(&world))));
    group.finish();
}

fn client(world: &World, lives: bool) -> connect::Done {
    let mut step = world.client();
    loop {
        step = match step {
            connect::Step::Done(done) => return done,
            step => world.client_next(step, world.record.clone(), lives),
        }
    }
}

fn server(world: &World) -> serving::Done {
    let (mut step, mut life) = (world.server(), Life::default());
    loop {
        step = match step {
            serve::Step::Serving(serving::Step::Done(done)) => return done,
            step => world.server_next(step, &mut life),
        }
    }
}

criterion_group!(benches, record, handshake, step, run);
criterion_main!(benches);
