//! How long anything may take, and how much of it there may be.

use std::time::Duration;

use crate::error::{Error, Usage};

/// The limits of a service. The defaults suit a helper of interactive programs.
///
/// They hang together, and [`Descriptor::limits`](crate::Descriptor::limits) checks that they do:
/// `start + patience < drain`, `drain + start + patience < connect`, `check ≤ 2 × patience`, nothing is zero but
/// `idle`, and nothing longer than a year.
///
/// Each side goes by its own, so let both build the same descriptor: a client whose `connect` is shorter than the
/// server's `drain` gives up on a server that is about to be gone. All times are of the monotonic clock.
///
/// ```
/// # use rendezvous_ipc::Limits;
/// # use std::time::Duration;
/// let mut limits = Limits::default();
/// limits.idle = Some(Duration::from_secs(60)); // `None`: it stays
/// limits.max_clients = Some(8);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How long a connect may take in all; also a retire until it has told the server, and a server by hand until it
    /// knows whether it may serve. 30 s.
    pub connect: Duration,
    /// How long a server may take from its start until it is ready. Its starter's counts. 8 s.
    pub start: Duration,
    /// The client's: how long a dial may take. More than a second, after which a full backlog is tried again. The
    /// server's: how long its handler has at least to come to its end. 1.5 s.
    pub patience: Duration,
    /// The server's: how often it looks after its files. 2 s.
    pub check: Duration,
    /// The server's: how long a connection may take until it is welcomed. 5 s.
    pub handshake: Duration,
    /// The server's: how long it tries for the point lock when it is told to retire, and how long it waits then for
    /// its clients. A client that asks for it waits for both. 10 s.
    pub drain: Duration,
    /// The server's: after how long without a client it retires; `None`: never. An internal server ends with its last
    /// connection. 10 minutes.
    pub idle: Option<Duration>,
    /// The server's: how many connections without a welcome it keeps, but for half of what its process may open; the
    /// oldest goes first. 1,024.
    pub max_pending: usize,
    /// The server's: how many clients it serves at once; the next wait for their welcome, up to their `connect`.
    /// `None`: as many as it has descriptors for.
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
            // Longer than any dial: who is still there says nothing, or says it slowly on purpose.
            handshake: Duration::from_secs(5),
            drain: Duration::from_secs(10),
            idle: Some(Duration::from_secs(600)),
            // Far more than come at once, and each costs a descriptor and some 2 KiB.
            max_pending: 1024,
            max_clients: None,
        }
    }
}

impl Limits {
    /// All times divided by `divisor`, for tests that cannot wait. Counts stay as they are.
    ///
    /// # Panics
    /// Where `divisor` is 0.
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
            drain: self.drain / divisor,
            idle: self.idle.map(|idle| idle / divisor),
            ..self
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let Limits { connect, start, patience, check, handshake, drain, idle, max_pending, max_clients } = *self;
        let times = [connect, start, patience, check, handshake, drain];
        if times.iter().any(Duration::is_zero) || max_pending == 0 || max_clients == Some(0) {
            return Err(Error::Usage(Usage::Limits("none but idle may be zero")));
        }
        if times.iter().chain(&idle).any(|time| *time > YEAR) {
            return Err(Error::Usage(Usage::Limits("none may be longer than a year; for no end of idleness, `None`")));
        }
        let broken = [
            (start + patience >= drain, "start + patience < drain must hold"),
            (drain + start + patience >= connect, "drain + start + patience < connect must hold"),
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
        let text = Limits { drain: Duration::from_secs(9), ..Limits::default() }.check().unwrap_err().to_string();
        assert!(text.contains("start + patience < drain"), "{text}");
    }

    #[test]
    fn limits_of_zero_or_above_a_year_are_refused() {
        for (limits, rule) in [
            (Limits { idle: Some(Duration::MAX), ..Limits::default() }, "longer than a year"),
            (Limits { connect: Duration::MAX, start: Duration::MAX, ..Limits::default() }, "longer than a year"),
            (Limits { handshake: Duration::ZERO, ..Limits::default() }, "zero"),
            (Limits { max_pending: 0, ..Limits::default() }, "zero"),
        ] {
            let text = limits.check().unwrap_err().to_string();
            assert!(text.contains(rule), "{text}");
        }
    }
}
