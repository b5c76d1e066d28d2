//! The request to retire, and how long a server continues after it.
//!
//! This module reads no clock. Callers pass a moment as the time since a fixed start.

use core::time::Duration;

use super::{Backoff, Retire, Step};

/// Whether a server was asked to retire, when it was first asked, whether it waits for its clients, and what its handler
/// is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shutdown {
    /// When it was first asked, and by what.
    requested: Option<(Duration, Cause)>,
    signalled: bool,
    forced: bool,
    announced: Option<Cause>,
}

/// Why a server retires, as its handler is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// There was no client for the idle period.
    Idle,
    /// A client or the handler requested it.
    Requested,
    /// A client requested it that starts a server of this version, which is newer.
    Replaced(u32),
    /// A signal requested it.
    Signal,
    /// The point or the life file belongs to another server now.
    Lost,
}

impl Shutdown {
    /// Returns the state without a request.
    pub const fn new() -> Self {
        Shutdown { requested: None, signalled: false, forced: false, announced: None }
    }

    /// Asks the server to retire. Returns whether this is the first request; a later one postpones nothing.
    pub fn request(&mut self, now: Duration) -> bool {
        self.request_for(Cause::Requested, now)
    }

    /// Asks the server to retire, for a client that starts a server of this version instead, or none if it is 0. Returns
    /// what [`request`](Shutdown::request) does.
    pub fn replace(&mut self, by: u32, now: Duration) -> bool {
        self.request_for(if by == 0 { Cause::Requested } else { Cause::Replaced(by) }, now)
    }

    fn request_for(&mut self, cause: Cause, now: Duration) -> bool {
        let first = self.requested.is_none();
        self.requested.get_or_insert((now, cause));
        first
    }

    /// Asks the server to retire, for the program that ends its own part of it, unless the gate is shut. Sessions that the
    /// server keeps then get no deadline by it. Returns whether this is the first request.
    pub fn leave(&mut self, now: Duration) -> bool {
        self.announced.is_none() && self.request(now)
    }

    /// Handles a signal. The first asks the server to retire, the second not to wait for its clients. Returns whether
    /// the server's loop has to be woken.
    pub fn signal(&mut self, now: Duration) -> bool {
        if self.signalled {
            return !core::mem::replace(&mut self.forced, true);
        }
        self.signalled = true;
        self.request_for(Cause::Signal, now)
    }

    /// Returns when the server was first asked to retire.
    pub fn requested(&self) -> Option<Duration> {
        self.requested.map(|(at, _)| at)
    }

    /// Announces to the handler that the gate is shut, for this reason. Returns whether it was not announced before.
    pub fn announce(&mut self, why: Retire) -> bool {
        let first = self.announced.is_none();
        self.announced.get_or_insert(match why {
            Retire::Idle => Cause::Idle,
            Retire::Lost => Cause::Lost,
            Retire::Requested => self.requested.map_or(Cause::Requested, |(_, cause)| cause),
        });
        first
    }

    /// Returns why the server retires, once no client is admitted any more.
    pub const fn announced(&self) -> Option<Cause> {
        self.announced
    }

    /// Returns whether the server ends without waiting for its clients.
    pub const fn is_forced(&self) -> bool {
        self.forced
    }
}

/// When a server began to try the point lock for its current purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tries {
    since: Option<Duration>,
}

impl Tries {
    /// Records that the server is at a step. *Lock* begins the tries unless they have begun; *Serve* ends them.
    pub fn record(&mut self, step: &Step, now: Duration) {
        match step {
            Step::Serve(_) => self.since = None,
            Step::Lock(_) => self.since = self.since.or(Some(now)),
            _ => {}
        }
    }

    /// Returns whether *Backoff* gives up: the home is gone, so there is nothing to lock or to withdraw; or `lock` has
    /// passed since the request to retire, or since the first try if there was no request.
    pub fn are_over(&self, requested: Option<Duration>, home_is_gone: bool, lock: Duration, now: Duration) -> bool {
        let began = requested.or(self.since).unwrap_or(now);
        home_is_gone || now >= began.saturating_add(lock)
    }
}

impl Backoff {
    /// Tries again after the pause: to retire, if that was requested.
    pub fn again(self, requested: bool) -> Step {
        if requested { self.requested() } else { self.elapsed() }
    }
}

/// How long *Drain* waits for the clients that are left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draining {
    until: Option<Duration>,
    drain: Duration,
}

impl Draining {
    /// Begins now, with a limit unless the server keeps its sessions.
    pub const fn new(now: Duration, drain: Duration, keeps_sessions: bool) -> Self {
        Draining { until: if keeps_sessions { None } else { Some(now.saturating_add(drain)) }, drain }
    }

