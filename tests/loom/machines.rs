//! The machines of two clients and their servers, one on each thread, in a world in which each effect has a lock of its
//! own: only what the protocol's locks protect is atomic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::{Condvar, Mutex, MutexGuard};
use loom::thread;
use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::connect::{self, DialFailure, Goal, Lifetime, Policy, Step, Versions};
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::handshake::{Intent, Party, Prove, Welcome};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::lock::Tried;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::proto::scope::{Place, Scope};
use rendezvous_ipc::proto::serve::{self, LifeFile, Starter};
use rendezvous_ipc::proto::serving::{self, Checked, Due, Gate};

use crate::explore;

const CONNECT: Goal = Goal::Connect(Policy::External);
const HERE: Scope = Scope { boot: [1; 16], namespace: 1, machine: None };
const PLACE: Place = Place { scope: HERE, local: true };

/// Returns one side of a handshake: both see the same point.
fn party() -> Party {
    Party::at(Identity::of(9, 1, b"point"))
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Actor {
    Client(u8),
    Server(usize),
}

#[derive(Default)]
struct World {
    /// The server whose record the point holds.
    point: Mutex<Option<usize>>,
    lock: Mutex<Option<Actor>>,
    life: Mutex<Option<usize>>,
    servers: [Server; 3],
    /// The first server retires when it is idle. If all did, servers would be started without end.
    goes_idle: bool,
    /// A std mutex, which loom does not explore: no decision depends on its order.
    threads: std::sync::Mutex<Vec<thread::JoinHandle<()>>>,
    started: AtomicUsize,
    handlers: AtomicUsize,
    serving: AtomicUsize,
}

/// What a server shares with its clients.
#[derive(Default)]
struct Server {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// It answered the client that started it, and whether it is ready.
    ready: Option<bool>,
    registered: bool,
    listens: bool,
    gate: Gate,
    requested: bool,
    /// It is time to check its files.
    check: bool,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits until there is an answer.
    fn wait<T>(&self, answer: impl Fn(&mut State) -> Option<T>) -> T {
        let mut state = self.state();
        loop {
            if let Some(answer) = answer(&mut state) {
                return answer;
            }
            state = self.changed.wait(state).unwrap();
        }
    }
}

impl World {
    fn found(&self) -> Found {
        self.point.lock().unwrap().map_or(Found::Empty, |slot| Found::Record(record(slot)))
    }

    fn write(&self, who: Actor, content: Option<usize>) {
        assert_eq!(*self.lock.lock().unwrap(), Some(who), "a writer must hold the point lock");
        *self.point.lock().unwrap() = content;
    }

    fn try_lock(&self, who: Actor) -> bool {
        let mut lock = self.lock.lock().unwrap();
        let free = lock.is_none();
        *lock = lock.or(Some(who));
        free
    }

    fn unlock(&self, who: Actor) {
        assert_eq!(self.lock.lock().unwrap().take(), Some(who));
    }

    fn lifetime(&self) -> Lifetime {
        if self.life.lock().unwrap().is_none() { Lifetime::Free } else { Lifetime::Held }
    }

    /// Runs a client to its end. Returns the outcome, and the server that it is connected to.
    fn connect(self: &Arc<Self>, me: u8, goal: Goal) -> (connect::Done, Option<usize>) {
        let who = Actor::Client(me);
        let (mut lock, mut child, mut written, mut dials) = (false, None, false, 0);
        let (mut hello, mut prove) = ([0; 39], None);
        let mut step = Step::new(goal, Versions::ANY);
        loop {
            assert_eq!(step.holds(), connect::Holds { lock, child: child.is_some(), record: written });
            step = match step {
                Step::Read(s) => s.at(PLACE).found(self.found()),
                Step::Lock(s) => {
                    lock = self.try_lock(who);
                    s.tried(if lock { Tried::Locked } else { Tried::Busy })
                }
                Step::Reread(s) => s.at(PLACE).found(self.found()),
                Step::Probe(s) => s.answered(self.lifetime()),
                Step::Clear(s) => {
                    self.write(who, None);
                    s.cleared(Random::drawn(*record(self.started.fetch_add(1, Ordering::Relaxed)).cookie.expose()))
                }
                Step::Spawn(s) => {
                    let slot = s.cookie().expose()[0].into();
                    child = Some(slot);
                    let world = self.clone();
                    let server = spawn(move || world.serve(slot, Starter::Spawner));
                    self.threads.lock().unwrap().push(server);
                    s.spawned()
                }
                Step::Await(s) => {
                    let slot = child.expect("a child");
                    match self.servers[slot].wait(|state| state.ready) {
                        true => s.ready(record(slot)),
                        false => s.busy(),
                    }
                }
                Step::Verify(s) => s.answered(self.lifetime()),
                Step::Write(s) => {
                    self.write(who, child);
                    written = true;
                    s.written()
                }
                Step::Confirm(s) => {
                    self.servers[child.take().expect("a child")].change(|state| state.registered = true);
                    written = false;
                    s.confirmed()
                }
                Step::Kill(s) => {
                    child = None;
                    s.killed()
                }
                Step::Unlock(s) => {
                    self.unlock(who);
                    lock = false;
                    s.unlocked()
                }
                Step::Backoff(s) => {
                    thread::yield_now();
                    s.elapsed()
                }
                // The server keeps its life file.
                Step::Wait(s) => s.elapsed(),
                Step::Dial(s) => {
                    dials += 1;
                    match self.dialled(s.record()).state().listens {
                        true => s.connected(party(), Random::drawn([me; 32])),
                        false => s.failed(DialFailure::Refused),
                    }
                }
                Step::Hello(s) => {
                    hello = s.message();
                    s.sent()
                }
                // A server proves nothing before the client has registered it.
                Step::Prove(s) => {
                    let serves = |state: &mut State| (state.gate.is_open() || !state.listens).then_some(state.listens);
                    match self.dialled(s.record()).wait(serves) {
                        true => {
                            let answer = Prove::hello(&hello, party(), Random::drawn([9; 32])).expect("a hello");
                            let proof = s.judge(&answer.to_bytes(s.record())).expect("a proof");
                            prove = Some(answer);
                            s.proved(proof)
                        }
                        false => s.failed(DialFailure::Closed),
                    }
                }
                Step::Welcome(s) => {
                    let asked = prove.take().and_then(|prove: Prove| prove.judge(s.record(), &s.message()));
                    let server = self.dialled(s.record());
                    let welcomed = match asked.expect("a proof").intent {
                        Intent::Connect => server.state().gate.admit(),
                        Intent::Status => server.state().gate.is_open(),
                        Intent::Retire => {
                            let mut state = server.state();
                            state.requested |= state.gate.is_open();
                            server.changed.notify_all();
                            state.gate.is_open()
                        }
                    };
                    match welcomed {
                        true => s.welcomed(Welcome::unknown(1)),
                        false => s.failed(DialFailure::Closed),
                    }
                }
                Step::Fallback(_) => unreachable!("no client here uses Robust"),
                Step::Done(done) => {
                    assert!(dials <= 3, "it dialled {dials} times");
                    let server = match &done {
                        connect::Done::Welcomed(record, _) => Some(slot(record)),
                        _ => None,
                    };
                    return (done, server);
                }
            };
        }
    }

    fn dialled(&self, record: &Record) -> &Server {
        &self.servers[slot(record)]
    }

    /// Runs a server to its end.
    fn serve(&self, slot: usize, starter: Starter) {
        use serve::Step;
        let (who, server) = (Actor::Server(slot), &self.servers[slot]);
        let (mut lock, mut life) = (starter == Starter::Hand, false);
        let mut step = Step::new(starter);
        loop {
            assert_eq!(step.holds(), serving::Holds { lock, life });
            step = match step {
                Step::Watch(s) => s.ordered(),
                Step::Claim(s) => {
                    let mut holder = self.life.lock().unwrap();
                    life = holder.is_none();
                    *holder = holder.or(Some(slot));
                    if life { s.claimed() } else { s.busy() }
                }
                Step::Build(s) => {
                    assert_eq!(self.handlers.fetch_add(1, Ordering::Relaxed), 0, "two handlers run");
                    s.built()
                }
                Step::Listen(s) => {
                    server.change(|state| state.listens = true);
                    s.listening()
                }
                Step::Ready(s) => {
                    server.change(|state| state.ready = Some(true));
                    s.replied()
                }
                Step::Refuse(s) => {
                    server.change(|state| state.ready = Some(false));
                    s.replied()
                }
                Step::Registered(s) => {
                    server.wait(|state| state.registered.then_some(()));
                    self.open(server);
                    s.registered()
                }
                Step::Write(s) => {
                    self.write(who, Some(slot));
                    self.open(server);
                    s.written()
                }
                Step::Serving(serving::Step::Done(_)) => return,
                Step::Serving(step) => self.serves(slot, step, (&mut lock, &mut life)).into(),
            };
        }
    }

    /// One step of a server whose start is over.
    fn serves(&self, slot: usize, step: serving::Step, (lock, life): (&mut bool, &mut bool)) -> serving::Step {
        use serving::Step;
        let (who, server) = (Actor::Server(slot), &self.servers[slot]);
        match step {
            Step::Serve(s) => server.wait(|state| {
                let idle = self.goes_idle && slot == 0 && state.gate.counted() == 0;
                let due = Due { shutdown: state.requested, check: state.check, idle };
                state.check &= due.shutdown;
                (due != Due::default()).then(|| s.clone().due(due))
            }),
            Step::Check(s) => s.checked(Checked::of(LifeFile::Mine, &self.found(), true, &record(slot), &PLACE)),
            Step::Lock(s) => {
                *lock = self.try_lock(who);
                if !*lock {
                    thread::yield_now();
                }
                s.tried(if *lock { Tried::Locked } else { Tried::Busy })
            }
            Step::Backoff(s) => {
                thread::yield_now();
                s.again(server.state().requested)
            }
            Step::Recheck(s) => s.checked(Checked::of(LifeFile::Mine, &self.found(), true, &record(slot), &PLACE)),
            Step::Reclaim(s) => s.claimed(),
            Step::Restore(s) => {
                self.write(who, Some(slot));
                s.restored()
            }
            Step::Look(s) => {
                let mut state = server.state();
                if state.gate.look(s.why()) {
                    self.serving.fetch_sub(1, Ordering::Relaxed);
                    s.shut()
                } else {
                    s.counted()
                }
            }
            Step::Withdraw(s) => {
                if serve::may_withdraw(&self.found(), &record(slot)) {
                    self.write(who, None);
                }
                s.withdrawn()
            }
            Step::Close(s) => {
                server.change(|state| state.listens = false);
                s.closed()
            }
            Step::Unlock(s) => {
                self.unlock(who);
                *lock = false;
                s.unlocked()
            }
            Step::Drain(s) => {
                server.wait(|state| (state.gate.counted() == 0).then_some(()));
                self.handlers.fetch_sub(1, Ordering::Relaxed);
                s.drained()
            }
            Step::Release(s) => {
                if std::mem::take(life) {
                    assert_eq!(self.life.lock().unwrap().take(), Some(slot));
                }
                s.released()
            }
            Step::Done(_) => step,
        }
    }

    fn open(&self, server: &Server) {
        server.change(|state| {
            state.gate.open();
            assert_eq!(self.serving.fetch_add(1, Ordering::Relaxed), 0, "two servers serve");
        });
    }

    /// A client that connects, stays for a moment, and leaves.
    fn visits(self: &Arc<Self>, me: u8) {
        let (done, server) = self.connect(me, CONNECT);
        let server = &self.servers[server.unwrap_or_else(|| panic!("the connect ended with {done:?}"))];
        server.change(|state| {
            assert!(state.gate.counted() > 0, "the server counts the client");
            assert!(state.requested || state.gate.is_open(), "the server is open, as no client asked it to retire");
            state.gate.leave();
        });
    }

    /// Asks all servers to retire, and checks that they do and leave nothing.
    fn ends(&self) {
        self.servers.iter().for_each(|server| server.change(|state| state.requested = true));
        let threads = std::mem::take(&mut *self.threads.lock().unwrap());
        threads.into_iter().for_each(|server| server.join().unwrap());
        let held = (*self.lock.lock().unwrap(), *self.life.lock().unwrap(), *self.point.lock().unwrap());
        assert_eq!(held, (None, None, None), "no lock is held, and no record is left");
        assert_eq!(self.handlers.load(Ordering::Relaxed) + self.serving.load(Ordering::Relaxed), 0);
    }
}

/// Spawns a thread with a stack that has room for the machines: a test does not optimise them.
fn spawn(run: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    // In words.
    thread::Builder::new().stack_size(0x4000).spawn(run).unwrap()
}

/// Runs clients one after another, in such a thread: loom fixes the stack of the first one.
fn visit<const N: usize>(world: &Arc<World>, clients: [u8; N]) {
    let world = world.clone();
    spawn(move || clients.iter().for_each(|me| world.visits(*me))).join().unwrap();
}

/// The record of a server, recognised by its port and its cookie.
fn record(slot: usize) -> Record {
    let address = Address::new(([127, 0, 0, 1], 4000 + slot as u16).into()).unwrap();
    Record { scope: HERE, address, cookie: Cookie::new([slot as u8; 32]), pid: 1, started: 1, version: 0 }
}

fn slot(record: &Record) -> usize {
    usize::from(record.address.tcp().unwrap().port()) - 4000
}

#[test]
fn two_clients_are_served_though_the_server_goes_idle_between_them() {
    explore(2, || {
        let world = Arc::new(World { goes_idle: true, ..World::default() });
        let other = spawn({
            let world = world.clone();
            move || world.visits(2)
        });
        visit(&world, [1]);
        other.join().unwrap();
        world.ends();
    });
}

#[test]
fn a_client_and_a_server_by_hand_at_once_come_to_one_server() {
    explore(1, || {
        let world = Arc::new(World { goes_idle: true, ..World::default() });
        let hand = {
            let world = world.clone();
            move || match world.connect(2, Goal::Serve) {
                (connect::Done::Start, _) => {
                    // The server takes over its lock.
                    let slot = world.started.load(Ordering::Relaxed) - 1;
                    *world.lock.lock().unwrap() = Some(Actor::Server(slot));
                    world.serve(slot, Starter::Hand);
                }
                (done, server) => assert!(server.is_some(), "the connect ended with {done:?}"),
            }
        };
        world.threads.lock().unwrap().push(spawn(hand));
        visit(&world, [1]);
        world.ends();
    });
}

#[test]
fn a_client_is_served_while_another_makes_the_server_retire() {
    explore(1, || {
        let world = Arc::new(World { goes_idle: true, ..World::default() });
        let teller = spawn({
            let world = world.clone();
            move || drop(world.connect(2, Goal::Retire))
        });
        visit(&world, [1]);
        teller.join().unwrap();
        world.ends();
    });
}

#[test]
fn a_point_that_is_emptied_costs_neither_the_server_nor_the_client() {
    explore(2, || {
        let world = Arc::<World>::default();
        let damage = spawn({
            let world = world.clone();
            move || {
                *world.point.lock().unwrap() = None;
                world.servers.iter().for_each(|server| server.change(|state| state.check = true));
            }
        });
        visit(&world, [1, 2]);
        assert_eq!(world.started.load(Ordering::Relaxed), 1, "the same server goes on");
        damage.join().unwrap();
        world.ends();
    });
}
