//! Measures real connects in one process: to a live server, and of several clients that contend for the point lock. The
//! program is its own server.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use rendezvous_ipc::{Context, Descriptor, Error, Origin, Stream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const SERVE: &str = "@serve";

fn main() -> Result<(), Error> {
    if std::env::args_os().nth(1).is_some_and(|command| command == SERVE) {
        let context = Context::from_args("bench")?;
        return runtime().block_on(service(&context)?.serve());
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    Ok(())
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

fn service(context: &Context) -> Result<Descriptor, Error> {
    let service = Descriptor::new(context, "bench")?.this_program([SERVE]);
    Ok(service.stream_handler(async |_server| Ok(async |_peer, _stream: Stream| {})))
}

/// The service of an ephemeral context. Its server ends with the context.
fn fresh() -> Descriptor {
    Context::ephemeral("bench").and_then(|context| service(&context)).expect("a service")
}

fn fast_path(criterion: &mut Criterion) {
    let runtime = runtime();
    let service = fresh();
    let started = runtime.block_on(service.connect()).expect("a server");
    assert!(matches!(started.outcome().origin, Origin::StartedExternal(_)));
    let mut group = criterion.benchmark_group("live");
    group.bench_function("connect", |b| {
        b.to_async(&runtime).iter(|| async { service.connect().await.expect("a connection") });
    });
    group.bench_function("inspect", |b| {
        b.to_async(&runtime).iter(|| async { service.inspect().await.expect("a status") });
    });
    group.finish();
}

/// All clients connect at once where no server runs: one of them gets the point lock and starts the server; the others
/// find the lock held, or the record.
fn contention(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("start");
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    for clients in [1, 8, 32] {
        group.bench_function(format!("{clients} clients"), |b| {
            b.to_async(&runtime).iter_custom(async |rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let service = fresh();
                    let began = Instant::now();
                    let mut herd = JoinSet::new();
                    for _ in 0..clients {
                        let service = service.clone();
                        herd.spawn(async move { service.connect().await.expect("a connection") });
                    }
                    let connections = herd.join_all().await;
                    took += began.elapsed();
                    drop(connections);
                    service.retire().await.expect("an end");
                }
                took
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fast_path, contention);
