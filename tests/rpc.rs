//! Cap'n Proto on a connection: the ways to call it, and the ways in which it ends. The servers run in this process.
#![cfg(feature = "capnp")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rendezvous_ipc::{Closed, Connection, Descriptor, Error, Origin, Peer, Pid, Stream, testing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;
use tokio::time::timeout;

#[rustfmt::skip]
#[path = "../examples/counter/counter_capnp.rs"]
#[allow(clippy::all, dead_code, unreachable_pub, missing_docs)]
mod counter_capnp;
use counter_capnp::counter;

/// Counts, except that the third call never ends, and the fourth panics.
struct Counter(Rc<Cell<u64>>);

impl counter::Server for Counter {
    async fn increment(
        self: Rc<Self>,
        _: counter::IncrementParams,
        mut results: counter::IncrementResults,
    ) -> Result<(), capnp::Error> {
        self.0.set(self.0.get() + 1);
        match self.0.get() {
            3 => std::future::pending().await,
            4 => panic!("the fourth call panics"),
            count => results.get().set_count(count),
        }
        Ok(())
    }
}

async fn counting() -> Connection {
    let connection = testing::connect(|context| {
        Ok(Descriptor::new(context, "counter")?.handler(async |_server| {
            let count = Rc::new(Cell::new(0));
            Ok(move |_: &Peer| -> counter::Client { capnp_rpc::new_client(Counter(count.clone())) })
        }))
    });
    connection.await.unwrap()
}

async fn increment(counter: &counter::Client) -> Result<u64, capnp::Error> {
    Ok(counter.increment_request().send().promise.await?.get()?.get_count())
}

