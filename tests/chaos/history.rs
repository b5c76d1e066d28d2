//! What befell each process of a round, whom it met, and when: the lines of the round, put in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::explain::{self, Bearing, Failure, Phase, Span};
use crate::plan::{Fault, PlannedFault};

/// The time of a line, from the beginning of the round.
pub type Time = Duration;

/// How long it takes what a fault sets off: the limits of the round.
#[derive(Clone, Copy)]
pub struct Times {
    pub start: Duration,
    pub check: Duration,
}

/// What is known of a process.
#[derive(Default)]
struct Past {
    /// When it was started, and when it sent its first line, or its parent the next one.
    born: Time,
    first: Option<Time>,
    /// The beginning of its first connect, or of that which followed one that was dropped.
    began: Time,
    parent: Option<u32>,
    /// The servers that this connect started, in order.
    children: Vec<u32>,
    /// The last step of the client.
    step: String,
    /// The server that was not registered when the connect that started it was dropped.
    dropped: Option<u32>,
    /// The servers that this connect dialled.
    dialled: BTreeSet<u32>,
    /// The connect asked for the lifetime lock.
    probed: bool,
    hits: Vec<Hit>,
    /// When it held the point lock.
    held: Vec<Interval>,
    /// From its claim of the lifetime lock to its end.
    lived: Option<Interval>,
    registered: Option<Time>,
    drained: Option<(Time, String)>,
    refused_busy: bool,
}

struct Hit {
    planned: PlannedFault,
    /// When the process was started.
    born: Time,
    at: Time,
    /// Of a process that was stopped: when it was continued.
    until: Option<Time>,
}

impl Hit {
    fn causes(&self, failure: Failure, bearing: Bearing) -> bool {
        let PlannedFault { fault, role, step, .. } = &self.planned;
        explain::causes(failure, bearing, *fault, Phase::at(*role, step))
    }
}

#[derive(Clone, Copy)]
struct Interval {
    from: Time,
    to: Option<Time>,
}

impl Interval {
    fn meets(&self, from: Time, to: Time) -> bool {
        self.from <= to && self.to.is_none_or(|end| end >= from)
    }
}

pub struct History {
    times: Times,
    /// Whether a process of this round asks servers to retire.
    asks: bool,
    of: BTreeMap<u32, Past>,
    /// Damage of the point and of files beside it.
    damage: Vec<Hit>,
}

impl History {
    pub fn new(times: Times, asks: bool) -> Self {
        History { times, asks, of: BTreeMap::new(), damage: Vec::new() }
    }

    /// Takes a line of a process, with its fields.
    pub fn receive(&mut self, at: Time, pid: u32, words: &[&str], fields: &BTreeMap<&str, &str>) {
        let number = |name: &str| fields.get(name).and_then(|value| value.parse().ok());
        match (number("child"), self.past(pid, at).children.last().copied()) {
            (Some(child), last) if last != Some(child) => {
                self.past(pid, at).children.push(child);
                self.past(child, at).parent = Some(pid);
            }
            // Its parent waits for it no longer.
            (_, Some(child)) => _ = self.past(child, at).first.get_or_insert(at),
            _ => {}
        }
        let past = self.past(pid, at);
        past.first.get_or_insert(at);
        past.dialled.extend(number("record"));
        match words {
            ["fault", rest @ ..] => {
                if let Ok(planned) = rest.join(" ").parse() {
                    self.hit(at, pid, planned);
                }
            }
            ["cancelled"] => {
                (past.began, past.probed) = (at, false);
                let children = std::mem::take(&mut past.children);
                // A later step may have registered it.
                past.dropped = children.last().copied().filter(|_| ["Await", "Verify", "Write"].contains(&&*past.step));
                past.dialled.clear();
            }
            ["exited"] => past.end(at),
            [role @ ("Connect" | "Serve"), step] => {
                past.lock(at, fields.get("lock").is_some_and(|lock| *lock != "none") && *step != "Unlock");
                past.step(at, role, step, fields);
            }
            _ => {}
        }
    }

    fn past(&mut self, pid: u32, at: Time) -> &mut Past {
        self.of.entry(pid).or_insert_with(|| Past { born: at, began: at, ..Past::default() })
    }

    fn hit(&mut self, at: Time, pid: u32, planned: PlannedFault) {
        let kills = planned.fault == Fault::Kill;
        let past = self.past(pid, at);
        let hit = Hit { planned, born: past.born, at, until: None };
        if is_damage(hit.planned.fault) {
            return self.damage.push(hit);
        }
        if kills {
            past.end(at);
        }
        past.hits.push(hit);
    }

    /// The round starts a process.
    pub fn started(&mut self, at: Time, pid: u32) {
        self.past(pid, at);
    }

    /// Returns the longest time that a process took from its start to its first line. No fault befalls it before, so this
    /// is the machine's.
    pub fn slowest_start(&self, now: Time) -> Duration {
        let took = self.of.values().map(|past| past.first.unwrap_or(now).saturating_sub(past.born));
        took.max().unwrap_or_default()
    }

