//! A server's start, up to *Serve*.

use core::time::Duration;

use super::{Done, Starter, Step, serving};

/// Start the watchdog, which ends this process unless it is registered in time; read the spawner's order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Watch(pub(super) ());

impl Watch {
    /// The order came.
    pub fn ordered(self) -> Step {
        Step::Claim(Claim { starter: Starter::Spawner })
    }
}

/// Try the lifetime lock, again and again: an orphan or a predecessor that drains may still hold it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Claim {
    pub(super) starter: Starter,
}

impl Claim {
    /// Returns which part of the time for the whole start may be spent on it. It is half: *busy* has to be said before the
    /// spawner gives up.
    pub fn share(&self, budget: Duration) -> Duration {
        budget / 2
    }

    /// It is held now, to the end.
    pub fn claimed(self) -> Step {
        Step::Build(Build { starter: self.starter })
    }

    /// It was held by somebody else for all the time there was.
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

/// Build the handler.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Build {
    pub(super) starter: Starter,
}

impl Build {
    /// There is one.
    pub fn built(self) -> Step {
        Step::Listen(Listen { starter: self.starter })
    }

    /// There is none.
    pub fn failed(self) -> Step {
        self.starter.refuse(Done::Failed)
    }
}

/// Listen on the loopback.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Listen {
    pub(super) starter: Starter,
}

impl Listen {
    /// The kernel accepts; nothing is answered yet.
    pub fn listening(self) -> Step {
        match self.starter {
            Starter::Spawner => Step::Ready(Ready(())),
            Starter::Hand => Step::Write(Write(())),
        }
    }

    /// There is no port, or no socket.
    pub fn failed(self) -> Step {
        self.starter.refuse(Done::Failed)
    }
}

/// Say *ready*, with the record.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ready(pub(super) ());

impl Ready {
    /// It was said.
    pub fn said(self) -> Step {
        Step::Registered(Registered(()))
    }
}

/// Await *registered*. Until then nothing is proved to anybody: the spawner may die before it is said.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Registered(pub(super) ());

impl Registered {
    /// It came; the gate is open.
    pub fn registered(self) -> Step {
        Step::Serving(serving::Step::registered())
    }
}

/// Write the own record, in one write at offset 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write(pub(super) ());

impl Write {
    /// It is there, whole; the gate is open.
    pub fn written(self) -> Step {
        Step::Serving(serving::Step::wrote())
    }
}

/// Say *busy* or *failed* to the spawner.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Refuse {
    pub(super) done: Done,
}

impl Refuse {
    /// It was said, or nobody was there to hear it.
    pub fn said(self) -> Step {
        Step::Serving(serving::Step::gives_up(self.done))
    }
}
