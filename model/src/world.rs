//! The state of the model world, and the moves that are possible in it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::connect::{self, Goal, Older, Policy, Versions};
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::handshake;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::proto::scope::{Place, Scope};
use rendezvous_ipc::proto::serve;
use rendezvous_ipc::proto::serving::{Gate, WhenLost};

use crate::fault::Fault;

/// The bounds of an exploration: the spec's constants.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub clients: usize,
    pub slots: usize,
    /// The goals that clients may have.
    pub goals: Vec<Goal>,
    /// The kinds of fault that may happen; `budget` limits their number.
    pub faults: BTreeSet<Fault>,
    pub budget: u8,
    /// The highest number of connects; 0 means no limit.
    pub rounds: u8,
    /// The site of the last client, if it differs from the others'. Servers listen at ports then.
    pub away: Option<Site>,
    /// What clients do with servers of an older version, if the first client and the first half of the slots are of one.
    pub older: Option<Older>,
    /// What a server does with its sessions whose life file another has.
    pub when_lost: WhenLost,
}

/// The place of a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Site {
    Here,
    /// In another network namespace.
    There,
    /// In an unknown network namespace.
    Nowhere,
    /// With other boot and machine identifiers, though on the same kernel.
    Rebooted,
}

impl Site {
    pub const ALL: [Site; 4] = [Site::Here, Site::There, Site::Nowhere, Site::Rebooted];

    /// Returns the name of the site in the spec.
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
pub const GOALS: [(Goal, &str); 6] = [
    (Goal::Connect(Policy::External), "External"),
    (Goal::Connect(Policy::Internal), "Internal"),
    (Goal::Connect(Policy::Robust), "Robust"),
    (Goal::Serve, "Serve"),
    (Goal::Retire, "Retire"),
    (Goal::Join, "Join"),
];

/// A client, or a slot for a server: its process, its port and its cookie.
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
    /// The file exists or was never made, and no process has locked it.
    Free,
    /// The file was removed.
    Absent,
    Held(usize),
}

impl Life {
    pub fn unheld(self) -> bool {
        !matches!(self, Life::Held(_))
    }
}

/// The content of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Content {
    Empty,
    /// Half a record, or a flipped bit.
    Torn,
    /// The records of a newer format, of the other dialect, of another machine.
    Newer,
    Dialect,
    Foreign,
    /// The record of the server that is, or was, in this slot.
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

/// The state of a client's connect.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::large_enum_variant, reason = "most clients are at a step most of the time")]
pub enum At {
    Out,
    Step(connect::Step),
    /// Ended, with the name of the end.
    Over(&'static str),
}

impl At {
    /// Returns what the client holds at its step.
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
    /// The process that the client started and has not registered.
    pub child: Option<usize>,
    /// The client found the lifetime lock free, and has not released the point lock since.
    pub free: bool,
    /// A start failed in a way for which *Robust* falls back to a thread.
    pub listed: bool,
    /// The number of dials since the last fault; counted only if there was none.
    pub tries: u8,
}

/// The pipe of a spawned server's orders.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pipe {
    None,
    Open,
    /// The pipe contains *registered*.
    Reg,
    Eof,
    /// A forked process keeps the pipe open.
    Kept,
}

/// The reply of a spawned server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    None,
    Ready,
    Busy,
    Failed,
    Nonsense,
}

/// The server of a slot. An empty slot equals [`Server::free`], except for a reply that was not read yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Server {
    pub step: Option<serve::Step>,
    /// The process was killed, but has not ended yet.
    pub dying: bool,
    pub hand: bool,
    pub pipe: Pipe,
    pub reply: Reply,
    /// A dial connects: the server listens, and its socket was not removed.
    pub listens: bool,
    pub registered: bool,
    pub gate: Gate,
    pub requested: bool,
    pub hung: bool,
    pub mute: bool,
    /// The stranger that took the port after the server's end.
    pub stranger: Option<Manner>,
    /// The site at which the server was started. It stands in the record, which outlives the server.
    pub from: Site,
    /// The server's cookie. It outlives the process as long as anything refers to it.
    pub cookie: Secret,
}

