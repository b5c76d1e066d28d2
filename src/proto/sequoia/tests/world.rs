//! Explores clients and servers of the dialect in a model world: a point with a lock, ports, processes.
//!
//! The tests walk every order of the steps. They assert what must hold in every state, and check on the whole graph
//! what must be reachable from every state.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::*;
use crate::proto::serving::{Gate, Step as Serving};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Point {
    Empty,
    Damaged,
    Of(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Who {
    Client(usize),
    Server(u8),
}

/// How often each event besides the steps may happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Faults {
    idle: u8,
    requested: u8,
    kill_client: u8,
    kill_server: u8,
    damage: u8,
    /// A server whose handler cannot be built.
    fail: u8,
    /// A dial that nothing answers.
    silence: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Client {
    /// `None` if the client was killed.
    step: Option<Step>,
    child: Option<u8>,
    /// Whether a server counted it.
    served: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Server {
    /// `None` if the server is gone.
    step: Option<serve::Step>,
    listens: bool,
    registered: bool,
    gate: Gate,
    /// The clients that sent the cookie and are not admitted yet, and those that are.
    queue: Vec<usize>,
    inside: Vec<usize>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    point: Point,
    lock: Option<Who>,
    clients: Vec<Client>,
    servers: BTreeMap<u8, Server>,
    left: Faults,
}

impl World {
    fn new(goals: &[Goal], point: Point, left: Faults) -> Self {
        let clients = goals.iter().map(|goal| Client { step: Some(Step::new(*goal)), child: None, served: false });
        World { point, lock: None, clients: clients.collect(), servers: BTreeMap::new(), left }
    }

    fn found(&self) -> Found {
        match self.point {
            Point::Empty => Found::Empty,
            Point::Damaged => Found::Malformed(Malformed::NoEnd),
            Point::Of(number) => found(number),
        }
    }

    fn listens(&self, record: &Record) -> bool {
        self.server(record).is_some_and(|server| server.listens)
    }

    fn server(&self, record: &Record) -> Option<&Server> {
        self.servers.get(&u8::try_from(record.port.get()).unwrap())
    }

    fn write(&mut self, who: Who, point: Point) {
        assert_eq!(self.lock, Some(who), "only the holder of the lock changes the point");
        self.point = point;
        if let Point::Of(number) = point {
            self.servers.get_mut(&number).unwrap().registered = true;
        }
    }

    fn kill(&mut self, number: u8) {
        let server = self.servers.get_mut(&number).unwrap();
        (server.step, server.listens, server.gate) = (None, false, Gate::new());
        (server.queue, server.inside) = (Vec::new(), Vec::new());
        if self.lock == Some(Who::Server(number)) {
            self.lock = None;
        }
    }

    fn start(&mut self, number: u8, starter: Starter) {
        let step = Some(serve::Step::new(starter));
        let (listens, gate) = (starter == Starter::Client, Gate::new());
        let server = Server { step, listens, registered: false, gate, queue: Vec::new(), inside: Vec::new() };
        assert!(self.servers.insert(number, server).is_none());
    }

    /// Returns every world that may come next.
    fn next(&self) -> Vec<World> {
        let mut next = Vec::new();
        for who in 0..self.clients.len() {
            self.client_steps(who, &mut next);
        }
        for number in self.servers.keys() {
            self.server_steps(*number, &mut next);
        }
        self.faults(&mut next);
        next
    }

    fn client_steps(&self, who: usize, next: &mut Vec<World>) {
        let Some(step) = self.clients[who].step.clone() else { return };
        let mut step_to = |step: Step, change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            world.clients[who].step = Some(step);
            change(&mut world);
            next.push(world);
        };
        let same = |_: &mut World| ();
        let fresh = u8::try_from(self.servers.len()).unwrap() + 1;
        let child = self.clients[who].child;
        match step {
            Step::Lock(s) if self.lock.is_none() => {
                step_to(s.tried(Tried::Locked), &|w| w.lock = Some(Who::Client(who)))
            }
            Step::Lock(s) => step_to(s.tried(Tried::Busy), &same),
            Step::Read(s) => step_to(s.found(self.found()), &same),
            Step::Dial(s) => {
                if self.left.silence > 0 {
                    step_to(s.clone().failed(DialFailure::TimedOut), &|w| w.left.silence -= 1);
                }
                let there = self.listens(s.record());
                step_to(if there { s.connected() } else { s.failed(DialFailure::Refused) }, &same);
            }
            Step::SendCookie(s) => {
                let record = s.record().clone();
                if self.listens(&record) {
                    step_to(s.sent(), &|w| {
                        w.servers.get_mut(&u8::try_from(record.port.get()).unwrap()).unwrap().queue.push(who);
                    });
                } else {
                    // The server died since. The client may not notice that the connection is reset.
                    step_to(s.clone().failed(DialFailure::Closed), &same);
                    step_to(s.sent(), &same);
                }
            }
            Step::Clear(s) => step_to(s.cleared(drawn(fresh)), &|w| w.write(Who::Client(who), Point::Empty)),
            Step::Introduce(s) => step_to(s.introduced(record(fresh)), &same),
            Step::Spawn(s) => step_to(s.spawned(), &|w| {
                w.start(fresh, Starter::Client);
                w.clients[who].child = Some(fresh);
            }),
            Step::Await(s) => match self.servers[&child.unwrap()].step {
                None => step_to(s.failed(), &same),
                Some(serve::Step::ReceiveCookie(_) | serve::Step::Build(_) | serve::Step::Ready(_)) => {}
                Some(serve::Step::Serving(Serving::Release(_) | Serving::Done(_))) => {}
                Some(_) => step_to(s.received(), &same),
            },
            Step::Write(s) => step_to(s.written(), &|w| {
                w.write(Who::Client(who), Point::Of(child.unwrap()));
                w.clients[who].child = None;
            }),
            Step::Kill(s) => step_to(s.killed(), &|w| {
                w.kill(child.unwrap());
                w.clients[who].child = None;
            }),
            Step::Unlock(s) => step_to(s.unlocked(), &|w| w.lock = None),
            Step::Backoff(s) => step_to(s.elapsed(), &same),
            // The client becomes a server here, and passes its lock on to it.
            Step::Done(Done::Start) => step_to(Step::Done(Done::Internal), &|w| {
                w.start(fresh, Starter::Hand);
                w.lock = Some(Who::Server(fresh));
            }),
            Step::Done(_) => {}
        }
    }

    fn server_steps(&self, number: u8, next: &mut Vec<World>) {
        let server = &self.servers[&number];
        let Some(step) = server.step.clone() else { return };
        let me = Who::Server(number);
        let mut step_to = |step: serve::Step, change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            world.servers.get_mut(&number).unwrap().step = Some(step);
            change(&mut world);
            next.push(world);
        };
        let same = |_: &mut World| ();
        let serves = |w: &mut World| w.servers.get_mut(&number).unwrap().gate.open();
        if server.gate.is_open() && !server.queue.is_empty() {
            step_to(step.clone(), &|w| w.admit(number));
        }
        if !server.inside.is_empty() {
            step_to(step.clone(), &|w| {
                let server = w.servers.get_mut(&number).unwrap();
                server.inside.pop();
                server.gate.leave();
            });
        }
        match step {
            serve::Step::ReceiveCookie(s) => step_to(s.received(), &same),
            serve::Step::Build(s) => {
                if self.left.fail > 0 {
                    step_to(s.clone().failed(), &|w| w.left.fail -= 1);
                }
                step_to(s.built(), &same);
            }
            serve::Step::Ready(s) => step_to(s.closed(), &serves),
            serve::Step::Listen(s) => step_to(s.listening(), &|w| w.servers.get_mut(&number).unwrap().listens = true),
            serve::Step::Write(s) => step_to(s.written(), &|w| {
                w.write(me, Point::Of(number));
                serves(w);
            }),
            serve::Step::Serving(step) => self.serving_steps(number, step, next),
        }
    }

    fn serving_steps(&self, number: u8, step: Serving, next: &mut Vec<World>) {
        let server = &self.servers[&number];
        let me = Who::Server(number);
        let mut step_to = |step: Serving, change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            world.servers.get_mut(&number).unwrap().step = Some(step.into());
            change(&mut world);
            next.push(world);
        };
        let same = |_: &mut World| ();
        let checked = checked(&self.found(), &record(number));
        match step {
            Serving::Serve(s) => {
                if checked != Checked::Mine {
                    step_to(s.clone().check(), &same);
                }
                if self.left.idle > 0 && server.gate.counted() == 0 {
                    step_to(s.clone().idle(), &|w| w.left.idle -= 1);
                }
                if self.left.requested > 0 {
                    step_to(s.requested(), &|w| w.left.requested -= 1);
                }
            }
            Serving::Check(s) => step_to(s.checked(checked), &same),
            Serving::Lock(s) if self.lock.is_none() => step_to(s.got(), &|w| w.lock = Some(me)),
            Serving::Lock(s) => step_to(s.busy(), &same),
            Serving::Backoff(s) => step_to(s.elapsed(), &same),
            Serving::Recheck(s) => step_to(s.checked(checked), &same),
            Serving::Restore(s) => step_to(s.restored(), &|w| w.write(me, Point::Of(number))),
            Serving::Look(s) => {
                let mut world = self.clone();
                while !world.servers[&number].queue.is_empty() {
                    world.admit(number);
                }
                let server = world.servers.get_mut(&number).unwrap();
                server.step = Some(if server.gate.look(s.why()) { s.shut() } else { s.counted() }.into());
                next.push(world);
            }
            Serving::Withdraw(s) => step_to(s.withdrawn(), &|w| {
                if w.point == Point::Of(number) {
                    w.write(me, Point::Empty);
                }
            }),
            Serving::Close(s) => step_to(s.closed(), &|w| {
                let server = w.servers.get_mut(&number).unwrap();
                (server.listens, server.queue) = (false, Vec::new());
            }),
            Serving::Unlock(s) => step_to(s.unlocked(), &|w| w.lock = None),
            // The dialect has no life file.
            Serving::Reclaim(_) => unreachable!("the dialect has no life file to lose"),
            Serving::Drain(s) => step_to(s.drained(), &same),
            Serving::Release(s) => step_to(s.released(), &same),
            Serving::Done(_) => {
                let mut world = self.clone();
                world.kill(number);
                next.push(world);
            }
        }
    }

    fn admit(&mut self, number: u8) {
        let server = self.servers.get_mut(&number).unwrap();
        let client = server.queue.remove(0);
        if server.gate.admit() {
            server.inside.push(client);
            self.clients[client].served = true;
        }
    }

    fn faults(&self, next: &mut Vec<World>) {
        let mut fault = |change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            change(&mut world);
            next.push(world);
        };
        for (who, client) in self.clients.iter().enumerate() {
            if self.left.kill_client > 0 && client.step.as_ref().is_some_and(|step| !matches!(step, Step::Done(_))) {
                fault(&|w| {
                    (w.clients[who].step, w.clients[who].child) = (None, None);
                    w.left.kill_client -= 1;
                    if w.lock == Some(Who::Client(who)) {
                        w.lock = None;
                    }
                });
            }
        }
        for (number, server) in &self.servers {
            if self.left.kill_server > 0 && server.step.is_some() {
                fault(&|w| {
                    w.kill(*number);
                    w.left.kill_server -= 1;
                });
            }
        }
        if self.left.damage > 0 {
            for point in [Point::Empty, Point::Damaged] {
                fault(&|w| (w.point, w.left.damage) = (point, w.left.damage - 1));
            }
        }
    }

    /// Returns the number of servers that are registered and serve.
    fn serving(&self) -> usize {
        self.servers.values().filter(|server| server.registered && server.gate.is_open()).count()
    }

    /// Returns whether a client is connected in its own view, but no server will ever count it.
    fn lost(&self) -> bool {
        self.clients.iter().enumerate().any(|(who, client)| match &client.step {
            Some(Step::Done(Done::Connected(record))) => {
                !client.served && !self.server(record).is_some_and(|server| server.queue.contains(&who))
            }
            _ => false,
        })
    }

    fn is_over(&self) -> bool {
        self.clients.iter().all(|client| matches!(client.step, None | Some(Step::Done(_))))
    }

    /// Asserts what must hold in every state.
    fn check(&self) {
        for (who, client) in self.clients.iter().enumerate() {
            let Some(step) = &client.step else { continue };
            let holds = step.holds();
            let locked = self.lock == Some(Who::Client(who));
            assert_eq!((holds.lock, holds.child), (locked, client.child.is_some()), "at {}: {self:#?}", step.name());
        }
        for (number, server) in &self.servers {
            let locked = self.lock == Some(Who::Server(*number));
            assert!(server.step.as_ref().is_none_or(|step| step.holds_lock() == locked), "{self:#?}");
        }
    }
}

