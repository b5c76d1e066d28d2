//! The end of a server that does not answer: the machine behind `end_unresponsive`.
//!
//! ```text
//!   Look ──silent──▶ Identify ─▶ Watch ──it hangs──▶ Owner ─▶ Kill ─▶ Probe ──free──▶ Done
//!    ▲ │                           │                                   ▲ │
//!    │ ├─unknown─▶ Backoff ─┐      │ not enough                        │ ▼ held
//!    │ └─else────▶ Done     │      ▼                                  Backoff
//!    └──────────────────────┴──── Rest
//! ```
//!
//! A *Look* is a whole look at the point: [`super::inspect`]. A server is ended only after several looks in a row that
//! found the same record, its lifetime lock held, and a dial that failed; when its process was identified, showed a sign
//! of no progress from the first of these looks to the last ([`super::unresponsive`]), and holds the lifetime lock itself.
//!
//! Nothing is held between two looks, so another process gets the point lock meanwhile. From the look that decides until
//! the server is gone the point lock is held, so no successor can be taken for it. Nothing is cleared and nothing started.
//!
//! Times are told with the answers: how much time is over since the call began.

use core::time::Duration;

use super::connect::{Came, Lifetime};
use super::inspect;
use super::record::{Found, Record};
use super::unresponsive::{Seen, Sign, Spared, Verdict};

/// How long the steps may take.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Times {
    /// For how long the point is looked at.
    pub connect: Duration,
    /// How far two looks at a silent server are apart at least.
    pub patience: Duration,
    /// How long the lifetime lock of a server that was killed is awaited.
    pub drain: Duration,
}

/// What a look at the point means for a server that is to be ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Heard<'a> {
    /// The server of this record holds its lifetime lock, and the dial came to this.
    Silence(&'a Record, Came),
    /// The dial failed, and the lifetime lock could not be asked. That may change.
    NotKnown,
    /// There is no server that does not answer.
    Else,
}

/// Returns what a look means: status × record × lock.
///
/// Without the point lock, a server may be retiring or just registered, so such a look counts for nothing.
pub const fn heard(look: &inspect::Done) -> Heard<'_> {
    use inspect::Verdict::*;
    match (look.verdict, &look.found, look.held) {
        (Unresponsive(came), Found::Record(record), true) => Heard::Silence(record, came),
        (Unknown(_), _, _) => Heard::NotKnown,
        _ => Heard::Else,
    }
}

/// What the system shows of a process that does not answer. `None`: the system does not tell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Glance {
    /// Whether it is stopped now.
    pub stopped: Option<bool>,
    /// Whether the thread that serves had any time of a processor since the first glance.
    pub ran: Option<bool>,
    /// At a port: whether its queue had room at one of the two times, or anybody who waited there was accepted.
    pub moved: Option<bool>,
}

/// The question that comes next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Step {
    Look(Look),
    Identify(Identify),
    Watch(Watch),
    Rest(Rest),
    Owner(Owner),
    Kill(Kill),
    Probe(Probe),
    Backoff(Backoff),
    Done(Done),
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Done {
    /// The server was killed, and is gone.
    Ended {
        /// Its process, once.
        pid: u32,
        /// What showed that it made no progress.
        sign: Sign,
    },
    /// Nothing was done: the last look found no server that does not answer.
    LeftAlone,
    /// Nothing was done: the server may be well.
    Spared(Spared),
    /// Nothing was done: the dial failed, and the lifetime lock could not be asked in time.
    LockedOut,
    /// Nothing was done: the process of the record cannot be told for certain. The driver knows why.
    Unidentified,
    /// The server was killed, and something still holds its lifetime lock after this time.
    StillHeld(Duration),
    /// The lifetime lock cannot be asked. The driver knows why.
    Trouble,
}

impl Step {
    /// Returns the first step.
    pub const fn new(times: Times) -> Self {
        Step::Look(Look { times, silent: None, began: Duration::ZERO })
    }

    /// Tells whether the point lock of the last look is held while this question is open. The driver releases it where
    /// it is not.
    pub const fn holds_lock(&self) -> bool {
        match self {
            Step::Look(_) | Step::Rest(_) | Step::Done(_) => false,
            Step::Identify(_) | Step::Watch(_) | Step::Owner(_) | Step::Kill(_) | Step::Probe(_) => true,
            Step::Backoff(backoff) => matches!(backoff.next, After::Probe(_)),
        }
    }
}

/// A server that does not answer, and what was seen of it since it first did not.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Silent {
    record: Record,
    silences: u32,
    stopped: Option<bool>,
}

impl Silent {
    const fn new(record: Record) -> Self {
        Silent { record, silences: 0, stopped: Some(true) }
    }

    /// Counts one more silence, and judges all that was seen.
    fn watched(&mut self, came: Came, glance: Glance) -> Verdict {
        self.silences += 1;
        self.stopped = self.stopped.zip(glance.stopped).map(|(before, now)| before && now);
        let Glance { ran, moved, .. } = glance;
        Seen { silences: self.silences, came, stopped: self.stopped, ran, moved }.verdict()
    }
}

/// Look at the point.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Look {
    times: Times,
    silent: Option<Silent>,
    began: Duration,
}

