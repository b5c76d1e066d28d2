//! How long anything may take, and how much of it there may be.

use std::time::Duration;

use crate::error::Error;

/// The limits of a service. The defaults suit a helper of interactive programs.
///
/// They hang together, and [`Descriptor::limits`](crate::Descriptor::limits) checks that they do:
/// `start + patience < drain`, `drain + start + patience < connect`, `check ≤ 2 × patience`, nothing is zero and
/// nothing longer than a year.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How long a connect may take in all. 30 s.
    pub connect: Duration,
    /// How long a server may take from its start until it is ready. 8 s.
    pub start: Duration,
    /// How long a dial may take. More than a second, after which a full backlog is tried again. 1.5 s.
    pub patience: Duration,
    /// How often a server looks after its files. 2 s.
    pub check: Duration,
    /// How long a connection may take until it is welcomed. 5 s.
    pub handshake: Duration,
    /// How long a server that retires waits for its clients. 10 s.
    pub drain: Duration,
    /// After how long without a client a server retires; `None`: never. 10 minutes.
    pub idle: Option<Duration>,
    /// How many connections without a welcome a server keeps; the oldest goes first. 1,024.
    pub lobby: usize,
    /// How many clients are served at once; the next wait for their welcome. `None`: any number.
    pub clients: Option<usize>,
}

const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(30),
            start: Duration::from_secs(8),
            patience: Duration::from_millis(1500),
            check: Duration::from_secs(2),
            handshake: Duration::from_secs(5),
            drain: Duration::from_secs(10),
            idle: Some(Duration::from_secs(600)),
            lobby: 1024,
            clients: None,
        }
    }
}

impl Limits {
    /// All times divided by `divisor`, which is not 0, for tests that cannot wait.
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

    pub(crate) fn checked(self) -> Result<Self, Error> {
        let Limits { connect, start, patience, check, handshake, drain, idle, lobby, clients } = self;
        let times = [connect, start, patience, check, handshake, drain];
        if times.iter().any(Duration::is_zero) || lobby == 0 || clients == Some(0) {
            return Err(Error::Usage("these limits do not hang together: none but idle may be zero".into()));
        }
        if times.iter().chain(&idle).any(|time| *time > YEAR) {
            return Err(Error::Usage(
                "these limits do not hang together: none may be longer than a year; for no end of idleness, `None`"
                    .into(),
            ));
        }
        let broken = [
            (start + patience >= drain, "start + patience < drain"),
            (drain + start + patience >= connect, "drain + start + patience < connect"),
            (check > 2 * patience, "check ≤ 2 × patience"),
        ];
        match broken.iter().find(|(broken, _)| *broken) {
            None => Ok(self),
            Some((_, rule)) => Err(Error::Usage(format!("these limits do not hang together: {rule} must hold"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hang_together_and_so_do_their_fractions() {
        Limits::default().checked().unwrap();
        Limits::default().divided_by(20).checked().unwrap();
    }

    #[test]
    fn limits_that_do_not_hang_together_are_refused_with_the_rule() {
        let text = Limits { drain: Duration::from_secs(9), ..Limits::default() }.checked().unwrap_err().to_string();
        assert!(text.contains("start + patience < drain"), "{text}");
    }

    #[test]
    fn limits_that_are_nothing_or_for_ever_are_refused() {
        for (limits, rule) in [
            (Limits { idle: Some(Duration::MAX), ..Limits::default() }, "longer than a year"),
            (Limits { connect: Duration::MAX, start: Duration::MAX, ..Limits::default() }, "longer than a year"),
            (Limits { handshake: Duration::ZERO, ..Limits::default() }, "zero"),
            (Limits { lobby: 0, ..Limits::default() }, "zero"),
        ] {
            let text = limits.checked().unwrap_err().to_string();
            assert!(text.contains(rule), "{text}");
        }
    }
}
