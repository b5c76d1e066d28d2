//! A log, and what it says as actions of the spec.
//!
//! A line tells a step before it is done; so it was done before the next line of the same actor was written. The order
//! of the lines is the order in which they were written, whoever wrote them.

use std::collections::BTreeMap;

use crate::tlc::Result;

/// `p1 connect Dial record=p2`: who, in which role, what, and what was seen.
pub struct Line<'a> {
    /// Its place in the log.
    pub at: usize,
    pub who: &'a str,
    pub role: &'a str,
    pub what: String,
    fields: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    fn read(at: usize, text: &'a str) -> Result<Self> {
        let mut words = text.split(' ');
        let (Some(first), Some(second), rest) = (words.next(), words.next(), words) else {
            return Err(format!("line {}: too short: {text}", at + 1).into());
        };
        let (named, plain): (Vec<&str>, Vec<&str>) = rest.partition(|word| word.contains('='));
        let fields: BTreeMap<_, _> = named.iter().filter_map(|word| word.split_once('=')).collect();
        let who = |fields: &BTreeMap<_, &'a str>| fields.get("who").copied().unwrap_or("");
        Ok(match first {
            // `world kill who=p1`, `world old copy of=p1`
            "world" => {
                let what = [&[second], &plain[..]].concat().join(" ");
                Line { at, who: who(&fields), role: "world", what, fields }
            }
            first => Line { at, who: first, role: second, what: plain.join(" "), fields },
        })
    }

    fn field(&self, name: &str) -> &'a str {
        self.fields.get(name).copied().unwrap_or("")
    }

    fn is(&self, role: &str, who: &str) -> bool {
        self.role == role && self.who == who
    }
}

/// One action of the spec.
#[derive(Clone, Debug)]
pub struct Event {
    pub does: &'static str,
    pub who: String,
    pub at: String,
    pub to: String,
    pub of: String,
    pub is: String,
    /// Somebody was stopped during the dial that this step is of.
    pub late: bool,
    /// The actor and the number of its events after which this is of no consequence.
    pub over: (usize, usize),
    /// The line that told it, the one after which it was done, and the one before which.
    pub told: usize,
    pub asked: usize,
    pub answered: Option<usize>,
}

/// What one actor did, one thing after the other; the last may not have happened.
#[derive(Default)]
pub struct Actor {
    pub events: Vec<Event>,
    pub must: usize,
}

/// What is to be asked of the spec.
#[derive(Default)]
pub struct Run {
    pub name: String,
    pub actors: Vec<Actor>,
    pub clients: Vec<String>,
    pub servers: usize,
    pub odd: Vec<String>,
}

impl Run {
    /// Reads a log. Lines with `#` are for people.
    pub fn read(name: &str, text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#')).enumerate();
        let lines = lines.map(|(at, text)| Line::read(at, text)).collect::<Result<Vec<_>>>()?;
        let mut run = Run { name: name.into(), ..Run::default() };
        for who in distinct(&lines, |line| (line.role == "connect").then(|| line.who.to_owned())) {
            run.client(&lines, &who)?;
            run.clients.push(who);
        }
        let servers = distinct(&lines, |line| (line.role == "serve").then(|| line.who.to_owned()));
        for who in &servers {
            run.server(&lines, who);
        }
        run.servers = distinct(&lines, |line| Some(line.field("child").to_owned()).filter(|child| !child.is_empty()))
            .into_iter()
            .chain(servers)
            .collect::<std::collections::BTreeSet<_>>()
            .len();
        for peer in distinct(&lines, |line| Some(line.field("peer").to_owned()).filter(|peer| !peer.is_empty())) {
            run.greeting(&lines, &peer)?;
        }
        run.world(&lines)?;
        Ok(run)
    }

    /// How many events there are.
    pub fn events(&self) -> usize {
        self.actors.iter().map(|actor| actor.events.len()).sum()
    }