/// What the walk has seen in any state.
#[derive(Default, PartialEq, Eq, Debug)]
struct Seen {
    most_serving: usize,
    lost: bool,
    ends: std::collections::BTreeSet<&'static str>,
}

/// Walks everything that may happen, and asserts that each live client can end from every state.
fn walk(first: World) -> Seen {
    let mut ids = HashMap::from([(first.clone(), 0)]);
    let mut open = VecDeque::from([first]);
    let (mut before, mut over, mut seen) = (vec![Vec::new()], Vec::new(), Seen::default());
    while let Some(world) = open.pop_front() {
        world.check();
        let id = ids[&world];
        assert!(ids.len() < 600_000, "the walk does not end");
        seen.most_serving = seen.most_serving.max(world.serving());
        seen.lost |= world.lost();
        over.extend(world.is_over().then_some(id));
        for client in &world.clients {
            if let Some(Step::Done(done)) = &client.step {
                seen.ends.insert(match done {
                    Done::Connected(_) => "Connected",
                    Done::Live(_) => "Live",
                    Done::Start | Done::Internal => "Start",
                    Done::Absent => "Absent",
                    _ => "Failed",
                });
            }
        }
        for next in world.next() {
            let fresh = ids.len();
            let to = *ids.entry(next.clone()).or_insert(fresh);
            if to == fresh {
                before.push(Vec::new());
                open.push_back(next);
            }
            before[to].push(id);
        }
    }
    let mut ends = vec![false; before.len()];
    while let Some(id) = over.pop() {
        if !std::mem::replace(&mut ends[id], true) {
            over.extend(&before[id]);
        }
    }
    assert!(ends.iter().all(|ends| *ends), "a client can wait forever");
    seen
}

