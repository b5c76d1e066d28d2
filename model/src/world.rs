//! What there is, and what everybody may do with it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::connect::{self, Goal, Policy, Versions};
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::handshake;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::proto::scope::{Place, Scope};
use rendezvous_ipc::proto::serve;
use rendezvous_ipc::proto::serving::Gate;

use crate::fault::Fault;

/// How much is explored: the spec's constants.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub clients: usize,
    pub slots: usize,
    /// What clients want.
    pub goals: Vec<Goal>,
    /// Which faults happen, and how many at most.
    pub faults: BTreeSet<Fault>,
    pub budget: u8,
    /// How many connects begin at most; 0: no limit.
    pub rounds: u8,
    /// Where the last client is, if it is not where the others are: servers listen at ports then.
    pub away: Option<Site>,
}

/// Where somebody may be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Site {
    Here,
    /// In another network namespace.
    There,
    /// In a network namespace of which it is not known which it is.
    Nowhere,
    /// Where another boot and another machine are seen, though the kernel is the same.
    Rebooted,
}

impl Site {
    pub const ALL: [Site; 4] = [Site::Here, Site::There, Site::Nowhere, Site::Rebooted];

    /// Its name in the spec.
    pub const fn name(self) -> &'static str {
        match self {
            Site::Here => "here",
            Site::There => "there",
            Site::Nowhere => "nowhere",
            Site::Rebooted => "rebooted",
        }
    }

    const fn scope(self) -> Scope {
        match self {
            Site::Here => HERE,
            Site::There => Scope { namespace: 2, ..HERE },
            Site::Nowhere => Scope { namespace: 0, ..HERE },
            Site::Rebooted => Scope { boot: [2; 16], machine: Some([2; 16]), ..HERE },
        }
    }
}

/// The goals and their names in the spec.
pub const GOALS: [(Goal, &str); 5] = [
    (Goal::Connect(Policy::External), "External"),
    (Goal::Connect(Policy::Internal), "Internal"),
    (Goal::Connect(Policy::Robust), "Robust"),
    (Goal::Serve, "Serve"),
    (Goal::Retire, "Retire"),
];

/// A client, or what may become a server: its process, its port and its cookie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Actor {
    Client(usize),
    Server(usize),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Client(c) => write!(f, "c{}", c + 1),
            Actor::Server(s) => write!(f, "s{}", s + 1),
        }
    }
}

/// The life file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Life {
    /// It is there, or nobody ever made it, and nobody has locked it.
    Free,
    /// It was removed.
    Absent,
    Held(usize),
}

impl Life {
    pub fn unheld(self) -> bool {
        !matches!(self, Life::Held(_))
    }
}

