//! Tells the caller of a call what the call waits for: the decisions of [`crate::proto::waiting`] over a clock and the
//! caller's function.
//!
//! The loops report each step here before its effect: [`Teller::saw`]. While the effect waits, the driver calls
//! [`Teller::tell`] at the time that [`Teller::due`] has. Over tokio that is done in one place for all effects,
//! [`Teller::during`]. A driver whose effects block the thread does it where they block.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
#[cfg(feature = "tokio")]
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use super::files::life;
use super::os::{clock, locks};
use super::sync::Instant;
use crate::pid::Pid;
use crate::proto::life::Drains;
use crate::proto::timing;
use crate::proto::waiting::{Cause, Holder, Kind, Seen, Times, Waits};
use crate::service::Service;
use crate::waiting::{Waiting, WaitingFor};

/// The waits of one call. Without a function to tell them to, it does nothing.
pub(super) struct Teller<'a> {
    service: &'a Service,
    began: Instant,
    times: Times,
    waits: Mutex<Waits>,
}

impl<'a> Teller<'a> {
    /// Begins a call that gives up after `call`, and awaits the exit of a process that it kills for `exit`.
    pub(super) fn new(service: &'a Service, call: Duration, exit: Duration) -> Self {
        let limits = &service.limits;
        let life_file = timing::wait_for_a_life_file(limits.check, limits.patience);
        let times = Times { call, start: limits.start, life_file, exit, late: limits.patience };
        Teller { service, began: Instant::now(), times, waits: Mutex::default() }
    }

    /// Begins a connect.
    pub(super) fn of_connect(service: &'a Service) -> Self {
        Teller::new(service, service.limits.connect, service.limits.patience)
    }

    /// Begins an inspection.
    pub(super) fn of_inspect(service: &'a Service) -> Self {
        Teller::new(service, service.limits.patience, Duration::ZERO)
    }

    /// Begins the end of a server that does not answer.
    pub(super) fn of_end(service: &'a Service) -> Self {
        Teller::new(service, service.limits.connect, service.limits.lock)
    }

    /// Returns the time since the call began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Records what a step waits for.
    pub(super) fn saw(&self, seen: Seen, now: Duration) {
        if self.service.on_wait.is_some() {
            self.waits().saw(seen, now);
        }
    }

    /// Returns when there is something to tell, as a time since the call began. It stays the same until the next step.
    pub(super) fn due(&self) -> Option<Duration> {
        self.service.on_wait.as_ref().and_then(|_| self.waits().due())
    }

    /// Tells the caller what is due now.
    pub(super) fn tell(&self, now: Duration) {
        let Some(on_wait) = &self.service.on_wait else { return };
        let Some(told) = self.waits().tell(now) else { return };
        let holder = self.holder(told.cause.kind);
        let Cause { kind, pid } = told.cause.held_by(holder);
        let left = self.times.until(told, holder, now).saturating_sub(now);
        let waited = now.saturating_sub(told.since);
        on_wait.tell(&Waiting { what: WaitingFor::of(kind), pid: pid.and_then(Pid::new), waited, left });
    }

    /// Does this work of the call, and tells meanwhile what it waits for.
    #[cfg(feature = "tokio")]
    pub(super) async fn during<F: Future>(&self, work: F) -> F::Output {
        if self.service.on_wait.is_none() {
            return work.await;
        }
        let mut work = pin!(work);
        let mut timer = pin!(tokio::time::sleep_until(self.began));
        poll_fn(|task| {
            if let Poll::Ready(output) = work.as_mut().poll(task) {
                return Poll::Ready(output);
            }
            while let Some(due) = self.due() {
                if timer.deadline() != self.began + due {
                    timer.as_mut().reset(self.began + due);
                }
                if timer.as_mut().poll(task).is_pending() {
                    break;
                }
                self.tell(self.now().max(due));
            }
            Poll::Pending
        })
        .await
    }

    /// Returns the holder of the lock that is waited for, as the system reports it.
    fn holder(&self, kind: Kind) -> Holder {
        match kind {
            Kind::PointLock => Holder { pid: locks::holder(&self.service.point), drains: None },
            Kind::LifetimeLock | Kind::Drain => {
                let listed = locks::holder(&self.service.life);
                match life::drains(&self.service.life, listed) {
                    Some(Drains { pid, until }) => {
                        let drains = Duration::from_secs(until).saturating_sub(clock::since_1970());
                        Holder { pid: Some(pid), drains: Some(drains) }
                    }
                    None => Holder { pid: listed, drains: None },
                }
            }
            _ => Holder::default(),
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::sleep;

    use super::*;
    use crate::waiting::OnWait;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// What a caller was told, and when.
    type ToldAt = Arc<Mutex<Vec<(u128, String)>>>;

    /// Returns a service, and what its function is told.
    fn service() -> (Service, ToldAt) {
        let told = ToldAt::default();
        let (tells, began) = (told.clone(), Instant::now());
        let on_wait = OnWait::new(move |waiting: &Waiting| {
            tells.lock().unwrap().push((began.elapsed().as_millis(), waiting.to_string()));
        });
        (Service { on_wait: Some(on_wait), ..Service::sample("/nowhere") }, told)
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_is_told_while_the_work_waits_and_not_after_it() {
        let (service, told) = service();
        let teller = Teller::of_connect(&service);
        let work = async {
            teller.saw(Seen::waits(Kind::Start, Some(7)), teller.now());
            sleep(secs(5)).await;
            assert_eq!(told.lock().unwrap().len(), 1, "it was told meanwhile");
            teller.saw(Seen::waits(Kind::Answer, Some(7)), teller.now());
            sleep(secs(1)).await;
            teller.saw(Seen::waits(Kind::Drain, Some(7)), teller.now());
            "done"
        };
        assert_eq!(teller.during(work).await, "done");
        sleep(secs(60)).await;
        let told: Vec<_> = std::mem::take(&mut *told.lock().unwrap());
        let lines = [
            (100, "waiting for server 7 to start: at most 8 s more"),
            (5100, "waiting for an answer of server 7: at most 25 s more"),
        ];
        assert_eq!(told, lines.map(|(at, line)| (at, line.to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_dropped_tells_nothing_more() {
        let (service, told) = service();
        let teller = Teller::of_connect(&service);
        teller.saw(Seen::waits(Kind::Start, None), teller.now());
        let work = teller.during(std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::from_millis(50), work).await.is_err());
        sleep(secs(60)).await;
        assert!(told.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_the_callers_function_is_a_panic_of_the_call() {
        let on_wait = OnWait::new(|_| panic!("a spinner fell over"));
        let service = Service { on_wait: Some(on_wait), ..Service::sample("/nowhere") };
        let call = tokio::spawn(async move {
            let teller = Teller::of_connect(&service);
            teller.saw(Seen::waits(Kind::Start, None), teller.now());
            teller.during(sleep(secs(5))).await;
        });
        assert!(call.await.unwrap_err().is_panic());
    }
}