/// The behaviour of a stranger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Manner {
    Silent,
    Liar,
    /// The server of another point, from which the record was copied.
    Original,
}

/// A cookie: its slot, and its number among the slot's cookies.
pub(crate) type Secret = (usize, u8);

impl Server {
    /// Returns an empty slot.
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

/// The last message of a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sent {
    Nothing,
    Hello,
    Proof,
    Proved,
    Welcome,
    Full,
}

/// A client's connection.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Conn {
    pub to: usize,
    pub sent: Sent,
    /// The server closed the connection.
    pub eof: bool,
    /// The bytes that were sent last.
    pub bytes: Vec<u8>,
    /// The server's state after the hello.
    pub prove: Option<handshake::Prove>,
}

/// A state of the model: clients, servers, connections and files.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub clients: Vec<Client>,
    pub servers: Vec<Server>,
    pub conns: Vec<Option<Conn>>,
    /// The content of the two inodes that the point's path may lead to, the holder of each one's lock, and the inode
    /// that the path leads to.
    pub files: [Content; 2],
    pub locks: [Option<Actor>; 2],
    pub current: usize,
    /// The life file, and the holder of its lock.
    pub life: Life,
    pub stopped: BTreeSet<Actor>,
    /// The number of faults that may still happen, and that of all.
    pub left: u8,
    pub budget: u8,
    pub clean: BTreeSet<usize>,
    pub rounds: u8,
    /// The site of the last client, which does not change.
    pub away: Option<Site>,
    /// What clients do with older servers, if there are any. It does not change.
    pub older: Option<Older>,
    /// What the service wants, which does not change.
    pub when_lost: WhenLost,
    /// Whether a fault may remove or replace the life file; whether another may hide a live server then; and whether faults
    /// may delete the point and put a copy back. None changes.
    pub life_may_go: bool,
    pub may_hide: bool,
    pub may_revive: bool,
}

/// A possible move: the spec's action, its actor, its argument, and the world after it.
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

