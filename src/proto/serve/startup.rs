//! The steps of a server's start, up to *Serve*.

use core::time::Duration;

use super::{Done, Starter, Step, serving};

/// Starts the watchdog, which ends this process unless it is registered in time, and reads the spawner's order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Watch(pub(super) ());

impl Watch {
    /// The order was received.
    pub fn ordered(self) -> Step {
        Step::Claim(Claim { starter: Starter::Spawner })
    }
}

/// Tries the lifetime lock repeatedly: an orphan or a predecessor that drains may still hold it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Claim {
    pub(super) starter: Starter,
}

impl Claim {
    /// Returns the part of the start's time that may be spent on the tries. It is half, so that *busy* reaches the
    /// spawner before it gives up.
    pub fn share(&self, budget: Duration) -> Duration {
        budget / 2
    }

    /// The server holds the lock, and keeps it until its end.
    pub fn claimed(self) -> Step {
        Step::Build(Build { starter: self.starter })
    }

    /// Another process held the lock for all of that time.
    pub fn busy(self) -> Step {
        self.starter.refuse(Done::Busy)
    }
}

impl Starter {
    fn refuse(self, done: Done) -> Step {
        match self {
            Starter::Spawner => Step::Refuse(Refuse { done }),
            Starter::Hand => Step::Serving(serving::Step::gives_up_locked(done)),
        }
    }
}

/// Builds the handler.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Build {
    pub(super) starter: Starter,
}

impl Build {
    /// The handler is built.
    pub fn built(self) -> Step {
        Step::Listen(Listen { starter: self.starter })
    }

    /// The handler could not be built.
    pub fn failed(self) -> Step {
        self.starter.refuse(Done::Failed)
    }
}

/// Listens on the loopback.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Listen {
    pub(super) starter: Starter,
}

impl Listen {
    /// The kernel accepts connections. The server does not answer any yet.
    pub fn listening(self) -> Step {
        match self.starter {
            Starter::Spawner => Step::Ready(Ready(())),
            Starter::Hand => Step::Write(Write(())),
        }
    }

    /// No port or socket is available.
    pub fn failed(self) -> Step {
        self.starter.refuse(Done::Failed)
    }
}

/// Sends *ready* with the record.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ready(pub(super) ());

impl Ready {
    /// The message was sent.
    pub fn replied(self) -> Step {
        Step::Registered(Registered(()))
    }
}

/// Waits for *registered*. Until then the server proves nothing to any client: the spawner may die before it sends it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Registered(pub(super) ());

impl Registered {
    /// The message was received, and the gate is open.
    pub fn registered(self) -> Step {
        Step::Serving(serving::Step::registered())
    }
}

/// Writes this server's own record, in one write at offset 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write(pub(super) ());

impl Write {
    /// The record is written completely, and the gate is open.
    pub fn written(self) -> Step {
        Step::Serving(serving::Step::wrote())
    }
}

/// Sends *busy* or *failed* to the spawner.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Refuse {
    pub(super) done: Done,
}

impl Refuse {
    /// The message was sent, or the spawner is gone.
    pub fn replied(self) -> Step {
        Step::Serving(serving::Step::gives_up(self.done))
    }
}