    /// A process that was stopped is continued.
    pub fn resumed(&mut self, at: Time, pid: u32) {
        let stops = self.of.get_mut(&pid).into_iter().flat_map(|past| &mut past.hits);
        stops
            .filter(|hit| hit.planned.fault == Fault::Stop && hit.until.is_none())
            .for_each(|hit| hit.until = Some(at));
    }

    /// Returns the server that was not registered when the connect of this process was dropped.
    pub fn dropped(&self, pid: u32) -> Option<u32> {
        self.of.get(&pid)?.dropped
    }

    /// Returns what explains this failure, or `None`.
    pub fn explains(&self, at: Time, pid: u32, failure: Failure) -> Option<String> {
        let past = self.of.get(&pid)?;
        match failure {
            Failure::Second => {
                let serves = |server: &&u32| self.servers(past.began, at).any(|(other, _)| other == *server);
                past.dialled.iter().find(serves).map(|_| "another server".to_owned())
            }
            Failure::Busy => {
                let other = self.servers(past.began, at).find(|(other, _)| **other != pid);
                other.map(|_| "another server".to_owned())
            }
            // A connect gives up only after some servers, so a fault must have befallen each.
            Failure::Vanished => {
                let counts = |child: &&u32| self.of.get(child).is_none_or(|child| !child.refused_busy);
                let mut all = past.children.iter().filter(counts).peekable();
                all.peek()?;
                let hit = |child: &u32| {
                    let lived = self.of.get(child).and_then(|child| child.lived);
                    let meets = |hit: &&Hit| lived.is_some_and(|lived| hit.at <= at && lived.meets(hit.at, hit.at));
                    let mut files = self.damage.iter().filter(meets);
                    let own = self.hits(*child, at).find(|hit| hit.causes(failure, Bearing::Met));
                    own.or_else(|| files.find(|hit| hit.causes(failure, Bearing::World)))
                };
                all.map(hit).collect::<Option<Vec<_>>>().map(|hits| format!("{:?} of each", hits[0].planned.fault))
            }
            Failure::Time => self.held_up(past, at, pid).or_else(|| self.caused(past, at, pid, failure)),
            _ => self.caused(past, at, pid, failure),
        }
    }

    fn caused(&self, past: &Past, at: Time, pid: u32, failure: Failure) -> Option<String> {
        let mut hits = self.bearings(past, at, pid);
        let hit = hits.find(|(bearing, hit)| hit.causes(failure, *bearing));
        hit.map(|(bearing, hit)| format!("{:?} of {bearing:?}", hit.planned.fault))
    }

