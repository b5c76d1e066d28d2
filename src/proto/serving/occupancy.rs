//! The clients and reasons that keep a server from being idle, and its idle period.

use core::time::Duration;

use super::{Gate, Retire};

/// A timer that is later than this shows that the process was stopped or got no CPU time.
const LATE: Duration = Duration::from_millis(100);

/// The clients of a server, counted at its [`Gate`]; the reasons its handler has to stay; and the idle period.
#[derive(Clone, Debug, Default)]
pub struct Occupancy {
    gate: Gate,
    /// The number of reasons, besides clients, that the handler has to stay.
    reasons: u32,
    /// How much work of the handler waits for the retirement, or runs since.
    closing: u32,
    /// When the idle period began: at the registration, or when the last client and the last reason were gone.
    empty_since: Duration,
    /// Until when connections that arrived before a late timer are still accepted.
    accepts_until: Option<Duration>,
}

impl Occupancy {
    /// Returns the state of a server that does not serve yet.
    pub const fn new() -> Self {
        Occupancy { gate: Gate::new(), reasons: 0, closing: 0, empty_since: Duration::ZERO, accepts_until: None }
    }

    /// Opens the gate, and begins the idle period.
    pub fn open(&mut self, now: Duration) {
        self.gate.open();
        self.restart_idle(now);
    }

    /// Restarts the idle period.
    pub fn restart_idle(&mut self, now: Duration) {
        self.empty_since = now;
        self.accepts_until = None;
    }

    /// Returns whether the server serves.
    pub fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// Returns how many clients are counted.
    pub fn counted(&self) -> u32 {
        self.gate.counted()
    }

    /// Counts a client and returns true, or returns false if the server does not serve.
    #[must_use]
    pub fn admit(&mut self) -> bool {
        self.gate.admit()
    }

    /// Stops counting a client, whose connection is over. Returns whether no client is left, so that waiters look
    /// again.
    #[must_use]
    pub fn leave(&mut self, now: Duration) -> bool {
        self.gate.leave();
        self.left(now)
    }

    /// Adds a reason to stay.
    pub fn add_reason(&mut self) {
        self.reasons += 1;
    }

    /// Removes a reason to stay. Returns the same as [`leave`](Occupancy::leave).
    #[must_use]
    pub fn drop_reason(&mut self, now: Duration) -> bool {
        self.reasons -= 1;
        self.left(now)
    }

    /// Adds work that begins with the retirement. It keeps no server from being idle, and a drain waits for it.
    pub fn add_closing(&mut self) {
        self.closing += 1;
    }

    /// Removes such work, which is done. Returns whether nothing is left that a drain waits for.
    #[must_use]
    pub fn drop_closing(&mut self) -> bool {
        self.closing -= 1;
        self.remaining() == 0
    }

    /// Returns for how much a drain waits: the clients that are counted, and the work that began with the retirement.
    pub fn remaining(&self) -> u32 {
        self.gate.counted().saturating_add(self.closing)
    }

    fn left(&mut self, now: Duration) -> bool {
        if self.is_empty() {
            self.restart_idle(now);
        }
        self.gate.counted() == 0
    }

    fn is_empty(&self) -> bool {
        self.gate.counted() == 0 && self.reasons == 0
    }

    /// *Look*: shuts the gate where it can, and returns whether it is shut. A reason to stay keeps an idle server open
    /// as a client does.
    #[must_use]
    pub fn look(&mut self, why: Retire) -> bool {
        (why != Retire::Idle || self.reasons == 0) && self.gate.look(why)
    }

    /// Returns when the idle period is over if no client arrives; `None` if it has not begun or the server has none.
    pub fn idle_at(&self, period: Option<Duration>) -> Option<Duration> {
        let until = || period.map(|period| self.empty_since.saturating_add(period));
        if self.is_empty() { self.accepts_until.or_else(until) } else { None }
    }

