//! The loop over a world that is a script: which effect comes when, with how much time, and what is released when it is
//! dropped. Every await of the loop is one of these effects.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Waker};

use super::super::waiting::Teller;
use super::*;
use crate::os::lock::TryLock;
use crate::proto::address::Address;
use crate::proto::connect::Policy;
use crate::proto::cookie::Cookie;
use crate::proto::handshake::{self, CLIENT_PROOF, HELLO, Party};
use crate::proto::identity::Identity;
use crate::proto::random::Random;
use crate::proto::record::tests::sample;
use crate::proto::scope::Place;
use crate::waiting::OnWait;

const EXTERNAL: Goal = Goal::Connect(Policy::External);
const ROBUST: Goal = Goal::Connect(Policy::Robust);
const CONNECT: Duration = Duration::from_secs(30);

/// The world: one point, one life file, and at most one server.
struct World {
    /// What was done, in this order.
    did: RefCell<Vec<String>>,
    now: Cell<Duration>,
    /// How many times random bytes were drawn: each draw is of one byte value.
    drawn: Cell<u8>,
    /// How many times the place of this process was looked up.
    places: Cell<u8>,
    point: RefCell<Vec<u8>>,
    lifetime: Cell<Lifetime>,
    /// Whether the point's path leads to what is locked.
    is_current: Cell<bool>,
    /// Whether the program can be executed.
    executes: Cell<bool>,
    /// The server that listens, and how many messages it answers.
    server: RefCell<Option<Record>>,
    answers: Cell<usize>,
    /// Whether something holds the lifetime lock after a start that failed.
    lives_on: Cell<bool>,
    /// The effect that never comes to an end, and how often it does before.
    hangs: Cell<(&'static str, usize)>,
    /// The effect that takes time, and how much.
    takes: Cell<(&'static str, Duration)>,
    /// Until when another process holds the point lock, and until when one holds the lifetime lock.
    locked: Cell<Duration>,
    alive: Cell<Duration>,
    teller: Teller<'static>,
    /// What the caller was told, and when.
    told: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// No server is running, and nothing was ever written.
    fn empty() -> Rc<Self> {
        let told = Arc::<Mutex<Vec<String>>>::default();
        let tells = told.clone();
        let on_wait = OnWait::new(move |waiting| tells.lock().unwrap().push(waiting.to_string()));
        let service = Box::leak(Box::new(Service { on_wait: Some(on_wait), ..Service::sample("/nowhere") }));
        Rc::new(World {
            takes: Cell::new(("", Duration::ZERO)),
            locked: Cell::default(),
            alive: Cell::default(),
            teller: Teller::of_connect(service),
            told,
            did: RefCell::default(),
            now: Cell::default(),
            drawn: Cell::new(0),
            places: Cell::new(0),
            point: RefCell::default(),
            lifetime: Cell::new(Lifetime::Free),
            is_current: Cell::new(true),
            executes: Cell::new(true),
            server: RefCell::default(),
            answers: Cell::new(usize::MAX),
            lives_on: Cell::new(false),
            hangs: Cell::new(("", 0)),
        })
    }

    /// A server is registered. It answers so many messages of each connection.
    fn served(answers: usize) -> Rc<Self> {
        let world = World::empty();
        *world.point.borrow_mut() = sample().line().to_vec();
        *world.server.borrow_mut() = Some(sample());
        world.lifetime.set(Lifetime::Held);
        world.answers.set(answers);
        world
    }

    fn did(&self, what: impl Into<String>) {
        self.did.borrow_mut().push(what.into());
    }

    /// Does something that may wait.
    async fn waits(&self, name: &'static str, until: Duration) {
        self.did(format!("{name} {}", until.as_millis()));
        match self.hangs.get() {
            (hangs, 0) if hangs == name => pending().await,
            (hangs, times) if hangs == name => self.hangs.set((hangs, times - 1)),
            _ => {}
        }
        let (takes, time) = self.takes.get();
        if takes == name {
            self.passes(time);
        }
    }

    /// Lets time pass as an effect does that blocks its thread: it wakes up whenever something is to be told.
    fn passes(&self, time: Duration) {
        let end = self.now.get() + time;
        while let Some(due) = self.teller.due().filter(|due| *due < end) {
            self.now.set(due.max(self.now.get()));
            self.teller.tell(self.now.get());
        }
        self.now.set(end);
    }

    fn told(&self) -> String {
        self.told.lock().unwrap().join(", ")
    }

    fn done(&self) -> String {
        self.did.borrow().join(", ")
    }
}

struct Script(Rc<World>);
struct Lock(Rc<World>);
struct Process(Rc<World>, Record, bool);
struct Connected {
    record: Record,
    prove: Option<handshake::Prove>,
    answers: Vec<Vec<u8>>,
}

/// One side of a handshake: both see the same point.
fn party() -> Party {
    Party { service: 7, ..Party::at(Identity::of(9, 1, b"point")) }
}

impl Effects for Script {
    type Point = Lock;
    type Child = Process;
    type Stream = Connected;

    fn now(&self) -> Duration {
        self.0.now.get()
    }

    fn random(&mut self) -> Result<Random, Error> {
        self.0.did("random");
        self.0.drawn.set(self.0.drawn.get() + 1);
        Ok(Random::drawn([self.0.drawn.get(); 32]))
    }

    fn jitter(&mut self) -> Result<u8, Error> {
        Ok(255)
    }

    async fn within<T>(_: Duration, work: impl Future<Output = T>) -> Option<T> {
        Some(work.await)
    }

    async fn pause(&mut self, pause: Duration) {
        self.0.waits("pause", pause).await;
        self.0.passes(pause);
    }

    fn place(&mut self) -> Result<Place, Error> {
        self.0.places.set(self.0.places.get() + 1);
        Ok(Place { scope: sample().scope, local: true })
    }

    fn read<F>(&mut self, read: fn(&[u8]) -> F) -> Result<Option<F>, Error> {
        self.0.did("read");
        Ok(Some(read(&self.0.point.borrow())))
    }

    fn try_lock(&mut self, creates: bool) -> Result<TryLock<Lock>, Error> {
        self.0.did(if creates { "lock" } else { "lock what is there" });
        Ok(match creates || !self.0.point.borrow().is_empty() {
            _ if self.0.now.get() < self.0.locked.get() => TryLock::Busy,
            true => TryLock::Locked(Lock(self.0.clone())),
            false => TryLock::Absent,
        })
    }

    fn probe(&mut self, _: &Lock) -> (Lifetime, Option<Error>) {
        self.0.did("probe");
        match self.0.now.get() < self.0.alive.get() {
            true => (Lifetime::Held, None),
            false => (self.0.lifetime.get(), None),
        }
    }

    async fn spawn(&mut self, cookie: &Cookie, budget: Duration) -> Result<Process, NoChild> {
        self.0.waits("spawn", budget).await;
        if !self.0.executes.get() {
            self.0.lifetime.set(if self.0.lives_on.get() { Lifetime::Held } else { Lifetime::Free });
            return Err(NoChild::CannotExecute(std::io::ErrorKind::NotFound.into()));
        }
        let record = Record { cookie: cookie.clone(), ..sample() };
        self.0.lifetime.set(Lifetime::Held);
        *self.0.server.borrow_mut() = Some(record.clone());
        Ok(Process(self.0.clone(), record, false))
    }

    fn party(&self) -> Party {
        party()
    }

    async fn connect(&mut self, _: Address, until: Duration) -> Result<Connected, DialError> {
        self.0.waits("connect", until).await;
        match &*self.0.server.borrow() {
            Some(record) => Ok(Connected { record: record.clone(), prove: None, answers: Vec::new() }),
            None => Err(DialError::Failed(DialFailure::Refused)),
        }
    }

    async fn send(&mut self, stream: &mut Connected, message: &[u8], until: Duration) -> Result<(), DialError> {
        self.0.waits("send", until).await;
        let answer = match &stream.prove {
            None => {
                let hello: [u8; HELLO] = message.try_into().unwrap();
                let prove = handshake::Prove::hello(&hello, party(), Random::drawn([99; 32])).unwrap();
                self.0.did(format!("nonce {}", prove.nonce().bytes()[0]));
                let answer = prove.to_bytes(&stream.record).to_vec();
                stream.prove = Some(prove);
                answer
            }
            Some(prove) => {
                let proof: [u8; CLIENT_PROOF] = message.try_into().unwrap();
                let asked = prove.judge(&stream.record, &proof).expect("it knows the cookie");
                asked.reply(&stream.record, handshake::Admission::Welcome, handshake::Welcome::unknown(7)).to_vec()
            }
        };
        stream.answers.push(answer);
        Ok(())
    }

    async fn receive<const N: usize>(&mut self, stream: &mut Connected, until: Duration) -> Result<[u8; N], DialError> {
        self.0.waits("receive", until).await;
        match stream.answers.len() <= self.0.answers.get() {
            true => Ok(stream.answers.last().unwrap()[..].try_into().unwrap()),
            false => {
                self.0.passes(until - self.0.now.get());
                Err(DialError::Failed(DialFailure::TimedOut))
            }
        }
    }

    async fn ended(&mut self, _: &mut Connected, longest: Duration) -> bool {
        self.0.waits("end", longest).await;
        true
    }
}

impl Point for Lock {
    fn read<F>(&mut self, read: fn(&[u8]) -> F) -> Result<F, Error> {
        self.0.did("reread");
        Ok(read(&self.0.point.borrow()))
    }

    fn is_current(&self) -> Result<bool, Error> {
        self.0.did("current");
        Ok(self.0.is_current.get())
    }

    fn clear(&mut self) -> Result<(), Error> {
        self.0.did("clear");
        self.0.point.borrow_mut().clear();
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<(), Error> {
        self.0.did("write");
        *self.0.point.borrow_mut() = line.to_vec();
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.did("unlock");
    }
}

impl Child for Process {
    fn pid(&self) -> u32 {
        self.1.pid
    }

    fn log_begin(&self) -> u64 {
        0
    }

    async fn reply(&mut self, budget: Duration) -> Awaited {
        self.0.waits("reply", budget).await;
        Awaited::Ready(self.1.clone())
    }

    fn confirm(mut self) {
        self.0.did("confirm");
        self.2 = true;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.2 {
            self.0.did("kill");
        }
    }
}

/// Drives the loop until it is done, or as far as it gets without what hangs; then it is dropped.
fn driven(world: &Rc<World>, goal: Goal, deadline: Duration) -> Option<Done> {
    let (service, mut report) = (Service::sample("/nowhere"), Report::new(&world.teller));
    let mut script = Script(world.clone());
    let driving = pin!(drive(&mut script, &service, goal, deadline, &mut report));
    match driving.poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(driven) => Some(driven.unwrap_or_else(|error| panic!("{error}")).done),
        Poll::Pending => None,
    }
}

fn welcomed(done: Option<Done>) -> bool {
    matches!(done, Some(Done::Welcomed(..)))
}

#[test]
fn a_server_is_started_under_the_lock_and_dialled_before_it_is_released() {
    let world = World::empty();
    assert!(welcomed(driven(&world, EXTERNAL, CONNECT)));
    assert_eq!(
        world.done(),
        "read, lock, reread, probe, clear, random, spawn 8000, reply 8000, probe, write, confirm, random, connect 1500, \
         send 1500, nonce 2, receive 1500, send 1500, receive 1500, unlock"
    );
}

#[test]
fn a_registered_server_is_joined_without_the_lock() {
    let world = World::served(usize::MAX);
    assert!(welcomed(driven(&world, EXTERNAL, CONNECT)));
    assert_eq!(world.done(), "read, random, connect 1500, send 1500, nonce 1, receive 1500, send 1500, receive 1500");
}

#[test]
fn a_place_is_looked_up_for_a_port_and_under_the_lock_alone() {
    let at = |address: &str| Record { address: address.parse().unwrap(), ..sample() };
    for (record, looks) in [(at("unix:00112233aabbccdd"), 0), (at("127.0.0.1:4711"), 1)] {
        let world = World::served(usize::MAX);
        *world.point.borrow_mut() = record.line().to_vec();
        *world.server.borrow_mut() = Some(record);
        assert!(welcomed(driven(&world, Goal::Join, CONNECT)));
        assert_eq!(world.places.get(), looks);
        assert!(!world.done().contains("lock"), "it is joined without the lock");
    }
    let world = World::empty();
    assert!(welcomed(driven(&world, EXTERNAL, CONNECT)));
    assert_eq!(world.places.get(), 1);
}

#[test]
fn a_join_makes_one_dial_and_starts_creates_and_clears_nothing() {
    let world = World::served(usize::MAX);
    assert!(welcomed(driven(&world, Goal::Join, CONNECT)));
    assert_eq!(world.done(), "read, random, connect 1500, send 1500, nonce 1, receive 1500, send 1500, receive 1500");
    let world = World::empty();
    assert_eq!(driven(&world, Goal::Join, CONNECT), Some(Done::Absent));
    assert_eq!(world.done(), "read, lock what is there");
    let world = World::served(usize::MAX);
    *world.server.borrow_mut() = None;
    world.lifetime.set(Lifetime::Free);
    assert_eq!(driven(&world, Goal::Join, CONNECT), Some(Done::Absent));
    assert_eq!(world.done(), "read, random, connect 1500, lock what is there, reread, probe, unlock");
    assert_eq!(*world.point.borrow(), sample().line().to_vec(), "the dead record stays");
}

#[test]
fn every_await_of_a_dial_has_the_patience_of_that_dial() {
    for (answers, first) in [
        (0, "random, connect 1500, send 1500, nonce 1, receive 1500, lock"),
        (1, "random, connect 1500, send 1500, nonce 1, receive 1500, send 1500, receive 1500, lock"),
    ] {
        let world = World::served(answers);
        world.hangs.set(("pause", 0));
        assert_eq!(driven(&world, EXTERNAL, CONNECT), None);
        assert!(world.done().starts_with(&format!("read, {first}")), "{}", world.done());
        assert_eq!(world.now.get(), Duration::from_millis(1500), "it gave up then");
    }
}

#[test]
fn every_dial_has_a_nonce_and_a_time_of_its_own() {
    let world = World::served(0);
    world.hangs.set(("pause", 1));
    assert_eq!(driven(&world, EXTERNAL, CONNECT), None);
    let (first, second) = ("random, connect 1500, send 1500, nonce 1", "random, connect 3001, send 3001, nonce 2");
    let did = world.done();
    assert!(did.contains(first) && did.contains(second), "{did}");
}

#[test]
fn a_connect_dropped_at_any_wait_releases_what_it_holds() {
    for (hangs, released) in [
        ("spawn", "spawn 8000, unlock"),
        ("reply", "reply 8000, kill, unlock"),
        ("connect", "confirm, random, connect 1500, unlock"),
        ("send", "send 1500, unlock"),
        ("receive", "receive 1500, unlock"),
    ] {
        let world = World::empty();
        world.hangs.set((hangs, 0));
        assert_eq!(driven(&world, EXTERNAL, CONNECT), None);
        assert!(world.done().ends_with(released), "{hangs}: {}", world.done());
    }
    let world = World::served(0);
    world.hangs.set(("pause", 0));
    assert_eq!(driven(&world, EXTERNAL, CONNECT), None);
    assert!(world.done().ends_with("probe, unlock, pause 1"), "nothing is held: {}", world.done());
}

#[test]
fn what_is_held_is_released_in_order_and_a_childs_record_is_withdrawn() {
    let held = |world: &Rc<World>, written| {
        let mut held = Held::<Script>::default();
        held.point = Some(Lock(world.clone()));
        held.child = Some(Process(world.clone(), sample(), false));
        held.written = written;
        held
    };
    let world = World::empty();
    drop(held(&world, true));
    assert_eq!(world.done(), "kill, clear, unlock");
    let world = World::empty();
    drop(held(&world, false));
    assert_eq!(world.done(), "kill, unlock", "what is not the child's stays");
}

#[test]
fn no_start_begins_with_less_time_than_it_may_take() {
    let world = World::empty();
    assert_eq!(driven(&world, EXTERNAL, Duration::from_millis(7999)), Some(Done::TooLate));
    assert_eq!(world.done(), "read, lock, reread, probe, unlock");
    assert!(welcomed(driven(&World::empty(), EXTERNAL, Duration::from_millis(8000))));
}

#[test]
fn a_fallback_looks_at_the_path_and_waits_for_the_lifetime_lock() {
    let fallback = |is_current, lives_on, pauses| {
        let world = World::empty();
        world.executes.set(false);
        world.is_current.set(is_current);
        world.lives_on.set(lives_on);
        world.hangs.set(("pause", pauses));
        (driven(&world, ROBUST, CONNECT), world.done(), world.now.get())
    };
    let (done, did, _) = fallback(true, false, 0);
    assert_eq!(done, Some(Done::Internal), "{did}");
    assert!(did.ends_with("spawn 8000, current, probe, unlock"), "{did}");
    let (done, did, _) = fallback(false, false, 0);
    assert_eq!(done, None, "it backs off: {did}");
    assert!(did.ends_with("spawn 8000, current, probe, unlock, pause 1"), "{did}");
    // 1, 2, 4, 8, 16, 32 and then 50 milliseconds each, until patience is over.
    let (done, did, waited) = fallback(true, true, 35);
    assert_eq!((done, waited), (None, Duration::from_millis(63 + 29 * 50)), "{did}");
    assert!(did.ends_with("pause 50, probe, unlock, pause 1"), "{did}");
}

#[test]
fn a_connect_that_does_not_wait_tells_nothing() {
    for (world, goal) in [(World::served(usize::MAX), Goal::Join), (World::empty(), EXTERNAL)] {
        world.takes.set(("reply", Duration::from_millis(100)));
        assert!(welcomed(driven(&world, goal, CONNECT)));
        assert_eq!(world.told(), "", "{goal:?}");
    }
}

#[test]
fn a_slow_start_is_told_once_while_it_lasts() {
    let world = World::empty();
    world.takes.set(("reply", Duration::from_secs(5)));
    assert!(welcomed(driven(&world, EXTERNAL, CONNECT)));
    assert_eq!(world.told(), "waiting for server 815 to start: at most 8 s more");
}

#[test]
fn a_lock_that_another_process_holds_is_told_once() {
    let world = World::empty();
    world.locked.set(Duration::from_secs(3));
    assert!(welcomed(driven(&world, EXTERNAL, CONNECT)));
    assert_eq!(world.told(), "waiting for a process, which holds the point lock: at most 30 s more");
    assert!(world.now.get() >= world.locked.get(), "{:?}", world.now);
}

#[test]
fn each_thing_that_is_waited_for_is_told_in_its_turn() {
    let world = World::empty();
    world.locked.set(Duration::from_secs(1));
    world.alive.set(Duration::from_secs(6));
    world.takes.set(("reply", Duration::from_secs(2)));
    assert!(welcomed(driven(&world, EXTERNAL, CONNECT)));
    assert_eq!(
        world.told(),
        "waiting for a process, which holds the point lock: at most 30 s more, \
         waiting for a process, which holds the lifetime lock: at most 29 s more, \
         waiting for server 815 to start: at most 8 s more"
    );
}

#[test]
fn a_server_that_does_not_answer_is_told_once_for_all_dials() {
    let world = World::served(0);
    world.hangs.set(("pause", 3));
    assert_eq!(driven(&world, EXTERNAL, CONNECT), None);
    assert_eq!(world.told(), "waiting for an answer of server 815: at most 30 s more");
    assert_eq!(world.done().matches("connect").count(), 4);
}