    /// Returns the deadline, if there is one.
    pub const fn until(&self) -> Option<Duration> {
        self.until
    }

    /// Retirement was requested: a server that keeps its sessions has a deadline from now on.
    pub fn request(&mut self, now: Duration) {
        self.until.get_or_insert(now.saturating_add(self.drain));
    }

    /// Returns whether the server still waits: a client or work of the handler remains, the end is not forced, and the
    /// deadline is not over.
    pub fn waits(&self, remaining: u32, forced: bool, now: Duration) -> bool {
        remaining > 0 && !forced && self.until.is_none_or(|until| now < until)
    }

    /// Returns how long the handler may take to end: the rest of the drain, but at least `patience`.
    pub fn left_for_the_handler(&self, patience: Duration, now: Duration) -> Duration {
        patience.max(self.until.unwrap_or(now).saturating_sub(now))
    }
}

/// What *Release* does with the lifetime lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LifetimeLock {
    /// It is released: a successor may begin.
    Release,
    /// The lock stays held until the process ends, since code of the handler cannot be stopped and may still run.
    Leave,
}

impl LifetimeLock {
    /// Returns what *Release* does: no successor may begin while code of the handler runs. A client or work that remains
    /// when the handler has ended is in a thread of the program's own.
    pub const fn after(handler_runs: bool, remaining: u32) -> Self {
        if handler_runs || remaining > 0 { LifetimeLock::Leave } else { LifetimeLock::Release }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lock, Purpose, Serve, Unlock};
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_second_request_postpones_nothing() {
        let mut shutdown = Shutdown::new();
        assert_eq!(shutdown.requested(), None);
        assert!(shutdown.request(s(3)));
        assert!(!shutdown.request(s(5)));
        assert!(!shutdown.signal(s(7)), "a signal after a request is no first request");
        assert_eq!((shutdown.requested(), shutdown.is_forced()), (Some(s(3)), false));
    }

    #[test]
    fn a_program_that_leaves_a_server_which_retires_requests_nothing() {
        for (requested, announced, first, at) in [
            (None, None, true, Some(s(3))),
            (None, Some(Retire::Idle), false, None),
            (None, Some(Retire::Lost), false, None),
            (Some(s(1)), None, false, Some(s(1))),
            (Some(s(1)), Some(Retire::Requested), false, Some(s(1))),
        ] {
            let mut shutdown = Shutdown::new();
            assert!(
                requested.is_none_or(|at| shutdown.request(at)) && announced.is_none_or(|why| shutdown.announce(why))
            );
            assert_eq!((shutdown.leave(s(3)), shutdown.requested()), (first, at), "{requested:?}, {announced:?}");
            assert_eq!(shutdown.request(s(5)), at.is_none(), "an explicit request counts always");
        }
    }

    #[test]
    fn a_second_signal_forces_the_end_with_or_without_a_request_before() {
        for requested in [false, true] {
            let mut shutdown = Shutdown::new();
            assert!(!requested || shutdown.request(s(1)));
            assert_eq!(shutdown.signal(s(2)), !requested);
            assert!(!shutdown.is_forced());
            assert!(shutdown.signal(s(3)) && shutdown.is_forced());
            assert!(!shutdown.signal(s(4)) && shutdown.is_forced());
            assert_eq!(shutdown.requested(), Some(s(if requested { 1 } else { 2 })));
        }
    }

    #[test]
    fn every_cell_of_the_cause_that_a_handler_is_told() {
        // The requests in their order. `Replaced(0)` is a client that starts no server.
        use Cause::{Replaced, Requested, Signal};
        for (requests, requested) in [
            (&[][..], Requested),
            (&[Requested], Requested),
            (&[Signal], Signal),
            (&[Replaced(8)], Replaced(8)),
            (&[Replaced(0)], Requested),
            (&[Requested, Signal], Requested),
            (&[Requested, Replaced(8)], Requested),
            (&[Replaced(0), Replaced(8)], Requested),
            (&[Signal, Requested], Signal),
            (&[Signal, Replaced(8)], Signal),
            (&[Signal, Signal], Signal),
            (&[Replaced(8), Requested], Replaced(8)),
            (&[Replaced(8), Signal], Replaced(8)),
            (&[Replaced(8), Replaced(9)], Replaced(8)),
        ] {
            for (why, cause) in
                [(Retire::Idle, Cause::Idle), (Retire::Lost, Cause::Lost), (Retire::Requested, requested)]
            {
                let mut shutdown = Shutdown::new();
                for request in requests {
                    _ = match *request {
                        Signal => shutdown.signal(s(1)),
                        Replaced(by) => shutdown.replace(by, s(1)),
                        _ => shutdown.request(s(1)),
                    };
                }
                assert_eq!(shutdown.announced(), None, "it still serves");
                assert!(shutdown.announce(why));
                assert!(!shutdown.announce(Retire::Requested), "the first cause stays");
                assert_eq!(shutdown.announced(), Some(cause), "{requests:?}, {why:?}");
            }
        }
    }