    /// Returns whether the idle period is over now.
    ///
    /// After the process was stopped or the machine suspended, the timer fires before the connections that arrived
    /// meanwhile are accepted. After a late timer they therefore get `patience` to become clients.
    #[must_use]
    pub fn is_idle(&mut self, period: Option<Duration>, patience: Duration, now: Duration) -> bool {
        let Some(until) = self.idle_at(period).filter(|until| *until <= now) else { return false };
        if self.accepts_until.is_some() || now - until < LATE {
            return true;
        }
        self.accepts_until = Some(now.saturating_add(patience));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Option<Duration> = Some(Duration::from_secs(10));

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened(now: u64) -> Occupancy {
        let mut occupancy = Occupancy::new();
        occupancy.open(s(now));
        occupancy
    }

    #[test]
    fn idle_counts_from_the_registration_and_from_the_last_departure() {
        let mut server = opened(100);
        assert_eq!(server.idle_at(PERIOD), Some(s(110)), "not from its creation");
        assert!(server.admit() && server.admit());
        assert_eq!(server.idle_at(PERIOD), None);
        assert!(!server.leave(s(120)), "one is left");
        assert_eq!(server.idle_at(PERIOD), None);
        server.add_reason();
        assert!(server.leave(s(130)), "a server that drains looks again");
        assert_eq!(server.idle_at(PERIOD), None, "the handler has a reason");
        assert!(!server.clone().look(Retire::Idle));
        assert!(server.drop_reason(s(140)));
        assert_eq!(server.idle_at(PERIOD), Some(s(150)));
        server.restart_idle(s(145));
        assert_eq!(server.idle_at(PERIOD), Some(s(155)), "the point lock was busy");
        assert_eq!(server.idle_at(None), None, "without a period it is never idle");
    }

    #[test]
    fn a_reason_to_stay_prevents_only_retirement_for_idleness() {
        for (why, shut) in [(Retire::Idle, false), (Retire::Requested, true), (Retire::Lost, true)] {
            let mut server = opened(0);
            server.add_reason();
            assert_eq!((server.look(why), server.is_open()), (shut, !shut), "{why:?}");
        }
    }

    #[test]
    fn work_that_begins_with_the_retirement_is_drained_and_keeps_no_server() {
        for why in [Retire::Idle, Retire::Requested, Retire::Lost] {
            let mut server = opened(0);
            server.add_closing();
            server.add_closing();
            assert_eq!((server.counted(), server.idle_at(PERIOD)), (0, Some(s(10))), "it is no client");
            assert!(server.is_idle(PERIOD, s(1), s(10)) && server.look(why), "{why:?}");
            assert_eq!(server.remaining(), 2);
            assert!(!server.drop_closing() && server.drop_closing());
        }
        let mut server = opened(0);
        server.add_closing();
        assert!(server.admit() && server.look(Retire::Requested));
        assert_eq!(server.remaining(), 2);
        assert!(!server.drop_closing(), "a client is left");
        assert!(server.leave(s(1)));
        assert_eq!(server.remaining(), 0);
    }

    #[test]
    fn every_cell_of_the_end_of_the_idle_period() {
        for (clients, period, now, idle) in [
            (0, PERIOD, s(9), false),
            (0, PERIOD, s(10), true),
            (0, PERIOD, s(10) + LATE / 2, true),
            (0, PERIOD, s(10) + LATE, false),
            (1, PERIOD, s(10), false),
            (0, None, s(10), false),
        ] {
            let mut server = opened(0);
            assert!((0..clients).all(|_| server.admit()));
            assert_eq!(server.is_idle(period, s(1), now), idle, "{clients} clients, {period:?}, at {now:?}");
        }
    }

    #[test]
    fn a_late_timer_waits_once_for_connections_that_arrived_before_it() {
        let mut server = opened(0);
        assert!(!server.is_idle(PERIOD, s(1), s(50)));
        assert_eq!(server.idle_at(PERIOD), Some(s(51)));
        let mut visited = server.clone();
        assert!(visited.admit() && visited.leave(s(51)));
        assert_eq!(visited.idle_at(PERIOD), Some(s(61)), "a client arrived: the period restarts");
        assert!(server.is_idle(PERIOD, s(1), s(90)), "no client arrived, however late the timer is");
    }
}
