//! The effects of a client over tokio and this system.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::child::Child;
use super::effects::{self, Effects, NoChild};
use super::files::life;
use super::files::point::{self, Guard};
use super::net::dial::{self, DialError};
use super::random;
use crate::error::Error;
use crate::os::lock::TryLock;
use crate::proto::address::Address;
use crate::proto::connect::Lifetime;
use crate::proto::cookie::Cookie;
use crate::proto::random::Random;
use crate::proto::record::Line;
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
    type Child = Child;
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

    async fn pause(&mut self, pause: Duration) {
        sleep(pause).await;
    }

    fn read<F>(&mut self, read: fn(&[u8]) -> F) -> Result<Option<F>, Error> {
        point::read_as(&self.service.point, read)
    }

    fn try_lock(&mut self, creates: bool) -> Result<TryLock<Guard>, Error> {
        match creates {
            true => point::try_lock_at_home(&self.service.point, self.service.context.home()),
            false => point::try_lock_to_look(&self.service.point),
        }
    }

    fn probe(&mut self, point: &Guard) -> (Lifetime, Option<Error>) {
        life::probe(point, &self.service.life)
    }

    async fn spawn(&mut self, cookie: &Cookie, budget: Duration) -> Result<Child, NoChild> {
        Child::spawn(self.service, cookie, budget).await
    }

    async fn connect(&mut self, address: Address, until: Duration) -> Result<Socket, DialError> {
        dial::connect(&self.service.point, address, self.began + until).await
    }

    async fn send(&mut self, stream: &mut Socket, message: &[u8], until: Duration) -> Result<(), DialError> {
        dial::send(stream, message, self.began + until).await
    }

    async fn receive<const N: usize>(&mut self, stream: &mut Socket, until: Duration) -> Result<[u8; N], DialError> {
        dial::receive(stream, self.began + until).await
    }
}

impl effects::Point for Guard {
    fn read<F>(&mut self, read: fn(&[u8]) -> F) -> Result<F, Error> {
        self.found_as(read)
    }

    fn is_current(&self) -> Result<bool, Error> {
        Guard::is_current(self)
    }

    fn clear(&mut self) -> Result<(), Error> {
        Guard::clear(self)
    }

    fn write(&mut self, line: &Line) -> Result<(), Error> {
        self.write_line(line)
    }
}