/// The scope of [`Site::Here`].
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
            budget: bounds.budget,
            clean: BTreeSet::new(),
            rounds: bounds.rounds,
            away: bounds.away,
            older: bounds.older,
            when_lost: bounds.when_lost,
            life_may_go: bounds.faults.iter().any(|fault| fault.is_of_life()),
            may_hide: bounds.faults.iter().any(|fault| fault.hides()),
            may_revive: [Fault::Deleted, Fault::OldCopy].iter().all(|fault| bounds.faults.contains(fault)),
        }
    }

    /// Returns whether no fault has happened.
    pub fn calm(&self) -> bool {
        self.left == self.budget
    }

    /// Returns whether as many faults have happened.
    pub fn befell(&self, faults: u8) -> bool {
        self.left + faults <= self.budget
    }

    /// Returns the place of a client.
    pub fn site(&self, c: usize) -> Site {
        self.away.filter(|_| c + 1 == self.clients.len()).unwrap_or(Site::Here)
    }

    /// Returns whether the client is of an older version.
    pub fn is_old_client(&self, c: usize) -> bool {
        self.older.is_some() && c == 0
    }

    /// Returns whether the servers of this slot are of an older version.
    pub fn is_old(&self, s: usize) -> bool {
        self.older.is_some() && s < self.servers.len() / 2
    }

    /// Returns the versions of a client. Its own is that of the servers that it starts.
    fn versions(&self, c: usize) -> Versions {
        match self.older {
            None => Versions::ANY,
            Some(older) => Versions { ours: if self.is_old_client(c) { 1 } else { 2 }, older, ..Versions::ANY },
        }
    }

    /// Returns the place from which a process at this site reads records. A home that is shared with other machines is
    /// modelled only if all processes are at one site; a record may be foreign there.
    pub(crate) fn place(&self, site: Site) -> Place {
        Place { scope: site.scope(), local: self.away.is_some() }
    }

    /// Returns whether clients that read the server's record can reach its address.
    pub(crate) fn is_found(&self, s: usize) -> bool {
        let record = self.record(s);
        self.away.is_none() || record.scope.places(&record.address)
    }

    /// Returns all moves that are possible in this world.
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
                world.clients[c].at = At::Step(connect::Step::new(goal, world.versions(c)));
                if limited {
                    world.rounds -= 1;
                    world.clean.insert(c);
                }
            });
        }
    }

    /// A client that has ended closes its connection and leaves. Another client may begin in its place.
    fn leave(&self, c: usize, moves: &mut Moves<'_>) {
        if matches!(self.clients[c].at, At::Over(_)) {
            moves.push("Leave", Actor::Client(c), |world| {
                world.disconnect(c);
                world.idle(c);
                world.clean.remove(&c);
            });
        }
    }

    /// Resets the client to its initial state.
    pub(crate) fn idle(&mut self, c: usize) {
        self.clients[c] = Client::NEW;
    }

    /// Ends the client's connect. Its connection stays open.
    pub(crate) fn over(&mut self, c: usize, how: &'static str) {
        let client = &mut self.clients[c];
        client.at = At::Over(how);
        client.child = None;
        client.free = false;
    }

    /// Closes the client's connection. The server no longer counts the client.
    pub(crate) fn disconnect(&mut self, c: usize) {
        if let Some(conn) = &self.conns[c]
            && self.counts(conn.to, c)
        {
            self.servers[conn.to].gate.leave();
        }
        self.conns[c] = None;
    }

    /// Returns whether the server counts this client.
    pub fn counts(&self, s: usize, c: usize) -> bool {
        let connects = matches!(self.clients[c].goal, Some(Goal::Connect(_) | Goal::Join)) && !self.replaces(c);
        let welcomed = |conn: &Conn| conn.to == s && conn.sent == Sent::Welcome && !conn.eof;
        connects && self.conns[c].as_ref().is_some_and(welcomed)
    }

    /// Returns whether the client asks an older server to retire.
    fn replaces(&self, c: usize) -> bool {
        matches!(&self.clients[c].at, At::Step(connect::Step::Welcome(welcome)) if welcome.replaces())
    }

    pub fn counted(&self, s: usize) -> usize {
        (0..self.clients.len()).filter(|&c| self.counts(s, c)).count()
    }

    /// Returns the inode whose lock the actor holds, or the first if it holds none.
    pub fn inode(&self, who: Actor) -> usize {
        usize::from(self.locks[1] == Some(who))
    }

    pub fn holds(&self, who: Actor) -> bool {
        self.locks.contains(&Some(who))
    }

    /// Writes to the file that the actor has locked.
    pub(crate) fn write(&mut self, who: Actor, content: Content) {
        let inode = self.inode(who);
        self.files[inode] = content;
    }

    /// Unlocks the point if the actor holds its lock. A file without a path is gone once it is unlocked.
    pub(crate) fn unlock(&mut self, who: Actor) {
        if self.holds(who) {
            let inode = self.inode(who);
            self.locks[inode] = None;
            if inode != self.current {
                self.files[inode] = Content::Empty;
            }
        }
    }

    /// Returns the record of a slot.
    pub fn record(&self, s: usize) -> Record {
        let Server { cookie, from, .. } = self.servers[s];
        let version = match self.older {
            None => 0,
            Some(_) => {
                if self.is_old(s) {
                    1
                } else {
                    2
                }
            }
        };
        Record { scope: from.scope(), version, ..record(s, cookie) }
    }

    /// Returns what a reader finds in a file with this content.
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

    /// Returns the slot of a record, unless another server has taken the slot since.
    pub fn slot_of(&self, record: &Record) -> Option<usize> {
        let slot = usize::from(record.address.tcp()?.port() - PORT);
        (self.servers.get(slot)?.cookie == secret(&record.cookie)).then_some(slot)
    }

    /// Returns whether anything refers to the server that is, or was, in this slot. A suspect that is gone does not
    /// count if no fault can put its record back: no client can meet it again.
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

    /// Returns whether a client has asked the server of this slot to retire, and remembers it.
    fn asked(&self, s: usize) -> bool {
        let asked = self.clients.iter().filter_map(|client| client.facts().replaced);
        asked.into_iter().any(|record| self.slot_of(record) == Some(s))
    }

    /// Returns the slot for the next server. `c` is the client that starts it, if any.
    pub(crate) fn unused(&self, bounds: &Bounds, c: Option<usize>) -> usize {
        (0..self.servers.len())
            .filter(|&s| c.is_none_or(|c| self.is_old(s) == self.is_old_client(c)))
            .find(|&s| self.servers[s].is_free() && !self.refers(bounds, s))
            .expect("there are enough slots")
    }

    /// Returns a cookie that nothing refers to, for the next server of this slot.
    pub(crate) fn fresh(&self, s: usize) -> Secret {
        let in_use = |secret: &Secret| {
            (0..self.servers.len())
                .any(|s| self.servers[s].cookie == *secret && (!self.servers[s].is_free() || self.met(s)))
                || self.clients.iter().any(|client| client.secrets().any(|known| known == *secret))
        };
        (0..).map(|count| (s, count)).find(|secret| !in_use(secret)).expect("no cookie is drawn 256 times")
    }

    /// Makes all cookies that nothing refers to equal, so that equal states are found equal.
    fn settle(&mut self) {
        for s in 0..self.servers.len() {
            if self.servers[s].is_free() && !self.met(s) && !self.suspected(s) && !self.asked(s) {
                self.servers[s].cookie = self.fresh(s);
            }
        }
    }

    /// Starts a server in this slot.
    pub(crate) fn enter(&mut self, s: usize, secret: Secret, starter: serve::Starter, from: Site) {
        let hand = starter == serve::Starter::Hand;
        self.servers[s] = Server {
            step: Some(serve::Step::new(starter)),
            hand,
            pipe: if hand { Pipe::None } else { Pipe::Open },
            ..Server::free(secret, from)
        };
    }

    /// Empties the slot, including an unread reply.
    pub(crate) fn forget(&mut self, s: usize) {
        let Server { stranger, cookie, from, .. } = self.servers[s];
        self.servers[s] = Server { stranger, ..Server::free(cookie, from) };
    }

    /// Ends the server's process. Its reply stays in the pipe if its spawner still reads from it.
    pub(crate) fn gone(&mut self, s: usize, reply: Reply) {
        let is_read = self.clients.iter().any(|client| client.child == Some(s));
        self.forget(s);
        self.servers[s].reply = if is_read { reply } else { Reply::None };
    }

    /// Closes the server's sockets, as the system does at the end of a process.
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

    /// Returns the cookies of the client's suspect, of the server that it asked to retire and of the one that it dials, and
    /// the one that it drew.
    fn secrets(&self) -> impl Iterator<Item = Secret> {
        let drawn = match &self.at {
            At::Step(connect::Step::Spawn(spawn)) => Some(spawn.cookie()),
            _ => None,
        };
        let facts = self.facts();
        let known = facts.suspect.into_iter().chain(facts.replaced).chain(facts.dialled).map(|record| &record.cookie);
        known.chain(drawn).map(secret)
    }
}

/// Returns the name of a goal in the spec.
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

/// Returns a record whose port lacks a digit, so that only the checksum detects it.
fn torn() -> Vec<u8> {
    let line = record(0, (0, 0)).line();
    let port = format!(":{PORT}");
    let at = line.windows(port.len()).position(|bytes| bytes == port.as_bytes()).expect("a record contains its port");
    let end = at + port.len();
    [&line[..end - 1], &line[end..]].concat()
}

pub(crate) fn cookie(secret: Secret) -> Cookie {
    Cookie::new(secret_bytes(secret))
}

/// Returns the random bytes from which the cookie is made.
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

/// Collects the moves that are possible in a world.
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