#[tokio::test]
async fn a_connection_runs_calls_in_the_callers_task() {
    let connection = counting().await;
    assert_eq!(connection.outcome().origin, Origin::StartedInternal);
    let counts = connection.run(async |counter: counter::Client| {
        Ok::<_, capnp::Error>([increment(&counter).await?, increment(&counter).await?])
    });
    assert_eq!(counts.await.unwrap().unwrap(), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_can_be_made_in_one_task_and_run_in_another() {
    let connection = tokio::spawn(counting()).await.unwrap();
    let counted = connection.run(async |counter: counter::Client| increment(&counter).await);
    assert_eq!(counted.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_the_connection_as_it_is() {
    let counted = counting().await.run(async |counter: counter::Client| {
        increment(&counter).await?;
        increment(&counter).await?;
        timeout(Duration::from_millis(50), increment(&counter)).await.expect_err("the call is never answered");
        drop(counter.clone());
        Ok::<_, capnp::Error>(())
    });
    counted.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_panic_of_the_handler_ends_the_connection_with_an_error() {
    let ended = counting().await.run(async |counter: counter::Client| {
        for _ in 0..2 {
            increment(&counter).await.unwrap();
        }
        let _hangs = counter.increment_request().send();
        increment(&counter).await
    });
    match ended.await {
        Err(Error::Disconnected { .. }) => {}
        Ok(Err(error)) => {
            let text = Error::from(error).to_string();
            assert!(text.contains("the connection ended: connect again"), "{text}");
        }
        Ok(Ok(count)) => panic!("the call returned {count}"),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_bootstrapped_connection_reports_how_it_ended() {
    LocalSet::new()
        .run_until(async {
            let rpc = counting().await.bootstrap::<counter::Client>();
            assert_eq!(increment(&rpc).await.unwrap(), 1);
            timeout(Duration::from_millis(20), rpc.closed()).await.expect_err("the connection is open");
            increment(&rpc).await.unwrap();
            let _hangs = rpc.increment_request().send();
            increment(&rpc).await.unwrap_err();
            let closed = rpc.closed().await;
            assert_eq!(closed, Closed::Ended, "{closed}");
        })
        .await;
}

#[tokio::test]
async fn the_error_of_a_lost_connection_names_its_server() {
    let connection = testing::connect(|context| {
        // The handler drops every connection.
        Ok(Descriptor::new(context, "counter")?.stream_handler(async |_server| Ok(async |_peer, _stream: Stream| {})))
    });
    let never = connection.await.unwrap().run(async |_: counter::Client| std::future::pending::<()>().await);
    let error = never.await.unwrap_err();
    let ended = "the connection ended before the answer came (started a server in this process)";
    assert!(error.to_string().starts_with(ended), "{error}");
    let text = format!("{error:#}");
    let Error::Disconnected { outcome, source } = error else { panic!("{text}") };
    assert_eq!(outcome.pid, Pid::new(std::process::id()));
    assert_eq!(text.len() > ended.len(), source.is_some(), "a source is in the text: {text}");
}

#[tokio::test]
async fn a_call_that_fails_is_an_error_with_the_services_text() {
    struct Broken;
    impl counter::Server for Broken {
        async fn increment(
            self: Rc<Self>,
            _: counter::IncrementParams,
            _: counter::IncrementResults,
        ) -> Result<(), capnp::Error> {
            Err(capnp::Error::failed("no paper in the tray".into()))
        }
    }
    let connection = testing::connect(|context| {
        Ok(Descriptor::new(context, "counter")?
            .handler(async |_server| Ok(|_: &Peer| -> counter::Client { capnp_rpc::new_client(Broken) })))
    });
    let call = async || -> Result<u64, Error> {
        Ok(connection.await?.run(async |counter: counter::Client| increment(&counter).await).await??)
    };
    let error = call().await.unwrap_err();
    assert!(matches!(error, Error::Rpc(_)) && format!("{error:#}").contains("no paper in the tray"), "{error:#}");
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.is::<capnp::Error>(), "{source}");
}

#[tokio::test]
async fn a_message_without_end_ends_its_own_connection() {
    let context = rendezvous_ipc::Context::ephemeral("org.example.counter").unwrap();
    let service = Descriptor::new(&context.with_policy(rendezvous_ipc::Policy::Internal), "counter").unwrap();
    let service = service.handler(async |_server| {
        Ok(move |_: &Peer| -> counter::Client { capnp_rpc::new_client(Counter(Rc::new(Cell::new(0)))) })
    });
    let other = service.connect().await.unwrap();
    let mut stream = service.connect().await.unwrap().into_stream();
    // This announces a segment of 16 MiB. A server that does not refuse it allocates it, and waits for the rest.
    stream.write_all(&[0, 0, 0, 0, 0, 0, 0x20, 0]).await.unwrap();
    let ended =
        timeout(Duration::from_secs(10), stream.read_to_end(&mut Vec::new())).await.expect("the connection ends");
    assert!(ended.is_err() || ended.unwrap() > 0, "the connection ends, with or without an answer");
    assert_eq!(other.run(async |counter: counter::Client| increment(&counter).await).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_stream_client_of_a_server_that_speaks_capnp_is_told_both_protocols() {
    let context = rendezvous_ipc::Context::ephemeral("org.example.counter").unwrap();
    let context = context.with_policy(rendezvous_ipc::Policy::Internal);
    let service = || Descriptor::new(&context, "counter").unwrap();
    let speaks_capnp = |service: Descriptor| {
        service.handler(async |_server| {
            Ok(move |_: &Peer| -> counter::Client { capnp_rpc::new_client(Counter(Rc::new(Cell::new(0)))) })
        })
    };
    let capnp = speaks_capnp(service()).connect().await.unwrap();
    let streams = service().protocol("lines/1").stream_handler(async |_server| Ok(async |_peer, _stream| {}));
    let Error::OtherProtocol { ours, theirs, pid } = streams.connect().await.unwrap_err() else { panic!() };
    let id = <counter::Client as capnp::traits::HasTypeId>::TYPE_ID;
    assert_eq!((&*ours, theirs), ("lines/1", format!("capnp-{id:#x}")));
    assert_eq!(pid.map(Pid::get), Some(std::process::id()));
    // A protocol that the service states is not replaced by the interface's.
    for stated in [speaks_capnp(service().protocol("lines/1")), speaks_capnp(service()).protocol("lines/1")] {
        let Error::OtherProtocol { ours, .. } = stated.connect().await.unwrap_err() else { panic!() };
        assert_eq!(ours, "lines/1");
    }
    assert_eq!(capnp.run(async |counter: counter::Client| increment(&counter).await).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_handler_of_streams_does_not_keep_the_protocol_of_an_earlier_handler() {
    let context = rendezvous_ipc::Context::ephemeral("org.example.lines").unwrap();
    let context = context.with_policy(rendezvous_ipc::Policy::Internal);
    let service = || Descriptor::new(&context, "lines").unwrap();
    let speaks_capnp = || {
        service().handler(async |_server| {
            Ok(move |_: &Peer| -> counter::Client { capnp_rpc::new_client(Counter(Rc::new(Cell::new(0)))) })
        })
    };
    let lines = service().protocol("lines/1").stream_handler(async |_server| Ok(async |_peer, _stream: Stream| {}));
    let _server = lines.connect().await.unwrap();
    assert!(matches!(speaks_capnp().connect().await, Err(Error::OtherProtocol { .. })));
    for replaced in [
        speaks_capnp().stream_handler(async |_server| Ok(async |_peer, _stream: Stream| {})),
        speaks_capnp().thread_handler(|_server| Ok(|_peer, _stream: rendezvous_ipc::BlockingStream| {})),
    ] {
        assert_eq!(replaced.connect().await.unwrap().outcome().origin, Origin::JoinedInternal);
    }
}

#[test]
fn a_blocking_connect_reaches_a_server_of_this_process_in_any_thread() {
    let context = rendezvous_ipc::Context::ephemeral("org.example.counter").unwrap();
    let service = Descriptor::new(&context.with_policy(rendezvous_ipc::Policy::Internal), "counter").unwrap();
    let service = service.handler(async |_server| {
        Ok(move |_: &Peer| -> counter::Client { capnp_rpc::new_client(Counter(Rc::new(Cell::new(0)))) })
    });
    let first = service.connect_blocking().unwrap();
    assert_eq!(first.outcome().origin, Origin::StartedInternal);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let blocking = service.clone();
    let second = runtime.block_on(async { tokio::task::spawn_blocking(move || blocking.connect_blocking()).await });
    assert_eq!(second.unwrap().unwrap().outcome().origin, Origin::JoinedInternal);
    let _inside = runtime.enter();
    assert_eq!(service.connect_blocking().unwrap().outcome().origin, Origin::JoinedInternal);
}

#[tokio::test]
async fn the_test_kit_makes_real_failures() {
    let context = rendezvous_ipc::Context::ephemeral("org.example.counter").unwrap();
    let service = Descriptor::new(&context, "counter").unwrap().program("/nowhere", ["serve"]);
    testing::leave_dead_record(&service).unwrap();
    let status = service.inspect().await.unwrap();
    assert!(matches!(status, rendezvous_ipc::Status::Gone { .. }), "{status}");
    let _stranger = testing::Stranger::take_the_place_of(&service).unwrap();
    match service.connect().await {
        Err(Error::Start(_)) => {}
        other => panic!("{other:?}"),
    }
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let stopped = testing::stop(Pid::new(child.id()).unwrap()).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !state().contains(") T ") {
        assert!(std::time::Instant::now() < deadline, "{}", state());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stopped);
    child.kill().unwrap();
    child.wait().unwrap();
}