    #[test]
    fn tries_begin_at_the_first_lock_and_end_at_serve() {
        let serve = Step::Serve(Serve(()));
        let lock = Step::Lock(Lock { purpose: Purpose::Restore });
        let backoff = Step::Backoff(Backoff { purpose: Purpose::Restore });
        let unlock = Step::Unlock(Unlock { then: super::super::Then::Serve });
        let mut tries = Tries::default();
        for (step, now, since) in [
            (&serve, 1, None),
            (&lock, 2, Some(s(2))),
            (&backoff, 3, Some(s(2))),
            (&lock, 4, Some(s(2))),
            (&unlock, 5, Some(s(2))),
            (&serve, 6, None),
            (&lock, 7, Some(s(7))),
        ] {
            tries.record(step, s(now));
            assert_eq!(tries.since, since, "at {now}");
        }
    }

    #[test]
    fn a_deadline_counts_from_the_request_or_else_from_the_first_try() {
        let tries = Tries { since: Some(s(10)) };
        for (requested, now, over) in [
            (None, 10, false),
            (None, 14, false),
            (None, 15, true),
            (Some(s(7)), 11, false),
            (Some(s(7)), 12, true),
            (Some(s(12)), 15, false),
            (Some(s(12)), 16, false),
            (Some(s(12)), 17, true),
        ] {
            assert_eq!(tries.are_over(requested, false, s(5), s(now)), over, "{requested:?}, at {now}");
            assert!(tries.are_over(requested, true, s(5), s(now)), "without a home there is nothing to lock");
        }
        assert!(!tries.are_over(None, false, Duration::MAX, s(100)), "an endless drain never gives up");
    }

    #[test]
    fn a_request_during_back_off_makes_the_next_try_retire() {
        for purpose in [Purpose::Requested, Purpose::Restore] {
            for (requested, next) in [(false, purpose), (true, Purpose::Requested)] {
                assert_eq!(Backoff { purpose }.again(requested), Step::Lock(Lock { purpose: next }), "{purpose:?}");
            }
        }
    }

    #[test]
    fn a_drain_ends_with_the_last_client_by_force_or_at_its_deadline() {
        let draining = Draining::new(s(10), s(5), false);
        assert_eq!(draining.until(), Some(s(15)));
        for (counted, forced, now, waits) in [
            (1, false, 10, true),
            (2, false, 14, true),
            (1, false, 15, false),
            (1, true, 10, false),
            (0, false, 10, false),
            (0, true, 10, false),
        ] {
            assert_eq!(draining.waits(counted, forced, s(now)), waits, "{counted} clients, {forced}, at {now}");
        }
        for (now, left) in [(10, 5), (12, 3), (14, 2), (20, 2)] {
            assert_eq!(draining.left_for_the_handler(s(2), s(now)), s(left), "at {now}");
        }
    }

    #[test]
    fn kept_sessions_have_no_deadline_until_a_retirement_is_requested() {
        let mut draining = Draining::new(s(10), s(5), true);
        assert_eq!(draining.until(), None);
        assert!(draining.waits(1, false, s(1_000_000)) && !draining.waits(0, false, s(11)));
        assert!(!draining.waits(1, true, s(11)), "the end is forced");
        assert_eq!(draining.left_for_the_handler(s(2), s(50)), s(2));
        draining.request(s(100));
        draining.request(s(104));
        assert_eq!(draining.until(), Some(s(105)));
        assert!(draining.waits(1, false, s(104)) && !draining.waits(1, false, s(105)));
        let mut limited = Draining::new(s(10), s(5), false);
        limited.request(s(14));
        assert_eq!(limited.until(), Some(s(15)), "a request postpones nothing");
    }

    #[test]
    fn a_lifetime_lock_outlives_code_that_cannot_be_stopped() {
        for (handler_runs, counted, lock) in [
            (false, 0, LifetimeLock::Release),
            (false, 1, LifetimeLock::Leave),
            (true, 0, LifetimeLock::Leave),
            (true, 1, LifetimeLock::Leave),
        ] {
            assert_eq!(LifetimeLock::after(handler_runs, counted), lock, "{handler_runs}, {counted} clients");
        }
    }
}
