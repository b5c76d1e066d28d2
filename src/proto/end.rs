//! The machine that kills a server that does not answer: `end_unresponsive`.
//!
//! ```text
//!   Look ──silent──▶ Identify ─▶ Watch ──it hangs──▶ Owner ─▶ Kill ─▶ Probe ──free──▶ Done
//!    ▲ │                           │                                   ▲ │
//!    │ ├─unknown─▶ Backoff ─┐      │ not enough                        │ ▼ held
//!    │ └─else────▶ Done     │      ▼                                  Backoff
//!    └──────────────────────┴──── Rest
//! ```
//!
//! A *Look* is a complete inspection of the point: [`super::inspect`]. The machine kills a server only if
//!
//! - several looks in a row found the same record, its lifetime lock held, and a failed dial,
//! - its process was identified, and showed a sign of no progress from the first of these looks to the last
//!   ([`super::unresponsive`]), and
//! - no other process is known to hold the lifetime lock.
//!
//! No lock is held between two looks, so other processes can take the point lock. From the deciding look until the
//! server is gone, the point lock is held, so no successor can be mistaken for the server. The machine does not clear
//! the record, and starts no server.
//!
//! An answer's `elapsed` is the time since the call began.

mod waiting;

use core::time::Duration;

use super::connect::{DialFailure, Lifetime};
use super::inspect;
use super::record::{Found, Record};
use super::unresponsive::{Seen, Sign, Spared, Verdict};

/// The time limits of the steps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Times {
    /// How long the machine looks at the point.
    pub connect: Duration,
    /// The minimal time between two looks at a silent server.
    pub patience: Duration,
    /// How long the machine waits for the lifetime lock of a server that was killed.
    pub lock: Duration,
}

/// The meaning of a look at the point.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Meaning<'a> {
    /// The server of this record holds its lifetime lock, and the dial failed like this.
    NoAnswer(&'a Record, DialFailure),
    /// The dial failed, and the lifetime lock could not be probed. That may change.
    Unknown,
    /// There is no server that does not answer.
    Other,
}

/// Returns what a look means, from its result, the record and the lock.
///
/// Without the point lock, a server may be retiring or just registered, so such a look counts for nothing.
pub const fn meaning(look: &inspect::Done) -> Meaning<'_> {
    use inspect::Verdict::*;
    match (look.verdict, &look.found, look.held) {
        (Unresponsive(failure), Found::Record(record), true) => Meaning::NoAnswer(record, failure),
        (Unknown(_), _, _) => Meaning::Unknown,
        _ => Meaning::Other,
    }
}

/// An observation of a process that does not answer. `None` means that the system does not report it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Glance {
    /// Whether the process is stopped now.
    pub stopped: Option<bool>,
    /// Whether the serving thread got any CPU time since the first glance.
    pub ran: Option<bool>,
    /// For a port: whether its accept queue had room at the first glance or now, or a waiting connection was accepted.
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

/// The result of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Done {
    /// The server was killed and is gone.
    Ended {
        /// The PID that the server had.
        pid: u32,
        /// The sign that the server made no progress.
        sign: Sign,
    },
    /// The server was not killed: the last look found no server that does not answer.
    LeftAlone,
    /// The server was not killed: it may be healthy.
    Spared(Spared),
    /// The server was not killed: the dial failed, and the lifetime lock could not be probed in time.
    LockedOut,
    /// The server was not killed: its process could not be identified. The driver has the reason.
    Unidentified,
    /// The server was killed, and after this time its lifetime lock is still held.
    StillHeld(Duration),
    /// The probe of the lifetime lock failed. The driver has the error.
    Trouble,
}

impl Step {
    /// Returns the first step.
    pub const fn new(times: Times) -> Self {
        Step::Look(Look { times, silent: None, began: Duration::ZERO })
    }

    /// Returns whether the point lock of the last look is held during this step. If not, the driver releases it.
    pub const fn holds_lock(&self) -> bool {
        match self {
            Step::Look(_) | Step::Rest(_) | Step::Done(_) => false,
            Step::Identify(_) | Step::Watch(_) | Step::Owner(_) | Step::Kill(_) | Step::Probe(_) => true,
            Step::Backoff(backoff) => matches!(backoff.next, After::Probe(_)),
        }
    }
}

/// A server that does not answer, with the observations since its first silence.
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

    /// Counts one more silence and judges all observations.
    fn watched(&mut self, failure: DialFailure, glance: Glance) -> Verdict {
        self.silences += 1;
        self.stopped = self.stopped.zip(glance.stopped).map(|(before, now)| before && now);
        let Glance { ran, moved, .. } = glance;
        Seen { silences: self.silences, failure, stopped: self.stopped, ran, moved }.verdict()
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
    /// The result of the look.
    pub fn saw(self, look: &inspect::Done, elapsed: Duration) -> Step {
        let Look { times, silent, began } = self;
        match meaning(look) {
            Meaning::NoAnswer(record, failure) => match silent {
                Some(silent) if silent.record == *record => Step::Watch(Watch { times, silent, failure, began }),
                // This is another server, so the earlier observations do not count.
                _ => Step::Identify(Identify {
                    watch: Watch { times, silent: Silent::new(record.clone()), failure, began },
                }),
            },
            Meaning::Unknown if elapsed < times.connect => Step::Backoff(Backoff { next: After::Look(times, silent) }),
            Meaning::Unknown => Step::Done(Done::LockedOut),
            Meaning::Other => Step::Done(Done::LeftAlone),
        }
    }
}