fn ends(names: &[&'static str]) -> std::collections::BTreeSet<&'static str> {
    names.iter().copied().collect()
}

#[test]
fn dialect_clients_at_once_share_one_server_and_none_is_lost() {
    for point in [Point::Empty, Point::Damaged] {
        let left = Faults { idle: 2, requested: 1, ..Faults::default() };
        let seen = walk(World::new(&[EXTERNAL; 2], point, left));
        assert_eq!(seen, Seen { most_serving: 1, ends: ends(&["Connected"]), ..Seen::default() });
    }
}

#[test]
fn killed_dialect_processes_leave_no_second_server_and_no_lock() {
    let left = Faults { kill_client: 1, kill_server: 1, idle: 1, ..Faults::default() };
    let seen = walk(World::new(&[EXTERNAL; 2], Point::Empty, left));
    assert_eq!((seen.most_serving, seen.ends), (1, ends(&["Connected", "Failed"])));
    assert!(seen.lost, "a client whose server was killed after the cookie does not learn of it");
}

#[test]
fn killing_a_dialect_client_takes_the_server_from_no_other_client() {
    let left = Faults { kill_client: 2, idle: 1, ..Faults::default() };
    let seen = walk(World::new(&[EXTERNAL; 2], Point::Empty, left));
    assert_eq!((seen.most_serving, seen.lost, seen.ends), (1, false, ends(&["Connected"])));
}

#[test]
fn a_dialect_server_by_hand_and_a_client_at_once_make_one_server() {
    let seen = walk(World::new(&[EXTERNAL, Goal::Serve], Point::Empty, Faults { idle: 1, ..Faults::default() }));
    assert_eq!((seen.most_serving, seen.lost, seen.ends), (1, false, ends(&["Connected", "Live", "Start"])));
}

#[test]
fn a_dialect_client_that_joins_starts_no_server() {
    let left = Faults { kill_server: 1, ..Faults::default() };
    let alone = walk(World::new(&[Goal::Join], Point::Empty, left));
    assert_eq!((alone.most_serving, alone.ends), (0, ends(&["Absent"])));
    let both = walk(World::new(&[EXTERNAL, Goal::Join], Point::Empty, left));
    assert_eq!((both.most_serving, both.ends), (1, ends(&["Absent", "Connected", "Failed"])));
}

#[test]
fn silence_starts_no_second_server_of_the_dialect() {
    let seen = walk(World::new(&[EXTERNAL; 2], Point::Empty, Faults { silence: 2, ..Faults::default() }));
    assert_eq!(seen, Seen { most_serving: 1, ends: ends(&["Connected"]), ..Seen::default() });
}

#[test]
fn the_dialect_may_have_two_servers_after_the_point_is_damaged() {
    let seen = walk(World::new(&[EXTERNAL; 2], Point::Empty, Faults { damage: 1, ..Faults::default() }));
    assert_eq!((seen.most_serving, seen.ends), (2, ends(&["Connected"])));
}

#[test]
fn a_dialect_server_that_fails_is_an_error_and_leaves_nothing() {
    let seen = walk(World::new(&[EXTERNAL; 2], Point::Empty, Faults { fail: 1, ..Faults::default() }));
    assert_eq!((seen.most_serving, seen.lost, seen.ends), (1, false, ends(&["Connected", "Failed"])));
}
