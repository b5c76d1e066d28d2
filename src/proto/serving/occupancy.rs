//! Who keeps a server from being idle, and since when nobody does.

use core::time::Duration;

use super::{Gate, Retire};

/// A timer that is later than this was not ours to keep: the process was stopped, or starved.
const LATE: Duration = Duration::from_millis(100);

/// The clients of a server, counted at its [`Gate`]; the reasons its handler has to stay; and the idle period.
#[derive(Clone, Debug, Default)]
pub struct Occupancy {
    gate: Gate,
    /// How many reasons the handler has to stay, besides clients.
    reasons: u32,
    /// When the idle period began: at the registration, and when the last client and the last reason were gone.
    empty_since: Duration,
    /// Until when the connections are heard that waited while the timer was late.
    hears_until: Option<Duration>,
}

impl Occupancy {
    /// A server that does not serve yet.
    pub const fn new() -> Self {
        Occupancy { gate: Gate::new(), reasons: 0, empty_since: Duration::ZERO, hears_until: None }
    }

    /// The server serves from here on: the idle period begins.
    pub fn open(&mut self, now: Duration) {
        self.gate.open();
        self.rest(now);
    }

    /// Begins the idle period anew.
    pub fn rest(&mut self, now: Duration) {
        self.empty_since = now;
        self.hears_until = None;
    }

    /// Returns whether the server serves.
    pub fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// Returns how many clients are counted.
    pub fn counted(&self) -> u32 {
        self.gate.counted()
    }

    /// Counts a client, or refuses it.
    #[must_use]
    pub fn admit(&mut self) -> bool {
        self.gate.admit()
    }

    /// A counted client's connection is over. Answers whether somebody who waits has to look again.
    #[must_use]
    pub fn leave(&mut self, now: Duration) -> bool {
        self.gate.leave();
        self.left(now)
    }

    /// Adds a reason to stay.
    pub fn add_reason(&mut self) {
        self.reasons += 1;
    }

    /// A reason to stay is gone. Answers as [`leave`](Occupancy::leave) does.
    #[must_use]
    pub fn drop_reason(&mut self, now: Duration) -> bool {
        self.reasons -= 1;
        self.left(now)
    }

    fn left(&mut self, now: Duration) -> bool {
        if self.is_empty() {
            self.rest(now);
        }
        self.gate.counted() == 0
    }

    fn is_empty(&self) -> bool {
        self.gate.counted() == 0 && self.reasons == 0
    }

    /// *Look*: returns whether the gate is shut now. A reason to stay keeps an idle server as a client does.
    #[must_use]
    pub fn look(&mut self, why: Retire) -> bool {
        (why != Retire::Idle || self.reasons == 0) && self.gate.look(why)
    }

    /// Returns when the idle period is over, unless somebody comes; `None`: it has not begun, or there is none.
    pub fn idle_at(&self, period: Option<Duration>) -> Option<Duration> {
        let until = || period.map(|period| self.empty_since.saturating_add(period));
        if self.is_empty() { self.hears_until.or_else(until) } else { None }
    }

    /// Returns whether the idle period is over now.
    ///
    /// After a long stop or a suspended night the timer is over before the connections that came meanwhile are heard. So
    /// after a late timer they have `patience` to become clients.
    #[must_use]
    pub fn is_idle(&mut self, period: Option<Duration>, patience: Duration, now: Duration) -> bool {
        let Some(until) = self.idle_at(period).filter(|until| *until <= now) else { return false };
        if self.hears_until.is_some() || now - until < LATE {
            return true;
        }
        self.hears_until = Some(now.saturating_add(patience));
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
        assert!(server.leave(s(130)), "who drains looks again");
        assert_eq!(server.idle_at(PERIOD), None, "the handler has a reason");
        assert!(!server.clone().look(Retire::Idle));
        assert!(server.drop_reason(s(140)));
        assert_eq!(server.idle_at(PERIOD), Some(s(150)));
        server.rest(s(145));
        assert_eq!(server.idle_at(PERIOD), Some(s(155)), "the point lock was busy");
        assert_eq!(server.idle_at(None), None, "without a period it is never idle");
    }

    #[test]
    fn a_reason_to_stay_holds_up_nothing_but_idleness() {
        for (why, shut) in [(Retire::Idle, false), (Retire::Requested, true), (Retire::Lost, true)] {
            let mut server = opened(0);
            server.add_reason();
            assert_eq!((server.look(why), server.is_open()), (shut, !shut), "{why:?}");
        }
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
    fn a_late_timer_hears_those_who_waited_and_does_so_once() {
        let mut server = opened(0);
        assert!(!server.is_idle(PERIOD, s(1), s(50)));
        assert_eq!(server.idle_at(PERIOD), Some(s(51)));
        let mut visited = server.clone();
        assert!(visited.admit() && visited.leave(s(51)));
        assert_eq!(visited.idle_at(PERIOD), Some(s(61)), "one came: the period begins anew");
        assert!(server.is_idle(PERIOD, s(1), s(90)), "nobody came, however late it is");
    }
}
