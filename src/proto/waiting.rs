//! What a call waits for, and when its caller is told.
//!
//! A machine's steps say what is waited for: [`super::connect::Trail`] and [`super::end::Step::seen`]. [`Waits`] decides
//! when that has lasted long enough to be told. This module reads no clock. Times count from the beginning of the call.

use core::time::Duration;

/// How long something is waited for before the caller is told. Up to a tenth of a second an answer seems immediate to a
/// person. The dial of a live server, and the start of one that builds its handler at once, take a tenth of that.
pub const GRACE: Duration = Duration::from_millis(100);

/// The kind of a wait.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A server starts.
    Start,
    /// A server was dialled, and has not answered.
    Answer,
    /// A server has said that it is full.
    Full,
    /// A server retires: it was asked to, or its life file says so.
    Drain,
    /// A process holds the lifetime lock, and no record names it.
    LifetimeLock,
    /// A process holds the point lock.
    PointLock,
    /// A server whose life file is gone has to make it again.
    LifeFile,
    /// A server is alive, and cannot be reached from here.
    OutOfReach,
    /// A process was killed, and has to be gone.
    Exit,
}

/// What is waited for: the kind, and the process if it is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cause {
    /// The kind of the wait.
    pub kind: Kind,
    /// The process that is waited for.
    pub pid: Option<u32>,
}

/// What the system reports about the holder of the lock that is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holder {
    /// The process.
    pub pid: Option<u32>,
    /// How much longer it drains at most, if its life file says that it drains.
    pub drains: Option<Duration>,
}

impl Cause {
    /// Returns this cause with the holder of its lock, which the caller looks up when there is something to tell.
    pub const fn held_by(self, holder: Holder) -> Self {
        match (self.kind, holder.drains) {
            (Kind::LifetimeLock, Some(_)) => Cause { kind: Kind::Drain, pid: holder.pid },
            (Kind::LifetimeLock, None) | (Kind::PointLock, _) => Cause { kind: self.kind, pid: holder.pid },
            _ => self,
        }
    }

    /// Returns whether this is the same wait as `before`. A process that is not known may be the one before; and the
    /// record that named a server is withdrawn before the server drains.
    fn continues(self, before: Cause) -> bool {
        let same_kind = self.kind == before.kind || (self.kind, before.kind) == (Kind::LifetimeLock, Kind::Drain);
        same_kind && (self.pid.is_none() || self.pid == before.pid)
    }
}

/// What a step says about a wait.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Seen {
    /// Nothing: what was waited for may go on.
    Nothing,
    /// The point lock is held, so it is not waited for.
    Locked,
    /// This is waited for.
    Waits(Cause),
}

impl Seen {
    /// Returns that this is waited for.
    pub const fn waits(kind: Kind, pid: Option<u32>) -> Self {
        Seen::Waits(Cause { kind, pid })
    }
}

/// A wait that has lasted for [`GRACE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// What is waited for.
    pub cause: Cause,
    /// Since when.
    pub since: Duration,
}

impl Told {
    const fn due(self) -> Duration {
        self.since.saturating_add(GRACE)
    }
}

/// The waits of one call, and what its caller was told.
///
/// Each wait is told once. A client that waits for a server also meets other clients, and the lock is busy for a moment.
/// Then it cannot look, and what it waits for may go on. So a busy lock replaces another wait only if it was busy at each
/// try for [`GRACE`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Waits {
    /// What is waited for besides the point lock, and since when.
    current: Option<(Cause, Duration)>,
    /// Since when each try of the point lock has failed.
    busy: Option<Duration>,
    told: Option<Cause>,
}

const POINT_LOCK: Cause = Cause { kind: Kind::PointLock, pid: None };

impl Waits {
    /// Records what a step says.
    pub fn saw(&mut self, seen: Seen, now: Duration) {
        match seen {
            Seen::Nothing => {}
            Seen::Locked => self.busy = None,
            Seen::Waits(Cause { kind: Kind::PointLock, .. }) => _ = self.busy.get_or_insert(now),
            Seen::Waits(cause) => {
                self.busy = None;
                if !self.current.is_some_and(|(before, _)| cause.continues(before)) {
                    self.current = Some((cause, now));
                }
            }
        }
    }

    /// Returns when there is something to tell. `None`: not before a step says something else.
    pub fn due(&self) -> Option<Duration> {
        self.first().map(Told::due)
    }

    /// Returns what is to be told now.
    pub fn tell(&mut self, now: Duration) -> Option<Told> {
        let told = self.first().filter(|told| told.due() <= now)?;
        self.told = Some(told.cause);
        if told.cause == POINT_LOCK {
            // It is told again if it is seen again.
            self.current = None;
        }
        Some(told)
    }

    /// Returns the wait that is told next.
    fn first(&self) -> Option<Told> {
        let current = self.current.map(|(cause, since)| Told { cause, since });
        let busy = self.busy.map(|since| Told { cause: POINT_LOCK, since });
        let is_new = |wait: &Told| self.told != Some(wait.cause);
        current.into_iter().chain(busy).filter(is_new).min_by_key(|wait| wait.since)
    }
}

/// How long a call waits for each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// When the call gives up.
    pub call: Duration,
    /// How long a start may take.
    pub start: Duration,
    /// How long a server is given to make its life file again.
    pub life_file: Duration,
    /// How long the exit of a process that was killed is awaited.
    pub exit: Duration,
    /// How much later than it said a server may be gone that drains: the time that its handler has to end.
    pub late: Duration,
}

impl Times {
    /// Returns until when the call waits at most. A server that drains says how much longer, as seen now.
    pub fn until(&self, told: Told, holder: Holder, now: Duration) -> Duration {
        let longest = match (told.cause.kind, holder.drains) {
            (Kind::Start, _) => self.start,
            (Kind::LifeFile, _) => self.life_file,
            // It follows the call where that was `end_unresponsive`.
            (Kind::Exit, _) => return told.since.saturating_add(self.exit),
            (Kind::Drain | Kind::LifetimeLock, Some(drains)) if told.cause.held_by(holder).pid == holder.pid => {
                return now.saturating_add(drains).saturating_add(self.late).min(self.call);
            }
            (Kind::Drain | Kind::LifetimeLock | Kind::Answer | Kind::Full | Kind::PointLock | Kind::OutOfReach, _) => {
                return self.call;
            }
        };
        told.since.saturating_add(longest).min(self.call)
    }
}

#[cfg(test)]
mod tests;
