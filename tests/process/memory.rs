//! What a client can make its server keep in memory: what it has sent, as far as the server reads it.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use capnp::message::Builder;
use capnp::traits::HasTypeId;
use capnp_rpc::rpc_capnp::{message, return_};
use rendezvous_ipc::{Descriptor, Peer, Status, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::counter_capnp::counter;
use crate::home::Named as _;
use crate::home::{Home, LONG, connected, runtime};

crate::trials![
    an_idle_client_takes_little_memory,
    an_announced_message_takes_no_memory_until_it_arrives,
    a_client_that_reads_no_answers_is_not_read_until_it_does,
    a_client_that_leaves_without_reading_is_no_longer_counted,
    messages_of_every_length_arrive_whole_and_leave_nothing_behind,
];

const MIB: u64 = 1 << 20;

/// A service that counts calls.
pub fn count_calls(service: Descriptor) -> Descriptor {
    service.handler(async |_server| {
        let count = Rc::new(Cell::new(0));
        Ok(move |_: &Peer| -> counter::Client { capnp_rpc::new_client(Counter(count.clone())) })
    })
}

struct Counter(Rc<Cell<u64>>);

impl counter::Server for Counter {
    async fn increment(
        self: Rc<Self>,
        _: counter::IncrementParams,
        mut results: counter::IncrementResults,
    ) -> Result<(), capnp::Error> {
        self.0.set(self.0.get() + 1);
        results.get().set_count(self.0.get());
        Ok(())
    }
}

fn home(transport: &'static [&'static str]) -> Home {
    let mut home = Home::new();
    home.server = transport;
    home
}

const TRANSPORTS: [&[&str]; 2] = [&["@serve", "rpc"], &["@serve", "rpc", "tcp"]];

/// The resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// The first message of a client, padded to any length.
fn bootstrap(padding: u32) -> Vec<u8> {
    let mut message = Builder::new_default();
    let mut bootstrap = message.init_root::<message::Builder>().init_bootstrap();
    bootstrap.set_question_id(0);
    if padding > 0 {
        bootstrap.init_deprecated_object_id().initn_as::<capnp::data::Builder>(padding);
    }
    capnp::serialize::write_message_to_words(&message)
}

/// A call of the capability that the first message asked for.
fn call(question: u32) -> Vec<u8> {
    let mut message = Builder::new_default();
    let mut call = message.init_root::<message::Builder>().init_call();
    call.set_question_id(question);
    call.set_interface_id(counter::Client::TYPE_ID);
    call.reborrow().init_target().init_promised_answer().set_question_id(0);
    call.init_params().init_content().init_as::<counter::increment_params::Builder>();
    capnp::serialize::write_message_to_words(&message)
}

/// The question that the server's next message answers, and the count in it, if any.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> (u32, Option<u64>) {
    let mut bytes = vec![0; 8];
    stream.read_exact(&mut bytes).await.unwrap();
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[4 * at..][..4].try_into().unwrap()) as usize;
    let segments = number(&bytes, 0) + 1;
    bytes.resize(4 * (1 + segments).next_multiple_of(2), 0);
    stream.read_exact(&mut bytes[8..]).await.unwrap();
    let (table, words) = (bytes.len(), (1..=segments).map(|segment| number(&bytes, segment)).sum::<usize>());
    bytes.resize(table + 8 * words, 0);
    stream.read_exact(&mut bytes[table..]).await.unwrap();
    let message = capnp::serialize::read_message(&bytes[..], Default::default()).unwrap();
    let message::Return(answer) = message.get_root::<message::Reader>().unwrap().which().unwrap() else {
        panic!("no answer")
    };
    let answer = answer.unwrap();
    let return_::Results(results) = answer.which().unwrap() else { panic!("an error") };
    let content = results.unwrap().get_content();
    let count = content.get_as::<counter::increment_results::Reader>().ok().map(|results| results.get_count());
    (answer.get_answer_id(), count.filter(|_| answer.get_answer_id() > 0))
}

/// Makes calls one after the other, so that the server has read all that was sent before.
async fn some_calls(service: &Descriptor) {
    let calls = connected(service).await.run(async |counter: counter::Client| {
        for _ in 0..200 {
            counter.increment_request().send().promise.await?;
        }
        Ok::<_, capnp::Error>(())
    });
    calls.await.unwrap().unwrap();
}

fn an_idle_client_takes_little_memory() {
    const CLIENTS: u64 = 400;
    for transport in TRANSPORTS {
        let home = home(transport);
        let service = home.service();
        runtime().block_on(async {
            some_calls(&service).await;
            let first = connected(&service).await;
            let pid = first.outcome().pid();
            let before = resident(pid);
            let mut idle = Vec::new();
            for _ in 0..CLIENTS {
                let mut stream = connected(&service).await.into_stream();
                for message in [bootstrap(0), call(1)] {
                    stream.write_all(&message).await.unwrap();
                    timeout(LONG, answer(&mut stream)).await.expect("an answer");
                }
                idle.push(stream);
            }
            let each = resident(pid).saturating_sub(before) / CLIENTS;
            println!("an idle client: {each} bytes");
            // Buffers that keep 8 KiB make it 12,000 and more.
            assert!(each < 10_500, "{each} bytes");
        });
        home.retire();
    }
}

