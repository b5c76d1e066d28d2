//! The waits of a thread in real time: each ends at its bound, and the call at its deadline.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::driver::effects::Effects;
use crate::driver::net::dial::DialError;
use crate::proto::address::Address;
use crate::proto::connect::DialFailure;
use crate::proto::waiting::{Kind, Seen};
use crate::waiting::OnWait;

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(60);

/// Runs work with a deadline, over these effects. `None`: the deadline ended it.
fn bounded<T>(limit: Duration, work: impl AsyncFnOnce(&mut System<'_>) -> T) -> Option<T> {
    let service = Service::sample("/nowhere");
    let teller = Teller::of_connect(&service);
    let mut system = System::until(&service, limit, &teller);
    run(async { Ok(within(work(&mut system)).await) }).unwrap()
}

#[test]
fn a_wait_that_is_shorter_than_the_call_ends_at_its_own_time() {
    let began = Instant::now();
    assert!(bounded(LONG, async |system| system.pause(SHORT).await).is_some());
    assert!(began.elapsed() >= SHORT && began.elapsed() < LONG / 2);
}

#[test]
fn a_call_ends_at_its_deadline_in_each_effect_that_waits() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let mut silent = Blocking::new(ours).unwrap();
    let began = Instant::now();
    assert!(bounded(SHORT, async |system| system.pause(LONG).await).is_none(), "a pause");
    assert!(bounded(SHORT, async |system| system.receive::<1>(&mut silent, LONG).await.is_ok()).is_none(), "a message");
    let much = vec![0; 16 << 20];
    assert!(bounded(SHORT, async |system| system.send(&mut silent, &much, LONG).await.is_ok()).is_none(), "no room");
    assert!(bounded(SHORT, async |system| system.ended(&mut silent, LONG).await).is_none(), "an end");
    assert!(began.elapsed() >= 4 * SHORT && began.elapsed() < LONG);
}

#[test]
fn a_call_whose_clock_began_before_its_loop_ends_at_the_deadline() {
    let service = Service::sample("/nowhere");
    let teller = Teller::of_connect(&service);
    let mut system = System::until(&service, SHORT, &teller);
    // As of a thread that gets no CPU time between the two.
    thread::sleep(2 * SHORT);
    let ended = run(async { Ok(System::within(SHORT, system.pause(LONG)).await) });
    assert!(matches!(ended, Ok(None)), "{ended:?}");
}

#[test]
fn a_dial_that_is_shorter_than_the_call_times_out_by_itself() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let mut silent = Blocking::new(ours).unwrap();
    let received = bounded(LONG, async |system| system.receive::<1>(&mut silent, SHORT).await.err());
    assert!(matches!(received, Some(Some(DialError::Failed(DialFailure::TimedOut)))));
}

#[test]
fn a_port_without_a_listener_refuses_and_one_with_a_listener_connects() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
    assert!(bounded(LONG, async |system| system.connect(address, LONG).await.is_ok()).unwrap());
    drop(listener);
    let refused = bounded(LONG, async |system| system.connect(address, LONG).await.err()).unwrap();
    assert!(matches!(refused, Some(DialError::Failed(DialFailure::Refused))));
}

#[test]
fn a_message_that_arrives_in_parts_is_received_while_the_caller_is_told() {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let tells = told.clone();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let sender = Mutex::new(theirs);
    std::io::Write::write_all(&mut *sender.lock().unwrap(), b"ab").unwrap();
    // The rest is sent when the caller is told, in the middle of the message.
    let on_wait = OnWait::new(move |waiting| {
        tells.lock().unwrap().push(waiting.to_string());
        std::io::Write::write_all(&mut *sender.lock().unwrap(), b"cd").unwrap();
    });
    let service = Service { on_wait: Some(on_wait), ..Service::sample("/nowhere") };
    let teller = Teller::of_connect(&service);
    teller.saw(Seen::waits(Kind::Answer, Some(7)), teller.now());
    let mut system = System::until(&service, LONG, &teller);
    let mut stream = Blocking::new(ours).unwrap();
    let received = run(async { Ok(system.receive::<4>(&mut stream, LONG).await.ok()) }).unwrap();
    assert_eq!(received.as_ref(), Some(b"abcd"));
    assert_eq!(told.lock().unwrap().len(), 1, "{told:?}");
}

#[test]
fn a_future_that_waits_by_itself_is_a_bug_and_no_hang() {
    let waits = run(async {
        within(pending::<()>()).await;
        Ok(())
    });
    assert!(matches!(waits, Err(Error::Internal(_))), "{waits:?}");
}