/// What is in a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Content {
    Empty,
    /// Half a record, or a flipped bit.
    Torn,
    /// The records of a newer format, of the other dialect, of another machine.
    Newer,
    Dialect,
    Foreign,
    /// The record of what is, or was, in this slot.
    Record(usize),
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Record(s) => Actor::Server(*s).fmt(f),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Where a client is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::large_enum_variant, reason = "most clients are at a step most of the time")]
pub enum At {
    Out,
    Step(connect::Step),
    /// How it ended.
    Over(&'static str),
}

impl At {
    /// Returns what the client holds of the point, as its step says.
    pub(crate) fn holds(&self) -> connect::Holds {
        match self {
            At::Step(step) => step.holds(),
            At::Out | At::Over(_) => connect::Holds::default(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Client {
    pub goal: Option<Goal>,
    pub at: At,
    /// The process that it started and that is not registered.
    pub child: Option<usize>,
    /// It found the lifetime lock free, and did not release the point lock since.
    pub free: bool,
    /// A start failed as *Robust* may fall back for.
    pub listed: bool,
    /// How often it dialled, while there was no fault.
    pub tries: u8,
}

/// The pipe of a spawned server's orders.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pipe {
    None,
    Open,
    /// *Registered* is in it.
    Reg,
    Eof,
    /// Somebody's fork keeps it open.
    Kept,
}

/// What a spawned server answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    None,
    Ready,
    Busy,
    Failed,
    Nonsense,
}

/// The server of a slot; where nobody is, all but a reply that was not read yet is as [`Server::free`] has it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Server {
    pub step: Option<serve::Step>,
    /// It was killed, and is not gone yet.
    pub dying: bool,
    pub hand: bool,
    pub pipe: Pipe,
    pub reply: Reply,
    /// Whoever dials it is connected: it listens, and nobody has removed its socket.
    pub listens: bool,
    pub registered: bool,
    pub gate: Gate,
    pub requested: bool,
    pub hung: bool,
    pub mute: bool,
    /// The stranger that took its port after it was gone.
    pub stranger: Option<Manner>,
    /// Where it was started: its record says so, and outlives it.
    pub from: Site,
    /// Which of the slot's cookies it knows; it outlives the process as long as anything refers to it.
    pub cookie: Secret,
}

/// What a stranger does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Manner {
    Silent,
    Liar,
}

/// A cookie: which slot it was drawn for, and the how manieth it is.
pub(crate) type Secret = (usize, u8);

impl Server {
    /// Nobody.
    pub fn free(cookie: Secret, from: Site) -> Self {
        Server {
            step: None,
            dying: false,
            hand: false,
            pipe: Pipe::None,
            reply: Reply::None,
            listens: false,
            registered: false,
            gate: Gate::new(),
            requested: false,
            hung: false,
            mute: false,
            stranger: None,
            from,
            cookie,
        }
    }

    pub fn is_free(&self) -> bool {
        self.step.is_none()
    }

    pub fn alive(&self) -> bool {
        self.step.is_some() && !self.dying
    }

    pub fn serving(&self) -> bool {
        self.alive() && self.gate.is_open()
    }
}

/// How far a handshake has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Said {
    Nothing,
    Hello,
    Proof,
    Proved,
    Welcome,
}

/// A client's connection.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Conn {
    pub to: usize,
    pub said: Said,
    /// The server hung up.
    pub eof: bool,
    /// The bytes that were sent last.
    pub bytes: Vec<u8>,
    /// What the server made of the hello.
    pub prove: Option<handshake::Prove>,
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub clients: Vec<Client>,
    pub servers: Vec<Server>,
    pub conns: Vec<Option<Conn>>,
    /// The two inodes that the point's path may lead to, who holds the lock of each, and which it is.
    pub files: [Content; 2],
    pub locks: [Option<Actor>; 2],
    pub current: usize,
    /// Who holds the lock of the life file, or that there is no such file.
    pub life: Life,
    pub stopped: BTreeSet<Actor>,
    /// How many faults may still happen, and how many did not.
    pub left: u8,
    pub calm: bool,
    pub clean: BTreeSet<usize>,
    pub rounds: u8,
    /// Where the last client is: it stays there.
    pub away: Option<Site>,
    /// Whether a fault may take the life file.
    pub life_may_go: bool,
}

/// Something that can happen: the spec's action, whose it is, what it is about, and the world after it.
#[derive(Clone, Debug)]
pub struct Move {
    pub action: &'static str,
    pub who: Option<Actor>,
    pub about: String,
    pub to: World,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(who) = self.who {
            write!(f, "{who} ")?;
        }
        f.write_str(self.action)?;
        if self.about.is_empty() { Ok(()) } else { write!(f, " {}", self.about) }
    }
}

/// Where all of this takes place.
const HERE: Scope = Scope { boot: [1; 16], namespace: 1, machine: Some([1; 16]) };
const ELSEWHERE: Scope = Scope { boot: [9; 16], namespace: 1, machine: Some([9; 16]) };

impl World {
    pub fn new(bounds: &Bounds) -> Self {
        World {
            clients: vec![Client::NEW; bounds.clients],
            servers: (0..bounds.slots).map(|s| Server::free((s, 0), Site::Here)).collect(),
            conns: vec![None; bounds.clients],
            files: [Content::Empty; 2],
            locks: [None; 2],
            current: 0,
            life: Life::Free,
            stopped: BTreeSet::new(),
            left: bounds.budget,
            calm: true,
            clean: BTreeSet::new(),
            rounds: bounds.rounds,
            away: bounds.away,
            life_may_go: bounds.faults.iter().any(|fault| fault.is_of_life()),
        }
    }

