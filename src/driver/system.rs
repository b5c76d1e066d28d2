//! The effects of a client over tokio and this system.

use std::future::Future;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

use super::child::Child;
use super::effects::{Effects, NoChild};
use super::files::life;
use super::files::point::{self, Guard};
use super::net::dial::DialError;
use super::net::timed;
use super::os::scope;
use super::random;
use super::watching::Watching;
use crate::error::Error;
use crate::os::lock::TryLock;
use crate::proto::address::Address;
use crate::proto::connect::Lifetime;
use crate::proto::cookie::Cookie;
use crate::proto::handshake::Party;
use crate::proto::random::Random;
use crate::proto::scope::Place;
use crate::service::Service;
use crate::stream::Socket;

/// The files, processes and sockets of a service.
pub(super) struct System<'a> {
    service: &'a Service,
    began: Instant,
}

impl<'a> System<'a> {
    /// Starts the clock of the connect.
    pub(super) fn new(service: &'a Service) -> Self {
        System { service, began: Instant::now() }
    }
}

impl Effects for System<'_> {
    type Point = Guard;
    type Child = Child<Watching>;
    type Stream = Socket;

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn random(&mut self) -> Result<Random, Error> {
        random::draw()
    }

    fn jitter(&mut self) -> Result<u8, Error> {
        random::bytes().map(|[byte]| byte)
    }

    async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        timeout(limit, work).await.ok()
    }

    async fn pause(&mut self, pause: Duration) {
        sleep(pause).await;
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

    async fn spawn(&mut self, cookie: &Cookie, budget: Duration) -> Result<Child<Watching>, NoChild> {
        Child::spawn(self.service, cookie, budget, Watching::start()).await
    }

    fn party(&self) -> Party {
        self.service.party()
    }

    async fn connect(&mut self, address: Address, until: Duration) -> Result<Socket, DialError> {
        timed::connect(&self.service.point, address, self.began + until).await
    }

    async fn send(&mut self, stream: &mut Socket, message: &[u8], until: Duration) -> Result<(), DialError> {
        timed::send(stream, message, self.began + until).await
    }

    async fn answer(&mut self, stream: &mut Socket, message: &[u8], until: Duration) -> Result<(), DialError> {
        stream.forget_readiness();
        timed::send(stream, message, self.began + until).await
    }

    async fn receive<const N: usize>(&mut self, stream: &mut Socket, until: Duration) -> Result<[u8; N], DialError> {
        timed::receive(stream, self.began + until).await
    }

    async fn ended(&mut self, stream: &mut Socket, longest: Duration) -> bool {
        timeout(longest, stream.read(&mut [0])).await.is_ok()
    }
}
