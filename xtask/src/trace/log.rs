//! Reads a log, and translates it into actions of the spec.
//!
//! A process writes a step before it runs it, so the step was done before the actor wrote its next line. The lines are
//! in the order in which all processes wrote them.

use std::collections::BTreeMap;

use crate::parallel::Result;

/// `p1 connect Dial record=p2`: the actor, its role, the step, and what it saw.
pub struct Line<'a> {
    /// Its index in the log.
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

/// An action of the spec.
#[derive(Clone, Debug)]
pub struct Event {
    pub does: &'static str,
    pub who: String,
    pub at: String,
    pub to: String,
    pub of: String,
    pub is: String,
    /// A process was stopped during the dial of this step.
    pub late: bool,
    /// The actor, and the number of its events after which this event has no effect.
    pub over: (usize, usize),
    /// The lines that record it, after which it was done, and before which it was done.
    pub line: usize,
    pub asked: usize,
    pub answered: Option<usize>,
}

/// What one actor did, in order. The last event may not have happened.
#[derive(Default)]
pub struct Actor {
    pub events: Vec<Event>,
    pub must: usize,
}

/// A run, as it is checked against the spec.
#[derive(Default)]
pub struct Run {
    pub name: String,
    pub actors: Vec<Actor>,
    pub clients: Vec<String>,
    pub servers: usize,
    pub odd: Vec<String>,
}

impl Run {
    /// Reads a log. Lines that start with `#` are comments.
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

    /// The number of events.
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
                // Its connection, if it has one, is closed at some time after this.
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
                        asked: resumed_at(lines, line),
                        ..event("Client")
                    });
                }
                (_, None) if fault(lines, line, "kill").is_some() => {}
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
                // The spec checks the files only where that changes something; here the check found all well.
                ("Check", "Serve") => actor.must(event("Well")),
                ("Serve", "Check") => match mine.get(index + 2) {
                    Some(after) if after.what == "Serve" => {}
                    // The clock chooses the time of the look; its outcome is known from the line after it.
                    Some(after) => {
                        actor.must(Event { to: led.into(), answered: Some(after.at), ..event("Server") });
                    }
                    None => {}
                },
                ("Check", "?") if mine[index - 1].what == "Serve" => {}
                (_, "?") if fault(lines, line, "kill").is_some() => {}
                (_, "?") => actor.may(Event { to: "?".into(), ..event("Server") }),
                (_, led) => {
                    let field = |name| next.map_or("", |next| next.field(name));
                    let is = match led {
                        "Lock" | "Backoff" => field("purpose"),
                        "Unlock" | "Refuse" => field("then"),
                        _ => field("why"),
                    };
                    actor.must(Event { to: led.into(), is: is.into(), ..event("Server") });
                }
            }
        }
        self.actors.push(actor);
    }

    /// The server's side of a handshake with the client at this address.
    fn greeting(&mut self, lines: &[Line], peer: &str) -> Result<()> {
        let mut actor = Actor::default();
        let client =
            lines.iter().find(|line| line.field("from") == peer).ok_or(format!("no client dials from {peer}"))?;
        let number = self.clients.iter().position(|who| who == client.who).ok_or("a dial of an unknown client")?;
        let dials = |event: &Event| lines[event.line].field("from") == peer;
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
                        vec![event(does.ok_or(format!("line {}: {what} is unknown", line.at + 1))?, done("done", ""))]
                    }
                },
            };
            self.actors.push(Actor { must: events.len(), events });
        }
        Ok(())
    }

    /// A dead process holds nothing. The server of a connected client notices its end at some later time.
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

/// The faults that are recorded by two lines: one before, and `done` after.
const WORLD: [&str; 8] = ["continue", "torn", "emptied", "foreign", "deleted", "old copy", "unlinked", "stranger"];

impl Run {
    /// The number of events of each actor that were done before this one began.
    pub fn needs(&self, event: &Event) -> impl Iterator<Item = usize> {
        let asked = event.asked;
        self.actors.iter().map(move |actor| {
            let last = actor.events.iter().rposition(|other| other.answered.is_some_and(|answered| answered <= asked));
            last.map_or(0, |last| last + 1)
        })
    }

    /// Whether all that must precede it is among the events taken so far.
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
            line: line.at,
            asked: line.at,
            answered,
        }
    }
}

/// The line at which a process is killed or stopped just before this step, after it recorded the step.
fn fault(lines: &[Line], line: &Line, what: &str) -> Option<usize> {
    let mut later = lines[line.at..].iter().take_while(|later| later.at == line.at || !later.is(line.role, line.who));
    let fault = |later: &&Line| later.is("world", line.who) && later.what == what && later.field("at") == line.what;
    later.find(fault).map(|fault| fault.at)
}

/// The line from which on this step may have been done: a process that was stopped just before it runs it later.
fn resumed_at(lines: &[Line], line: &Line) -> usize {
    let stopped = fault(lines, line, "stop");
    let resumed_at =
        stopped.and_then(|at| lines[at..].iter().find(|later| later.is("world", line.who) && later.what == "continue"));
    resumed_at.map_or(line.at, |resumed_at| resumed_at.at)
}

/// Whether a process is stopped during a part of this time.
fn stops(lines: &[Line], from: usize, to: usize) -> bool {
    let stopped = lines[..to].iter().filter(|line| line.role == "world" && line.what == "stop");
    stopped.into_iter().any(|stop| {
        let resumed_at = |line: &&Line| line.role == "world" && line.what == "continue" && line.who == stop.who;
        lines[stop.at..].iter().find(resumed_at).is_none_or(|resumed_at| resumed_at.at >= from)
    })
}

/// The distinct values, in order of appearance.
fn distinct(lines: &[Line], value: impl Fn(&Line) -> Option<String>) -> Vec<String> {
    let mut values = Vec::new();
    for value in lines.iter().filter_map(value) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

/// The spec's name of `Connect(External)`, `Serve` or `Retire`.
fn goal(goal: &str) -> Result<&str> {
    Ok(goal.strip_prefix("Connect(").and_then(|policy| policy.strip_suffix(')')).unwrap_or(goal))
}

/// The spec's name of a row of the table.
fn row(row: &str) -> &str {
    match row {
        "OtherDialect" => "Dialect",
        "Doubtful" => "Nothing",
        row => row,
    }
}
