//! The limits of a service: how long each step may take, and how many connections there may be.

use std::time::Duration;

use crate::error::{Error, Usage};

/// The limits of a service. The defaults suit a helper of interactive programs.
///
/// They depend on each other. The call that needs them checks that `start + patience < lock`,
/// `lock + start + patience < connect`, `check ≤ 2 × patience` (`docs/protocol.md` has the reasons), that no limit but
/// `drain` and `idle` is zero, and that none is longer than a year.
///
/// Each side uses its own limits, so build the same descriptor in both: a client whose `connect` is shorter than the
/// server's `drain` gives up on a server that is about to end. All times are measured by the monotonic clock.
///
/// ```
/// # use rendezvous_ipc::Limits;
/// # use std::time::Duration;
/// let mut limits = Limits::default();
/// limits.idle = Some(Duration::from_secs(60)); // `None`: the server stays
/// limits.max_clients = Some(8);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How long a connect may take in all. It also limits a retire until the server has received the request, and a
    /// server that was started by hand until it knows whether it may serve. 30 s.
    pub connect: Duration,
    /// How long a server may take from its start until it is ready. The limit of the process that starts it counts. 8
    /// s.
    pub start: Duration,
    /// In the client, how long a dial may take. Keep it above a second, after which a full backlog is tried again. In
    /// the server, the least time that its handler has to end. 1.5 s.
    pub patience: Duration,
    /// How often the server checks its files where the system may not report all changes of them. Raise it together
    /// with `patience` (`check ≤ 2 × patience`) for fewer wake-ups. Where it reports all, the server checks at each
    /// report, and after 16 times this, at most 32 s and at least `check`. The period is rounded to a power of two of
    /// milliseconds, 1/32 longer at most: 2 s are 2.048 s, 32 s are 32.768 s. 2 s.
    pub check: Duration,
    /// How long a connection to the server may take to complete the handshake. 5 s.
    pub handshake: Duration,
    /// How long a server tries to get the point lock: to retire when it was asked to, or to restore its record. Then it
    /// retires without withdrawing its record, or tries again at its next check. In a client, how long
    /// [`end_unresponsive`](crate::Descriptor::end_unresponsive) waits for the end of a process that it killed. 10 s.
    pub lock: Duration,
    /// How long a server that retires waits for its clients. Zero: their sessions end at once, which gives the handler
    /// `patience`. 10 s.
    ///
    /// A client that meets a server that drains waits for its end, up to its own `connect`. If `drain` is longer, a
    /// connect may end with [`Error::Deadline`], whose [holder](crate::Holder::Draining) is the server that drains, with
    /// its PID and until when.
    pub drain: Duration,
    /// How long the server stays without a client before it retires; `None`: for ever. An internal server ends with its
    /// last connection. 10 minutes.
    pub idle: Option<Duration>,
    /// How many connections that have not completed the handshake the server keeps, but at most half of the files that
    /// its process may open. It drops the oldest first. 1,024.
    pub max_pending: usize,
    /// How many clients the server serves at once. Further ones wait for their welcome, up to their own `connect`.
    /// `None`: as many as it has descriptors for, and 512 if each session has a
    /// [thread](crate::Descriptor::thread_handler).
    pub max_clients: Option<usize>,
}

const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(30),
            start: Duration::from_secs(8),
            patience: Duration::from_millis(1500),
            check: Duration::from_secs(2),
            // This is longer than any dial. A connection that takes longer is silent, or slow on purpose.
            handshake: Duration::from_secs(5),
            lock: Duration::from_secs(10),
            drain: Duration::from_secs(10),
            idle: Some(Duration::from_secs(600)),
            // This is far more than arrive at once. Each costs a descriptor and some 2 KiB.
            max_pending: 1024,
            max_clients: None,
        }
    }
}

impl Limits {
    /// Divides all times by `divisor`, for tests that cannot wait. Counts stay as they are.
    ///
    /// # Panics
    /// If `divisor` is 0.
    ///
    /// ```
    /// # use rendezvous_ipc::Limits;
    /// assert_eq!(Limits::default().divided_by(10).connect.as_secs(), 3);
    /// ```
    #[must_use]
    pub fn divided_by(self, divisor: u32) -> Self {
        Limits {
            connect: self.connect / divisor,
            start: self.start / divisor,
            patience: self.patience / divisor,
            check: self.check / divisor,
            handshake: self.handshake / divisor,
            lock: self.lock / divisor,
            drain: self.drain / divisor,
            idle: self.idle.map(|idle| idle / divisor),
            ..self
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let Limits { connect, start, patience, check, handshake, lock, drain, idle, max_pending, max_clients } = *self;
        let times = [connect, start, patience, check, handshake, lock];
        if times.iter().any(Duration::is_zero) || max_pending == 0 || max_clients == Some(0) {
            return Err(Error::Usage(Usage::Limits("no limit but `drain` and `idle` may be zero")));
        }
        if times.iter().chain(&idle).chain([&drain]).any(|time| *time > YEAR) {
            return Err(Error::Usage(Usage::Limits(
                "no limit may be longer than a year; with `idle` at `None` the server stays",
            )));
        }
        let broken = [
            (start + patience >= lock, "start + patience < lock must hold"),
            (lock + start + patience >= connect, "lock + start + patience < connect must hold"),
            (check > 2 * patience, "check ≤ 2 × patience must hold"),
        ];
        match broken.iter().find(|(broken, _)| *broken) {
            None => Ok(()),
            Some((_, rule)) => Err(Error::Usage(Usage::Limits(rule))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_limits_and_their_fractions_are_consistent() {
        Limits::default().check().unwrap();
        Limits::default().divided_by(20).check().unwrap();
    }

    #[test]
    fn inconsistent_limits_are_refused_with_the_rule_they_break() {
        for (limits, rule) in [
            (Limits { lock: Duration::from_secs(9), ..Limits::default() }, "start + patience < lock"),
            (Limits { lock: Duration::from_secs(21), ..Limits::default() }, "lock + start + patience < connect"),
            (Limits { check: Duration::from_secs(4), ..Limits::default() }, "check ≤ 2 × patience"),
        ] {
            let text = limits.check().unwrap_err().to_string();
            assert!(text.contains(rule), "{text}");
        }
    }

    #[test]
    fn a_drain_may_last_from_nothing_to_a_year() {
        for drain in [Duration::ZERO, Duration::from_secs(60), YEAR] {
            Limits { drain, ..Limits::default() }.check().unwrap();
        }
    }

    #[test]
    fn limits_of_zero_or_above_a_year_are_refused() {
        for (limits, rule) in [
            (Limits { idle: Some(Duration::MAX), ..Limits::default() }, "longer than a year"),
            (Limits { connect: Duration::MAX, start: Duration::MAX, ..Limits::default() }, "longer than a year"),
            (Limits { drain: Duration::MAX, ..Limits::default() }, "longer than a year"),
            (Limits { handshake: Duration::ZERO, ..Limits::default() }, "zero"),
            (Limits { lock: Duration::ZERO, ..Limits::default() }, "zero"),
            (Limits { max_pending: 0, ..Limits::default() }, "zero"),
        ] {
            let text = limits.check().unwrap_err().to_string();
            assert!(text.contains(rule), "{text}");
        }
    }
}