    /// Where a client is.
    pub fn site(&self, c: usize) -> Site {
        self.away.filter(|_| c + 1 == self.clients.len()).unwrap_or(Site::Here)
    }

    /// Looks at records from there. A home that is shared with another machine is modelled only where all are in one
    /// place: there a record may be foreign.
    pub(crate) fn place(&self, site: Site) -> Place {
        Place { scope: site.scope(), local: self.away.is_some() }
    }

    /// Whether a server at this address is found by those who read its record.
    pub(crate) fn is_found(&self, s: usize) -> bool {
        let record = self.record(s);
        self.away.is_none() || record.scope.places(&record.address)
    }

    /// All that can happen next.
    pub fn moves(&self, bounds: &Bounds) -> Vec<Move> {
        let mut moves = Moves { from: self, all: Vec::new() };
        for c in 0..self.clients.len() {
            self.begin(bounds, c, &mut moves);
            self.leave(c, &mut moves);
            self.client(bounds, c, &mut moves);
        }
        for s in 0..self.servers.len() {
            self.server(s, &mut moves);
            for c in 0..self.clients.len() {
                self.handshake(s, c, &mut moves);
            }
        }
        for &who in &self.stopped {
            moves.push("Continue", who, |world| {
                world.stopped.remove(&who);
            });
        }
        self.faults(bounds, &mut moves);
        moves.all
    }

    fn begin(&self, bounds: &Bounds, c: usize, moves: &mut Moves<'_>) {
        let limited = bounds.rounds > 0;
        if self.clients[c].at != At::Out || (limited && self.rounds == 0) {
            return;
        }
        for &goal in &bounds.goals {
            moves.about("Begin", Some(Actor::Client(c)), goal_name(goal).into(), |world| {
                world.clients[c].goal = Some(goal);
                world.clients[c].at = At::Step(connect::Step::new(goal, world.place(world.site(c)), Versions::ANY));
                if limited {
                    world.rounds -= 1;
                    world.clean.insert(c);
                }
            });
        }
    }

    /// Who is over goes, and closes its connection. It may begin again, as another.
    fn leave(&self, c: usize, moves: &mut Moves<'_>) {
        if matches!(self.clients[c].at, At::Over(_)) {
            moves.push("Leave", Actor::Client(c), |world| {
                world.hang_up(c);
                world.idle(c);
                world.clean.remove(&c);
            });
        }
    }

    /// The client is as new.
    pub(crate) fn idle(&mut self, c: usize) {
        self.clients[c] = Client::NEW;
    }

    /// The client ended; what it is connected to stays.
    pub(crate) fn over(&mut self, c: usize, how: &'static str) {
        let client = &mut self.clients[c];
        client.at = At::Over(how);
        client.child = None;
        client.free = false;
    }

    /// The client closes its connection, and is counted no more.
    pub(crate) fn hang_up(&mut self, c: usize) {
        if let Some(conn) = &self.conns[c]
            && self.counts(conn.to, c)
        {
            self.servers[conn.to].gate.leave();
        }
        self.conns[c] = None;
    }

    /// Whether the server counts this client.
    pub fn counts(&self, s: usize, c: usize) -> bool {
        let connects = matches!(self.clients[c].goal, Some(Goal::Connect(_)));
        let welcomed = |conn: &Conn| conn.to == s && conn.said == Said::Welcome && !conn.eof;
        connects && self.conns[c].as_ref().is_some_and(welcomed)
    }

    pub fn counted(&self, s: usize) -> usize {
        (0..self.clients.len()).filter(|&c| self.counts(s, c)).count()
    }

    /// The inode whose lock is held, if any; else the first.
    pub fn inode(&self, who: Actor) -> usize {
        usize::from(self.locks[1] == Some(who))
    }

    pub fn holds(&self, who: Actor) -> bool {
        self.locks.contains(&Some(who))
    }