    /// The faults that befell this process and those that it met, before it failed, and those of files.
    fn bearings<'a>(&'a self, past: &'a Past, at: Time, pid: u32) -> impl Iterator<Item = (Bearing, &'a Hit)> {
        let began = past.began;
        let child = past.children.last().filter(|child| self.of.get(child).is_some_and(|it| it.registered.is_none()));
        let met = past.dialled.iter().copied();
        let waited = self.servers(began, at).map(|(server, _)| *server).filter(|_| past.probed);
        let holders = self
            .of
            .iter()
            .filter(move |(holder, past)| **holder != pid && past.held.iter().any(|held| held.meets(began, at)));
        let holders = holders.flat_map(|(holder, past)| [*holder].into_iter().chain(past.children.iter().copied()));
        let all = [(Bearing::Own, pid)].into_iter();
        let all = all.chain(child.map(|child| (Bearing::Child, *child)));
        let all = all.chain(met.chain(waited).map(|met| (Bearing::Met, met)));
        let all = all.chain(holders.map(|holder| (Bearing::Holder, holder)));
        let all = all.chain(past.parent.map(|parent| (Bearing::Parent, parent)));
        let all = all.flat_map(move |(bearing, who)| self.hits(who, at).map(move |hit| (bearing, hit)));
        let damage = self.damage.iter().filter(move |hit| hit.at <= at);
        // A process that was continued before this connect began is no longer a reason.
        all.chain(damage.map(|hit| (Bearing::World, hit)))
            .filter(move |(_, hit)| hit.until.is_none_or(|end| end >= began))
    }

    fn hits(&self, pid: u32, before: Time) -> impl Iterator<Item = &Hit> {
        self.of.get(&pid).into_iter().flat_map(|past| &past.hits).filter(move |hit| hit.at <= before)
    }

    /// The servers that held their lifetime lock for a part of this time.
    fn servers(&self, from: Time, to: Time) -> impl Iterator<Item = (&u32, &Past)> {
        self.of.iter().filter(move |(_, past)| past.lived.is_some_and(|lived| lived.meets(from, to)))
    }

    /// A failure by time is explained if faults and drains held the process up for more than half of its time.
    fn held_up(&self, past: &Past, at: Time, pid: u32) -> Option<String> {
        let (mut spans, mut reasons) = (Vec::new(), BTreeSet::new());
        for (bearing, hit) in self.bearings(past, at, pid) {
            if let Some(span) = self.span(explain::holds_up(bearing, hit.planned.fault), hit) {
                spans.push(span);
                reasons.insert(format!("{:?} of {bearing:?}", hit.planned.fault));
            }
        }
        for (_, server) in self.servers(past.began, at) {
            if let (Some((from, _)), Some(lived)) = (&server.drained, server.lived) {
                spans.push((*from, lived.to.unwrap_or(at)));
                reasons.insert("a drain".to_owned());
            }
        }
        let held = covered(spans, past.began, at);
        let reasons: Vec<_> = reasons.into_iter().collect();
        (held * 2 > at.saturating_sub(past.began)).then(|| format!("held up by {}", reasons.join(" and ")))
    }

    fn span(&self, span: Span, hit: &Hit) -> Option<(Time, Time)> {
        let to = match span {
            Span::None => return None,
            Span::Vain => return Some((hit.born.max(hit.at.saturating_sub(self.times.start)), hit.at)),
            Span::Stopped => hit.until.unwrap_or(Time::MAX),
            Span::Start => hit.at + self.times.start,
            Span::Check => hit.at + self.times.check,
            Span::Rest => Time::MAX,
        };
        Some((hit.at, to))
    }

    /// Returns whether a client may have lost this server at this time.
    pub fn explains_loss(&self, at: Time, server: u32) -> bool {
        let Some(past) = self.of.get(&server) else { return false };
        let drained = past.drained.as_ref().filter(|(when, _)| *when <= at);
        self.hits(server, at).any(|hit| explain::cuts_off(hit.planned.fault))
            || drained.is_some_and(|(_, why)| {
                explain::may_retire(why, self.asks, self.befell(past, |it| it == Fault::Vanish))
            })
    }

    /// Returns whether a handler may start now although that of this server has not ended.
    pub fn may_overlap(&self, earlier: u32) -> bool {
        let Some(past) = self.of.get(&earlier) else { return false };
        let phase = match (&past.drained, past.registered) {
            (Some(_), _) => Phase::Ends,
            (None, Some(_)) => Phase::Serves,
            (None, None) => Phase::Starts,
        };
        explain::may_overlap(phase, self.befell(past, |it| it == Fault::Vanish), self.befell(past, is_of_point))
    }

    /// Whether files were damaged in this way since this server took the lifetime lock.
    fn befell(&self, past: &Past, how: fn(Fault) -> bool) -> bool {
        let since = past.lived.map_or(Time::ZERO, |lived| lived.from);
        self.damage.iter().any(|hit| how(hit.planned.fault) && hit.at >= since)
    }
}

fn is_damage(fault: Fault) -> bool {
    is_of_point(fault) || matches!(fault, Fault::Unlink | Fault::Vanish | Fault::Fill)
}

fn is_of_point(fault: Fault) -> bool {
    use Fault::{Corrupt, Cut, Delete, Empty, Old, Replace};
    matches!(fault, Delete | Empty | Cut | Corrupt | Replace | Old)
}

/// How much of the time between two times these spans cover together.
fn covered(mut spans: Vec<(Time, Time)>, from: Time, to: Time) -> Duration {
    spans.sort_unstable();
    let (mut reached, mut sum) = (from, Duration::ZERO);
    for (begin, end) in spans {
        let (begin, end) = (begin.max(reached), end.min(to));
        sum += end.saturating_sub(begin);
        reached = reached.max(end);
    }
    sum
}

impl Past {
    fn lock(&mut self, at: Time, has: bool) {
        let open = self.held.last_mut().filter(|held| held.to.is_none());
        match (open, has) {
            (None, true) => self.held.push(Interval { from: at, to: None }),
            (Some(held), false) => held.to = Some(at),
            _ => {}
        }
    }

    fn step(&mut self, at: Time, role: &str, step: &str, fields: &BTreeMap<&str, &str>) {
        if role == "Connect" {
            step.clone_into(&mut self.step);
        }
        match (role, step) {
            ("Connect", "Probe") => self.probed = true,
            ("Serve", "Claim") => self.lived = Some(Interval { from: at, to: None }),
            ("Serve", "Serve") => _ = self.registered.get_or_insert(at),
            ("Serve", "Refuse") => self.refused_busy = fields.get("then") == Some(&"Busy"),
            ("Serve", "Drain") => {
                self.drained = Some((at, fields.get("why").copied().unwrap_or_default().to_owned()));
            }
            ("Serve", "Done") => self.end(at),
            _ => {}
        }
    }

    fn end(&mut self, at: Time) {
        self.lock(at, false);
        if let Some(lived) = self.lived.as_mut().filter(|lived| lived.to.is_none()) {
            lived.to = Some(at);
        }
    }
}