    fn client(&mut self, lines: &[Line], who: &str) -> Result<()> {
        let mut actor = Actor::default();
        let mine: Vec<&Line> = lines.iter().filter(|line| line.is("connect", who)).collect();
        for (index, line) in mine.iter().enumerate() {
            let next = mine.get(index + 1);
            let event = |does| Event::new(does, line, next.map(|next| next.at));
            match (line.what.as_str(), next) {
                ("Begin", _) => {
                    actor.must(Event { is: goal(line.field("goal"))?.into(), ..event("Begin") });
                }
                // Its connection, if there is one, is closed some time after this.
                ("Leave", next) => actor.must(Event { answered: next.map(|next| next.at), ..event("Leave") }),
                ("Done", _) => {}
                ("End", next) => {
                    if next.is_none_or(|next| next.what == "Begin") && mine[index - 1].field("done") != "Start" {
                        actor.must(event("Leave"));
                    }
                }
                (_, Some(next)) if next.what == "End" => actor.must(event("GaveUp")),
                (_, Some(next)) => {
                    let then = next.field("then");
                    let about = if next.field("record").is_empty() { "child" } else { "record" };
                    let is = match next.what.as_str() {
                        "Probe" => row(next.field("row")),
                        "Done" => next.field("done"),
                        "Dial" | "Hello" | "Prove" | "Welcome" => next.field("how"),
                        _ => then,
                    };
                    let dial = mine[..=index].iter().rfind(|line| line.what == "Dial").map_or(line.at, |dial| dial.at);
                    actor.must(Event {
                        to: next.what.clone(),
                        of: next.field(about).into(),
                        is: is.into(),
                        late: stops(lines, dial, next.at),
                        asked: goes_on(lines, line),
                        ..event("Client")
                    });
                }
                (_, None) if fate(lines, line, "kill").is_some() => {}
                (_, None) => actor.may(Event { to: "?".into(), ..event("Client") }),
            }
        }
        self.actors.push(actor);
        Ok(())
    }

    fn server(&mut self, lines: &[Line], who: &str) {
        let mut actor = Actor::default();
        let mine: Vec<&Line> =
            lines.iter().filter(|line| line.is("serve", who) && line.field("peer").is_empty()).collect();
        for (index, line) in mine.iter().enumerate() {
            let next = mine.get(index + 1);
            let event = |does| Event::new(does, line, next.map(|next| next.at));
            let led = next.map_or("?", |next| if next.what == "Done" { "Free" } else { &next.what });
            match (line.what.as_str(), led) {
                ("Done", _) => {}
                // The spec looks after the files only where that changes something: here it is seen that all is well.
                ("Check", "Serve") => actor.must(event("Well")),
                ("Serve", "Check") => match mine.get(index + 2) {
                    Some(after) if after.what == "Serve" => {}
                    // It is chosen by the clock; whether it is right to look is known when it was looked.
                    Some(after) => {
                        actor.must(Event { to: led.into(), answered: Some(after.at), ..event("Server") });
                    }
                    None => {}
                },
                ("Check", "?") if mine[index - 1].what == "Serve" => {}
                (_, "?") if fate(lines, line, "kill").is_some() => {}
                (_, "?") => actor.may(Event { to: "?".into(), ..event("Server") }),
                (_, led) => {
                    let said = |name| next.map_or("", |next| next.field(name));
                    let is = match led {
                        "Lock" | "Backoff" => said("purpose"),
                        "Unlock" | "Refuse" => said("then"),
                        _ => said("why"),
                    };
                    actor.must(Event { to: led.into(), is: is.into(), ..event("Server") });
                }
            }
        }
        self.actors.push(actor);
    }

    /// The server's side of a handshake with the client that came from this address.
    fn greeting(&mut self, lines: &[Line], peer: &str) -> Result<()> {
        let mut actor = Actor::default();
        let client = lines.iter().find(|line| line.field("from") == peer).ok_or(format!("nobody dials from {peer}"))?;
        let number = self.clients.iter().position(|who| who == client.who).ok_or("a dial of no client")?;
        let dials = |event: &Event| lines[event.told].field("from") == peer;
        let last = self.actors[number].events.iter().rposition(dials);
        let failed = last.filter(|last| ["Lock", "Probe", ""].contains(&self.actors[number].events[*last].to.as_str()));
        let over = failed.map_or((0, 0), |last| (number + 1, last + 1));
        let mine: Vec<&Line> = lines.iter().filter(|line| line.field("peer") == peer).collect();
        for (index, line) in mine.iter().enumerate() {
            let next = mine.get(index + 1);
            let does = match line.what.as_str() {
                "Answer" => "Answer",
                "Admit" => "Admit",
                _ => continue,
            };
            let event = Event {
                over,
                of: client.who.into(),
                is: next.map_or("", |next| &next.what).into(),
                ..Event::new(does, line, next.map(|next| next.at))
            };
            if next.is_some() { actor.must(event) } else { actor.may(event) }
        }
        self.actors.push(actor);
        Ok(())
    }