    /// Writes to the file that is locked.
    pub(crate) fn write(&mut self, who: Actor, content: Content) {
        let inode = self.inode(who);
        self.files[inode] = content;
    }

    /// Unlocks the point, where it is held. What is unlocked and has no path is gone.
    pub(crate) fn let_go(&mut self, who: Actor) {
        if self.holds(who) {
            let inode = self.inode(who);
            self.locks[inode] = None;
            if inode != self.current {
                self.files[inode] = Content::Empty;
            }
        }
    }

    /// The record of a slot.
    pub fn record(&self, s: usize) -> Record {
        let Server { cookie, from, .. } = self.servers[s];
        Record { scope: from.scope(), ..record(s, cookie) }
    }

    /// What is read where this is written.
    pub(crate) fn found(&self, content: Content) -> Found {
        match content {
            Content::Empty => Found::Empty,
            Content::Torn => Found::read(&torn()),
            Content::Newer => Found::Newer { format: 2 },
            Content::Dialect => Found::OtherDialect,
            Content::Foreign => Found::Record(Record { scope: ELSEWHERE, ..record(99, (99, 0)) }),
            Content::Record(s) => Found::Record(self.record(s)),
        }
    }

    /// Whose record it is, unless the slot is another's by now.
    pub fn slot_of(&self, record: &Record) -> Option<usize> {
        let slot = usize::from(record.address.tcp()?.port() - PORT);
        (self.servers.get(slot)?.cookie == secret(&record.cookie)).then_some(slot)
    }

    /// Whether anything refers to what is, or was, in this slot. A suspect that is gone, with its record, is forgotten
    /// where nothing can bring it back: it can be met no more.
    pub fn refers(&self, bounds: &Bounds, s: usize) -> bool {
        self.met(s) || (bounds.faults.contains(&Fault::OldCopy) && self.left > 0 && self.suspected(s))
    }

    fn met(&self, s: usize) -> bool {
        self.files.contains(&Content::Record(s))
            || self.conns.iter().flatten().any(|conn| conn.to == s)
            || self.clients.iter().any(|client| {
                let dialled = client.facts().dialled;
                client.child == Some(s) || dialled.is_some_and(|record| self.slot_of(record) == Some(s))
            })
    }

    fn suspected(&self, s: usize) -> bool {
        let suspects = self.clients.iter().filter_map(|client| client.facts().suspect);
        suspects.into_iter().any(|record| self.slot_of(record) == Some(s))
    }

    /// The slot that is used next.
    pub(crate) fn unused(&self, bounds: &Bounds) -> usize {
        (0..self.servers.len())
            .find(|&s| self.servers[s].is_free() && !self.refers(bounds, s))
            .expect("there are enough slots")
    }

    /// A cookie that nothing refers to, for a server that is going to be in this slot.
    pub(crate) fn fresh(&self, s: usize) -> Secret {
        let in_use = |secret: &Secret| {
            self.servers.iter().any(|server| !server.is_free() && server.cookie == *secret)
                || self.clients.iter().any(|client| client.secrets().any(|known| known == *secret))
        };
        (0..).map(|count| (s, count)).find(|secret| !in_use(secret)).expect("no cookie is drawn 256 times")
    }

    /// Cookies that nothing refers to are all one.
    fn settle(&mut self) {
        for s in 0..self.servers.len() {
            if self.servers[s].is_free() && !self.met(s) && !self.suspected(s) {
                self.servers[s].cookie = self.fresh(s);
            }
        }
    }

    /// A server begins in this slot.
    pub(crate) fn enter(&mut self, s: usize, secret: Secret, starter: serve::Starter, from: Site) {
        let hand = starter == serve::Starter::Hand;
        self.servers[s] = Server {
            step: Some(serve::Step::new(starter)),
            hand,
            pipe: if hand { Pipe::None } else { Pipe::Open },
            ..Server::free(secret, from)
        };
    }

    /// Nobody asks what became of it any more.
    pub(crate) fn forget(&mut self, s: usize) {
        let Server { stranger, cookie, from, .. } = self.servers[s];
        self.servers[s] = Server { stranger, ..Server::free(cookie, from) };
    }

