//! The effects of a client that block its thread.

use std::future::Future;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::watching::Watching;
use super::{dial, reach_the_deadline};
use crate::driver::child::Child;
use crate::driver::effects::{Effects, NoChild};
use crate::driver::files::life;
use crate::driver::files::point::{self, Guard};
use crate::driver::net::dial::{DialError, judge};
use crate::driver::random;
use crate::driver::waiting::Teller;
use crate::error::Error;
use crate::os::blocking::Blocking;
use crate::os::lock::TryLock;
use crate::os::scope;
use crate::proto::address::Address;
use crate::proto::connect::{DialFailure, Lifetime};
use crate::proto::cookie::Cookie;
use crate::proto::handshake::Party;
use crate::proto::random::Random;
use crate::proto::scope::Place;
use crate::proto::timing::Bound;
use crate::service::Service;
use crate::stage::Stage;

/// The files, processes and sockets of a service.
pub(super) struct System<'a> {
    service: &'a Service,
    clock: Clock<'a>,
}

impl<'a> System<'a> {
    /// Starts the clock of a call whose waits bound it.
    pub(super) fn new(service: &'a Service, teller: &'a Teller<'a>) -> Self {
        System { service, clock: Clock { began: Instant::now(), deadline: None, teller } }
    }

    /// Starts the clock of a call that ends after `limit`.
    pub(super) fn until(service: &'a Service, limit: Duration, teller: &'a Teller<'a>) -> Self {
        System { service, clock: Clock { began: Instant::now(), deadline: Some(limit), teller } }
    }
}

/// The time of one call, from its beginning, and what tells the caller for what it waits.
#[derive(Clone, Copy)]
pub(super) struct Clock<'a> {
    began: Instant,
    /// `None`: each wait has its own bound, and the call ends by them.
    deadline: Option<Duration>,
    teller: &'a Teller<'a>,
}

impl Clock<'_> {
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until `own` at the latest. If the deadline of the call comes first, the returned future never ends.
    ///
    /// `wait` returns `None` at the time that it gets. It is called again after the caller was told what the call waits
    /// for.
    pub(super) async fn bounded<T, E>(
        &self,
        own: Duration,
        mut wait: impl FnMut(Instant) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let bound = Bound::of(own, self.deadline);
        loop {
            // The time of the caller's function is one more that may come first.
            let due = self.teller.due().map(|due| (due, self.now() + due.saturating_sub(self.teller.now())));
            let until = Bound::of(bound.until(), due.map(|(_, due)| due));
            match (wait(self.began + until.until())?, until, due) {
                (None, Bound::Deadline(_), Some((due, _))) => self.teller.tell(self.teller.now().max(due)),
                (None, ..) => break,
                (done, ..) => return Ok(done),
            }
        }
        match bound {
            Bound::Own(_) => Ok(None),
            Bound::Deadline(_) => reach_the_deadline().await,
        }
    }

    /// Waits for so long.
    pub(super) async fn pause(&self, pause: Duration) {
        let wait = |until: Instant| -> Result<Option<()>, Error> {
            thread::sleep(until.saturating_duration_since(Instant::now()));
            Ok(None)
        };
        let _ = self.bounded(self.now() + pause, wait).await;
    }

    /// Waits for the other side of a dial.
    async fn dial<T>(
        &self,
        until: Duration,
        wait: impl FnMut(Instant) -> io::Result<Option<T>>,
    ) -> Result<T, DialError> {
        let waited = self.bounded(until, wait).await.map_err(judge)?;
        waited.ok_or(DialError::Failed(DialFailure::TimedOut))
    }
}

impl<'a> Effects for System<'a> {
    type Point = Guard;
    type Child = Child<Watching<'a>>;
    type Stream = Blocking;

    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn random(&mut self) -> Result<Random, Error> {
        random::draw()
    }

    fn jitter(&mut self) -> Result<u8, Error> {
        random::bytes().map(|[byte]| byte)
    }

    /// The limit is the deadline of the clock, which each effect keeps.
    async fn within<T>(_limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        super::within(work).await
    }

    async fn pause(&mut self, pause: Duration) {
        self.clock.pause(pause).await;
    }

    fn place(&mut self) -> Result<Place, Error> {
        scope::place(self.service.context.home())
    }

    fn read<F>(&mut self, read: fn(&[u8]) -> F) -> Result<Option<F>, Error> {
        point::read_as(&self.service.point, read)
    }

    fn try_lock(&mut self, creates: bool) -> Result<TryLock<Guard>, Error> {
        point::try_lock_for(&self.service.point, self.service.context.home(), creates)
    }

    fn probe(&mut self, point: &Guard) -> (Lifetime, Option<Error>) {
        life::probe(point, &self.service.life)
    }

    async fn spawn(&mut self, cookie: &Cookie, budget: Duration) -> Result<Child<Watching<'a>>, NoChild> {
        let watched = Watching::start(self.clock)
            .map_err(|source| NoChild::Local(Error::System { stage: Stage::Spawn, source }))?;
        Child::spawn(self.service, cookie, budget, watched).await
    }

    fn party(&self) -> Party {
        self.service.party()
    }

    async fn connect(&mut self, address: Address, until: Duration) -> Result<Blocking, DialError> {
        let point = &self.service.point;
        self.clock.dial(until, |until| dial::connect(point, address, until)).await?.map_err(DialError::from)
    }

    async fn send(&mut self, stream: &mut Blocking, message: &[u8], until: Duration) -> Result<(), DialError> {
        let mut left = message;
        self.clock.dial(until, |until| stream.send_until(&mut left, until)).await
    }

    async fn receive<const N: usize>(&mut self, stream: &mut Blocking, until: Duration) -> Result<[u8; N], DialError> {
        let (mut message, mut len) = ([0; N], 0);
        self.clock.dial(until, |until| stream.receive_until(&mut message, &mut len, until)).await?;
        Ok(message)
    }

    async fn ended(&mut self, stream: &mut Blocking, longest: Duration) -> bool {
        let ended = self.clock.bounded(self.now() + longest, |until| stream.readable_until(until)).await;
        !matches!(ended, Ok(None))
    }
}