impl Look {
    /// The look came to this.
    pub fn saw(self, look: &inspect::Done, elapsed: Duration) -> Step {
        let Look { times, silent, began } = self;
        match heard(look) {
            Heard::Silence(record, came) => match silent {
                Some(silent) if silent.record == *record => Step::Watch(Watch { times, silent, came, began }),
                // Of another server, whatever was seen before says nothing.
                _ => Step::Identify(Identify {
                    watch: Watch { times, silent: Silent::new(record.clone()), came, began },
                }),
            },
            Heard::NotKnown if elapsed < times.connect => Step::Backoff(Backoff { next: After::Look(times, silent) }),
            Heard::NotKnown => Step::Done(Done::LockedOut),
            Heard::Else => Step::Done(Done::LeftAlone),
        }
    }
}

/// Open the process of the record, so that its number cannot become another's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identify {
    watch: Watch,
}

impl Identify {
    /// Returns the record of the server.
    pub fn record(&self) -> &Record {
        &self.watch.silent.record
    }

    /// It is open, and it is the record's as far as can be seen.
    pub fn identified(self) -> Step {
        Step::Watch(self.watch)
    }

    /// It is another process, or whose it is cannot be told.
    pub fn not_identified(self) -> Step {
        Step::Done(Done::Unidentified)
    }
}

/// See what the process does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Watch {
    times: Times,
    silent: Silent,
    came: Came,
    began: Duration,
}

impl Watch {
    /// Returns the record of the server.
    pub fn record(&self) -> &Record {
        &self.silent.record
    }

    /// Tells whether this is the first glance at this process: all later ones are compared with it.
    pub fn is_first(&self) -> bool {
        self.silent.silences == 0
    }

    /// The process does this.
    pub fn saw(self, glance: Glance, elapsed: Duration) -> Step {
        let Watch { times, mut silent, came, began } = self;
        match silent.watched(came, glance) {
            Verdict::End(sign) => {
                Step::Owner(Owner { doomed: Doomed { pid: silent.record.pid, sign, drain: times.drain } })
            }
            Verdict::Spare(spared) => Step::Done(Done::Spared(spared)),
            Verdict::LookAgain if elapsed < times.connect => {
                Step::Rest(Rest { until: began.saturating_add(times.patience), times, silent })
            }
            Verdict::LookAgain => Step::Done(Done::Spared(Spared::NotKnown)),
        }
    }
}

/// Wait before the next look, holding nothing. A dial that is refused is refused at once: looks are apart all the same.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rest {
    until: Duration,
    times: Times,
    silent: Silent,
}

impl Rest {
    /// Returns until when, since the call began.
    pub const fn until(&self) -> Duration {
        self.until
    }

    /// The time is over.
    pub fn over(self, elapsed: Duration) -> Step {
        Step::Look(Look { times: self.times, silent: Some(self.silent), began: elapsed })
    }
}

/// A server that hangs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Doomed {
    pid: u32,
    sign: Sign,
    drain: Duration,
}

/// See whether another process than the one that was opened holds the lifetime lock: two processes of two PID namespaces may
/// have one number and one start.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Owner {
    doomed: Doomed,
}

impl Owner {
    /// Returns the number of the process that was opened.
    pub const fn pid(&self) -> u32 {
        self.doomed.pid
    }

    /// It holds the lock itself, or the system does not tell.
    pub fn not_anothers(self) -> Step {
        Step::Kill(Kill { doomed: self.doomed })
    }

    /// Another process holds the lock.
    pub fn anothers(self) -> Step {
        Step::Done(Done::Unidentified)
    }
}

/// Kill the process that was opened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kill {
    doomed: Doomed,
}

impl Kill {
    /// Returns its number.
    pub const fn pid(&self) -> u32 {
        self.doomed.pid
    }

    /// Returns what showed that it made no progress.
    pub const fn sign(&self) -> Sign {
        self.doomed.sign
    }

    /// It was killed. Its locks are free when its last thread is gone.
    pub fn killed(self, elapsed: Duration) -> Step {
        Step::Probe(Probe { doomed: self.doomed, killed: elapsed })
    }
}

/// Ask the lifetime lock of a server that was killed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Probe {
    doomed: Doomed,
    killed: Duration,
}

impl Probe {
    /// The lock said this.
    pub fn answered(self, lifetime: Lifetime, elapsed: Duration) -> Step {
        let Doomed { pid, sign, drain } = self.doomed;
        let waited = elapsed.saturating_sub(self.killed);
        match lifetime {
            Lifetime::Free | Lifetime::Absent => Step::Done(Done::Ended { pid, sign }),
            Lifetime::CannotTell => Step::Done(Done::Trouble),
            Lifetime::Held if waited < drain => Step::Backoff(Backoff { next: After::Probe(self) }),
            Lifetime::Held => Step::Done(Done::StillHeld(waited)),
        }
    }
}

/// Wait a little.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Backoff {
    next: After,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum After {
    Look(Times, Option<Silent>),
    Probe(Probe),
}

impl Backoff {
    /// The time is over.
    pub fn over(self, elapsed: Duration) -> Step {
        match self.next {
            After::Look(times, silent) => Step::Look(Look { times, silent, began: elapsed }),
            After::Probe(probe) => Step::Probe(probe),
        }
    }
}

#[cfg(test)]
mod tests;
