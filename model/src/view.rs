//! Maps a world to the variables of the spec.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use rendezvous_ipc::proto::connect::Row;
use rendezvous_ipc::proto::serving::Retire;

use crate::world::{Actor, At, Client, Conn, Life, Manner, Pipe, Reply, Sent, Server, World, goal_name};

impl World {
    /// Returns each variable of the spec, split into single values, with its value as TLC writes it: `c1 pc` is `Read`.
    pub fn view(&self) -> View {
        let mut view = View(BTreeMap::new());
        for (c, client) in self.clients.iter().enumerate() {
            self.view_client(Actor::Client(c), client, &mut view);
            view_conn(Actor::Client(c), self.conns[c].as_ref(), &mut view);
            view.set(format!("tries c{}", c + 1), client.tries);
        }
        for (s, server) in self.servers.iter().enumerate() {
            view_server(Actor::Server(s), server, &mut view);
        }
        for inode in 0..2 {
            view.set(format!("file {inode}"), self.files[inode]);
            view.set(format!("plock {inode}"), who(self.locks[inode]));
        }
        view.set("cur".into(), self.current);
        let life = match self.life {
            Life::Free => NONE.into(),
            Life::Absent => "absent".into(),
            Life::Held(s) => Actor::Server(s).to_string(),
        };
        view.set("life".into(), life);
        view.set("stopped".into(), set(self.stopped.iter().copied()));
        view.set("left".into(), self.left);
        view.set("clean".into(), set(self.clean.iter().map(|&c| Actor::Client(c))));
        view.set("rounds".into(), self.rounds);
        // The handshake's messages are the real ones. The tests of `proto::handshake` show that none carries the
        // cookie.
        view.set("leaked".into(), "{}");
        view
    }

    fn view_client(&self, me: Actor, client: &Client, view: &mut View) {
        let facts = client.facts();
        let slot = |record| who(self.slot_of(record).map(Actor::Server));
        let (pc, out) = match &client.at {
            At::Out => ("Out", ""),
            At::Step(step) => (step.name(), ""),
            At::Over(out) => ("Done", *out),
        };
        let row = match facts.row {
            None => "",
            Some(Row::Nothing) => "Nothing",
            Some(Row::Newer) => "Newer",
            Some(Row::OtherDialect) => "Dialect",
            Some(Row::Foreign) => "Foreign",
            Some(Row::Apart) => "Apart",
            Some(Row::Doubtful) => "Doubtful",
            Some(Row::Suspected) => "Suspected",
            Some(Row::Replaced) => "Replaced",
            // The spec does not have this row.
            Some(Row::Fresh) => "?",
        };
        let mut set = |field: &str, value: &dyn fmt::Display| view.set(format!("{me} {field}"), value);
        set("pc", &pc);
        set("goal", &client.goal.map_or("None", goal_name));
        set("suspect", &facts.suspect.map_or(NONE.into(), slot));
        // A sequence of one at most: if it is empty, it has no value.
        if let Some(record) = facts.replaced {
            set("asked 1", &slot(record));
        }
        set("dials", &facts.dials);
        set("starts", &facts.starts);
        set("rec", &facts.dialled.map_or(NONE.into(), slot));
        set("how", &if facts.how.is_empty() { "Free" } else { facts.how });
        set("again", &truth(facts.again));
        set("waited", &truth(facts.waited));
        set("row", &row);
        set("then", &facts.then);
        set("child", &who(client.child.map(Actor::Server)));
        set("free", &truth(client.free));
        set("listed", &truth(client.listed));
        set("out", &out);
    }
}

fn view_conn(me: Actor, conn: Option<&Conn>, view: &mut View) {
    let sent = conn.map_or("none", |conn| match conn.sent {
        Sent::Nothing => "open",
        Sent::Hello => "hello",
        Sent::Proof => "proof",
        Sent::Proved => "proved",
        Sent::Welcome => "welcome",
        Sent::Full => "full",
    });
    view.set(format!("conn {me} to"), who(conn.map(|conn| Actor::Server(conn.to))));
    view.set(format!("conn {me} st"), sent);
    view.set(format!("conn {me} eof"), truth(conn.is_some_and(|conn| conn.eof)));
}

fn view_server(me: Actor, server: &Server, view: &mut View) {
    let pc = match &server.step {
        None => "Free",
        Some(_) if server.dying => "Dying",
        Some(step) => step.name(),
    };
    let facts = server.step.as_ref().map(|step| step.facts()).unwrap_or_default();
    let why = match facts.why {
        None => "",
        Some(Retire::Idle) => "Idle",
        Some(Retire::Requested) => "Requested",
        Some(Retire::Lost) => "Lost",
    };
    let pipe = match server.pipe {
        Pipe::None => "none",
        Pipe::Open => "open",
        Pipe::Reg => "reg",
        Pipe::Eof => "eof",
        Pipe::Kept => "kept",
    };
    let reply = match server.reply {
        Reply::None => "",
        Reply::Ready => "Ready",
        Reply::Busy => "Busy",
        Reply::Failed => "Failed",
        Reply::Nonsense => "Nonsense",
    };
    let port = match server.stranger {
        None => "none",
        Some(Manner::Silent) => "silent",
        Some(Manner::Liar) => "liar",
        Some(Manner::Original) => "original",
    };
    view.set(format!("port {me}"), port);
    view.set(format!("from {me}"), server.from.name());
    let mut set = |field: &str, value: &dyn fmt::Display| view.set(format!("{me} {field}"), value);
    set("pc", &pc);
    set("hand", &truth(server.hand));
    set("pipe", &pipe);
    set("reply", &reply);
    set("listen", &truth(server.listens));
    set("reg", &truth(server.registered));
    set("open", &truth(server.gate.is_open()));
    set("requested", &truth(server.requested));
    set("why", &why);
    set("held", &truth(facts.held));
    set("purpose", &facts.purpose);
    set("then", &facts.then);
    set("hung", &truth(server.hung));
    set("mute", &truth(server.mute));
}

const NONE: &str = "none";

fn who(actor: Option<Actor>) -> String {
    actor.map_or(NONE.into(), |actor| actor.to_string())
}

fn truth(value: bool) -> &'static str {
    if value { "TRUE" } else { "FALSE" }
}

fn set(actors: impl Iterator<Item = Actor>) -> String {
    let names: Vec<String> = actors.map(|actor| actor.to_string()).collect();
    format!("{{{}}}", names.join(", "))
}

/// A state of the spec, split into single values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View(pub BTreeMap<String, String>);

impl View {
    fn set(&mut self, path: String, value: impl fmt::Display) {
        self.0.insert(path, value.to_string());
    }

    /// Returns the changes from this view to the other.
    pub fn changes(&self, after: &View) -> Vec<String> {
        self.changed(after).map(|(path, change)| format!("{path}: {change}")).collect()
    }

    pub(crate) fn changed<'a>(&'a self, after: &'a View) -> impl Iterator<Item = (&'a str, String)> {
        let changed = after.0.iter().filter(|(path, value)| self.0.get(*path) != Some(value));
        changed.map(|(path, value)| {
            let before = self.0.get(path).map_or("", String::as_str);
            (path.as_str(), format!("{} → {}", shown(before), shown(value)))
        })
    }
}

/// Returns a value as it is displayed: a dash if it is empty.
pub(crate) fn shown(value: &str) -> &str {
    if value.is_empty() { "–" } else { value }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (path, value)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{path} = {value}")?;
        }
        Ok(())
    }
}