/// Open the process of the record, so that its PID cannot come to mean another process.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Identify {
    watch: Watch,
}

impl Identify {
    /// Returns the record of the server.
    pub fn record(&self) -> &Record {
        &self.watch.silent.record
    }

    /// The process is open, and nothing shows that it is not the record's.
    pub fn identified(self) -> Step {
        Step::Watch(self.watch)
    }

    /// The PID is of another process, or its process cannot be identified.
    pub fn not_identified(self) -> Step {
        Step::Done(Done::Unidentified)
    }
}

/// Observe the process.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Watch {
    times: Times,
    silent: Silent,
    failure: DialFailure,
    began: Duration,
}

impl Watch {
    /// Returns the record of the server.
    pub fn record(&self) -> &Record {
        &self.silent.record
    }

    /// Returns whether this is the first glance at this process. All later ones are compared with it.
    pub fn is_first(&self) -> bool {
        self.silent.silences == 0
    }

    /// The observation.
    pub fn saw(self, glance: Glance, elapsed: Duration) -> Step {
        let Watch { times, mut silent, failure, began } = self;
        match silent.watched(failure, glance) {
            Verdict::End(sign) => Step::Owner(Owner { hung: Hung { pid: silent.record.pid, sign, lock: times.lock } }),
            Verdict::Spare(spared) => Step::Done(Done::Spared(spared)),
            Verdict::LookAgain if elapsed < times.connect => {
                Step::Rest(Rest { until: began.saturating_add(times.patience), times, silent })
            }
            Verdict::LookAgain => Step::Done(Done::Spared(Spared::NotKnown)),
        }
    }
}

/// Wait before the next look, without a lock. The wait is needed because a refused dial returns at once.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rest {
    until: Duration,
    times: Times,
    silent: Silent,
}

impl Rest {
    /// Returns the end of the wait, as a time since the call began.
    pub const fn until(&self) -> Duration {
        self.until
    }

    /// The wait is over.
    pub fn over(self, elapsed: Duration) -> Step {
        Step::Look(Look { times: self.times, silent: Some(self.silent), began: elapsed })
    }
}

/// A server that hangs and will be killed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Hung {
    pid: u32,
    sign: Sign,
    lock: Duration,
}

/// Check whether another process than the opened one holds the lifetime lock. Processes in different PID namespaces may
/// have the same PID and start time.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Owner {
    hung: Hung,
}

impl Owner {
    /// Returns the PID of the opened process.
    pub const fn pid(&self) -> u32 {
        self.hung.pid
    }

    /// The opened process holds the lock, or the system does not report it.
    pub fn not_held_by_another(self) -> Step {
        Step::Kill(Kill { hung: self.hung })
    }

    /// Another process holds the lock.
    pub fn held_by_another(self) -> Step {
        Step::Done(Done::Unidentified)
    }
}

/// Kill the opened process.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kill {
    hung: Hung,
}

impl Kill {
    /// Returns the PID of the process.
    pub const fn pid(&self) -> u32 {
        self.hung.pid
    }

    /// Returns the sign that the server made no progress.
    pub const fn sign(&self) -> Sign {
        self.hung.sign
    }

    /// The process was killed. Its locks are released when its last thread is gone.
    pub fn killed(self, elapsed: Duration) -> Step {
        Step::Probe(Probe { hung: self.hung, killed: elapsed })
    }
}

/// Probe the lifetime lock of a server that was killed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Probe {
    hung: Hung,
    killed: Duration,
}

impl Probe {
    /// The result of the probe.
    pub fn answered(self, lifetime: Lifetime, elapsed: Duration) -> Step {
        let Hung { pid, sign, lock } = self.hung;
        let waited = elapsed.saturating_sub(self.killed);
        match lifetime {
            Lifetime::Free | Lifetime::Absent => Step::Done(Done::Ended { pid, sign }),
            Lifetime::CannotTell => Step::Done(Done::Trouble),
            Lifetime::Held if waited < lock => Step::Backoff(Backoff { next: After::Probe(self) }),
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
    /// The wait is over.
    pub fn over(self, elapsed: Duration) -> Step {
        match self.next {
            After::Look(times, silent) => Step::Look(Look { times, silent, began: elapsed }),
            After::Probe(probe) => Step::Probe(probe),
        }
    }
}

#[cfg(test)]
mod tests;