    fn world(&mut self, lines: &[Line]) -> Result<()> {
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.role == "world") {
            let done = |what: &str, who: &str| {
                let mut later = lines[index..].iter();
                later.find(|line| line.role == "world" && line.what == what && line.who == who).map(|line| line.at)
            };
            let event = |does, answered| Event {
                of: line.field("of").into(),
                is: line.field("is").into(),
                ..Event::new(does, line, answered)
            };
            let events = match line.what.as_str() {
                "kill" => self.killed(lines, line, done("gone", line.who)),
                "stop" => vec![event("stop", done("stopped", line.who))],
                "gone" | "stopped" | "done" => continue,
                what => match what.strip_prefix("odd ") {
                    Some(kind) => {
                        self.odd.push(kind.into());
                        continue;
                    }
                    None => {
                        let does = WORLD.iter().find(|known| **known == what);
                        vec![event(does.ok_or(format!("line {}: what is {what}?", line.at + 1))?, done("done", ""))]
                    }
                },
            };
            self.actors.push(Actor { must: events.len(), events });
        }
        Ok(())
    }

    /// A process that is gone holds nothing. Of a connected client's end its server hears when it does.
    fn killed(&self, lines: &[Line], line: &Line, gone: Option<usize>) -> Vec<Event> {
        let serves = lines.iter().any(|other| other.is("serve", line.who));
        let last = lines[..line.at].iter().rfind(|other| other.is("connect", line.who)).map(|last| last.what.as_str());
        match last {
            Some("Done") if !serves => vec![Event::new("Leave", line, None)],
            Some("End" | "Leave") if !serves => vec![],
            _ => vec![Event::new("kill", line, gone), Event::new("gone", line, gone)],
        }
    }
}

/// The faults that are told by one line before and `done` after.
const WORLD: [&str; 8] = ["continue", "torn", "emptied", "foreign", "deleted", "old copy", "unlinked", "stranger"];

impl Run {
    /// How many events of each actor were done before this one was begun.
    pub fn needs(&self, event: &Event) -> impl Iterator<Item = usize> {
        let asked = event.asked;
        self.actors.iter().map(move |actor| {
            let last = actor.events.iter().rposition(|other| other.answered.is_some_and(|answered| answered <= asked));
            last.map_or(0, |last| last + 1)
        })
    }

    /// Whether nothing has to come before it, when so many events of each actor were taken.
    pub fn is_due(&self, event: &Event, taken: &[usize]) -> bool {
        self.needs(event).zip(taken).all(|(needed, taken)| needed <= *taken)
    }
}

impl Actor {
    fn must(&mut self, event: Event) {
        self.events.push(event);
        self.must = self.events.len();
    }

    fn may(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl Event {
    fn new(does: &'static str, line: &Line, answered: Option<usize>) -> Self {
        Event {
            does,
            who: line.who.into(),
            at: line.what.clone(),
            to: String::new(),
            of: String::new(),
            is: String::new(),
            late: false,
            over: (0, 0),
            told: line.at,
            asked: line.at,
            answered,
        }
    }
}

/// Where a process is killed or stopped just before this step, which it has told.
fn fate(lines: &[Line], line: &Line, what: &str) -> Option<usize> {
    let mut later = lines[line.at..].iter().take_while(|later| later.at == line.at || !later.is(line.role, line.who));
    let fate = |later: &&Line| later.is("world", line.who) && later.what == what && later.field("at") == line.what;
    later.find(fate).map(|fate| fate.at)
}

/// From where on this step may have been done: who was stopped just before it does it later.
fn goes_on(lines: &[Line], line: &Line) -> usize {
    let stopped = fate(lines, line, "stop");
    let goes_on =
        stopped.and_then(|at| lines[at..].iter().find(|later| later.is("world", line.who) && later.what == "continue"));
    goes_on.map_or(line.at, |goes_on| goes_on.at)
}

/// Whether somebody is stopped for a part of this time.
fn stops(lines: &[Line], from: usize, to: usize) -> bool {
    let stopped = lines[..to].iter().filter(|line| line.role == "world" && line.what == "stop");
    stopped.into_iter().any(|stop| {
        let goes_on = |line: &&Line| line.role == "world" && line.what == "continue" && line.who == stop.who;
        lines[stop.at..].iter().find(goes_on).is_none_or(|goes_on| goes_on.at >= from)
    })
}

/// The distinct values, in the order of their appearance.
fn distinct(lines: &[Line], value: impl Fn(&Line) -> Option<String>) -> Vec<String> {
    let mut values = Vec::new();
    for value in lines.iter().filter_map(value) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

/// `Connect(External)`, `Serve`, `Retire`: what the spec calls it.
fn goal(goal: &str) -> Result<&str> {
    Ok(goal.strip_prefix("Connect(").and_then(|policy| policy.strip_suffix(')')).unwrap_or(goal))
}

/// What the spec calls a row of the table.
fn row(row: &str) -> &str {
    match row {
        "OtherDialect" => "Dialect",
        "Doubtful" => "Nothing",
        row => row,
    }
}
