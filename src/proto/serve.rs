//! The start of a server of the native dialect: from a lifetime lock to *Serve*.
//!
//! ```text
//!   Watch ─▶ Claim ─▶ Build ─▶ Listen ─▶ Ready ─▶ Registered ─▶ Serve      (started by a spawner)
//!            Claim ─▶ Build ─▶ Listen ─▶ Write ─▶ Unlock ─────▶ Serve      (started by hand)
//! ```
//!
//! The [`serving`] machine continues from there, and wherever the start fails.
//!
//! Both together guarantee: `SingleServing` and `OneHandler` (the lifetime lock is held from before Build until after
//! Drain), `NoLiveInvalidation` (only Withdraw and Restore change a registered point, under the point lock),
//! `NoLostConnect` (clients are counted at one [`Gate`](serving::Gate), which Look shuts).

mod check;
mod startup;

use super::serving::{self, Done, Facts, Holds};

pub use self::check::{LifeFile, may_withdraw};
pub use self::startup::{Build, Claim, Listen, Ready, Refuse, Registered, Watch, Write};

/// How this server was started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Starter {
    /// A client, which holds the point lock and registers the server.
    Spawner,
    /// The user. The server itself holds the point lock and writes its record.
    Hand,
}

/// The effect that the driver performs next. Each variant but the last is an action of the protocol.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Step {
    Watch(Watch),
    Claim(Claim),
    Build(Build),
    Listen(Listen),
    Ready(Ready),
    Registered(Registered),
    Write(Write),
    Refuse(Refuse),
    /// The start is over: the step of the serving machine.
    Serving(serving::Step),
}

impl Step {
    /// Returns the first step. A server that was started by hand holds the point lock, and has cleared the point.
    pub const fn new(starter: Starter) -> Self {
        match starter {
            Starter::Spawner => Step::Watch(Watch(())),
            Starter::Hand => Step::Claim(Claim { starter }),
        }
    }

    /// Returns the name of this step's action in the protocol.
    pub const fn name(&self) -> &'static str {
        match self {
            Step::Watch(_) => "Watch",
            Step::Claim(_) => "Claim",
            Step::Build(_) => "Build",
            Step::Listen(_) => "Listen",
            Step::Ready(_) => "Ready",
            Step::Registered(_) => "Registered",
            Step::Write(_) => "Write",
            Step::Refuse(_) => "Refuse",
            Step::Serving(step) => step.name(),
        }
    }

    /// Returns what is held during this step.
    pub const fn holds(&self) -> Holds {
        let (lock, life) = match self {
            Step::Watch(_) => (false, false),
            Step::Claim(Claim { starter }) => (matches!(starter, Starter::Hand), false),
            Step::Build(Build { starter }) | Step::Listen(Listen { starter }) => {
                (matches!(starter, Starter::Hand), true)
            }
            Step::Refuse(Refuse { done }) => (false, matches!(done, Done::Failed)),
            Step::Ready(_) | Step::Registered(_) => (false, true),
            Step::Write(_) => (true, true),
            Step::Serving(step) => return step.holds(),
        };
        Holds { lock, life }
    }

    /// Returns the data of this step.
    pub fn facts(&self) -> Facts {
        match self {
            Step::Refuse(Refuse { done }) => Facts::of_end(*done),
            Step::Serving(step) => step.facts(),
            _ => Facts::default(),
        }
    }
}

impl From<serving::Step> for Step {
    fn from(step: serving::Step) -> Self {
        Step::Serving(step)
    }
}

#[cfg(test)]
mod tests;