    /// The process is gone. What it said is still in the pipe, if somebody reads it.
    pub(crate) fn gone(&mut self, s: usize, reply: Reply) {
        let heard = self.clients.iter().any(|client| client.child == Some(s));
        self.forget(s);
        self.servers[s].reply = if heard { reply } else { Reply::None };
    }

    /// Its sockets are closed by the system.
    pub(crate) fn closed(&mut self, s: usize) {
        for c in 0..self.clients.len() {
            match &mut self.conns[c] {
                Some(conn) if conn.to == s && matches!(self.clients[c].at, At::Over(_)) => self.conns[c] = None,
                Some(conn) if conn.to == s => conn.eof = true,
                _ => {}
            }
        }
    }

    pub(crate) fn serving_step(&self, s: usize) -> Option<&serve::Step> {
        let server = &self.servers[s];
        server.step.as_ref().filter(|_| !server.dying && !self.stopped.contains(&Actor::Server(s)))
    }
}

impl Client {
    const NEW: Client = Client { goal: None, at: At::Out, child: None, free: false, listed: false, tries: 0 };

    pub fn facts(&self) -> connect::Facts<'_> {
        match &self.at {
            At::Step(step) => step.facts(),
            At::Out | At::Over(_) => connect::Facts::default(),
        }
    }

    /// The cookies that it remembers of what it cannot reach, and the one that it drew.
    fn secrets(&self) -> impl Iterator<Item = Secret> {
        let drawn = match &self.at {
            At::Step(connect::Step::Spawn(spawn)) => Some(spawn.cookie()),
            _ => None,
        };
        self.facts().suspect.map(|record| &record.cookie).into_iter().chain(drawn).map(secret)
    }
}

/// The name of a goal in the spec.
pub fn goal_name(goal: Goal) -> &'static str {
    GOALS.into_iter().find(|(known, _)| *known == goal).map_or("None", |(_, name)| name)
}

const PORT: u16 = 4000;

fn record(s: usize, secret: Secret) -> Record {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT + s as u16));
    Record {
        scope: HERE,
        address: Address::new(address).expect("a loopback address"),
        cookie: cookie(secret),
        pid: 100 + s as u32,
        started: 1,
        version: 0,
    }
}

/// A record whose port lost a digit, so that only the checksum tells.
fn torn() -> Vec<u8> {
    let line = record(0, (0, 0)).line();
    let port = format!(":{PORT}");
    let at = line.windows(port.len()).position(|bytes| bytes == port.as_bytes()).expect("a record has its port");
    let end = at + port.len();
    [&line[..end - 1], &line[end..]].concat()
}

pub(crate) fn cookie(secret: Secret) -> Cookie {
    Cookie::new(secret_bytes(secret))
}

/// The random bytes of which that cookie is drawn.
pub(crate) fn drawn(secret: Secret) -> Random {
    Random::drawn(secret_bytes(secret))
}

fn secret_bytes((slot, count): Secret) -> [u8; Random::LEN] {
    let mut bytes = [7; Random::LEN];
    (bytes[0], bytes[1]) = (slot as u8, count);
    bytes
}

pub(crate) fn secret(cookie: &Cookie) -> Secret {
    let bytes = cookie.expose();
    (bytes[0].into(), bytes[1])
}

/// Collects what can happen.
pub(crate) struct Moves<'a> {
    pub(crate) from: &'a World,
    pub(crate) all: Vec<Move>,
}

impl Moves<'_> {
    pub(crate) fn push(&mut self, action: &'static str, who: Actor, change: impl FnOnce(&mut World)) {
        self.about(action, Some(who), String::new(), change);
    }

    pub(crate) fn about(
        &mut self,
        action: &'static str,
        who: Option<Actor>,
        about: String,
        change: impl FnOnce(&mut World),
    ) {
        let mut to = self.from.clone();
        change(&mut to);
        to.settle();
        self.all.push(Move { action, who, about, to });
    }
}