fn an_announced_message_takes_no_memory_until_it_arrives() {
    for transport in TRANSPORTS {
        let home = home(transport);
        let service = home.service();
        runtime().block_on(async {
            some_calls(&service).await;
            let mut clients = Vec::new();
            for _ in 0..100 {
                clients.push(connected(&service).await);
            }
            let pid = clients[0].outcome().pid();
            some_calls(&service).await;
            let before = resident(pid);
            let mut streams: Vec<Stream> = clients.into_iter().map(|client| client.into_stream()).collect();
            for stream in &mut streams {
                // A segment of 8 MiB is announced.
                stream.write_all(&[0, 0, 0, 0, 0, 0, 0x10, 0]).await.unwrap();
            }
            some_calls(&service).await;
            let grown = resident(pid).saturating_sub(before);
            println!("100 headers of 8 MiB each: {} KiB", grown / 1024);
            assert!(grown < 8 * MIB, "{grown} bytes");
        });
        home.retire();
    }
}

fn a_client_that_reads_no_answers_is_not_read_until_it_does() {
    const CALLS: u32 = 60_000;
    for transport in TRANSPORTS {
        let home = home(transport);
        let service = home.service();
        runtime().block_on(async {
            some_calls(&service).await;
            let client = connected(&service).await;
            let pid = client.outcome().pid();
            let before = resident(pid);
            let (mut reader, mut writer) = tokio::io::split(client.into_stream());
            let (sender, mut sent) = watch::channel(0);
            let writing = tokio::spawn(async move {
                writer.write_all(&bootstrap(0)).await.unwrap();
                for question in 1..=CALLS {
                    writer.write_all(&call(question)).await.unwrap();
                    sender.send_replace(question);
                }
                writer
            });
            // Until the server stops reading, or is slow for a second, which is no failure here.
            while timeout(Duration::from_secs(1), sent.changed()).await.is_ok_and(|changed| changed.is_ok()) {}
            let grown = resident(pid).saturating_sub(before);
            println!("{} calls sent, no answer read: {} KiB", *sent.borrow(), grown / 1024);
            assert!(grown < 16 * MIB, "{grown} bytes");
            // Other clients do not wait.
            some_calls(&service).await;
            let mut last = None;
            for question in 0..=CALLS {
                let (answered, count) = timeout(LONG, answer(&mut reader)).await.expect("an answer");
                assert_eq!(answered, question);
                assert!(count > last || question == 0, "{last:?}, then {count:?}");
                last = count;
            }
            writing.await.unwrap();
        });
        home.retire();
    }
}

fn a_client_that_leaves_without_reading_is_no_longer_counted() {
    for transport in TRANSPORTS {
        let home = home(transport);
        let service = home.service();
        runtime().block_on(async {
            let mut stream = connected(&service).await.into_stream();
            stream.write_all(&bootstrap(0)).await.unwrap();
            let calls: Vec<u8> = (1..20_000).flat_map(call).collect();
            // More than the sockets can hold, or all of it.
            let _ = timeout(Duration::from_millis(500), stream.write_all(&calls)).await;
            drop(stream);
            let gone = async { while !matches!(service.inspect().await, Ok(Status::Live { clients: 0, .. })) {} };
            timeout(LONG, gone).await.expect("the client is no longer counted");
        });
        home.retire();
    }
}

fn messages_of_every_length_arrive_whole_and_leave_nothing_behind() {
    for transport in TRANSPORTS {
        let home = home(transport);
        let service = home.service();
        runtime().block_on(async {
            some_calls(&service).await;
            for padding in [0, 1, 8_000, 8_100, 8_192, 20_000, 65_536, 100_000, 1 << 20, (8 << 20) - 100] {
                let client = connected(&service).await;
                let pid = client.outcome().pid();
                let mut stream = client.into_stream();
                let before = resident(pid);
                // The end of the first message arrives together with the next messages.
                let bytes = [bootstrap(padding), call(1), call(2)].concat();
                timeout(LONG, stream.write_all(&bytes)).await.unwrap().unwrap();
                for question in 0..3 {
                    assert_eq!(timeout(LONG, answer(&mut stream)).await.unwrap().0, question, "{padding}");
                }
                let grown = resident(pid).saturating_sub(before);
                assert!(grown < 4 * MIB, "{grown} bytes are left after {padding}");
            }
            // A byte at a time.
            let mut stream = connected(&service).await.into_stream();
            for byte in [bootstrap(100), call(1)].concat() {
                stream.write_u8(byte).await.unwrap();
            }
            for question in 0..2 {
                assert_eq!(timeout(LONG, answer(&mut stream)).await.unwrap().0, question);
            }
            // A message that is too long, and one with too many segments.
            for refused in [bootstrap(8 << 20), [0xff, 1, 0, 0].repeat(600)] {
                let mut stream = connected(&service).await.into_stream();
                let _ = timeout(LONG, stream.write_all(&refused)).await.expect("the connection ends");
                let ended = timeout(LONG, stream.read_to_end(&mut Vec::new())).await;
                let _ = ended.expect("the connection ends");
            }
            some_calls(&service).await;
        });
        home.retire();
    }
}
