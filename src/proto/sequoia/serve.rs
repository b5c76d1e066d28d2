//! The start of a server of the dialect.
//!
//! ```text
//!   ReceiveCookie ─▶ Build ─▶ Ready ───────────────────▶ Serve      (started by a client, which gave it the listener)
//!   Build ─▶ Listen ─▶ Write ─▶ Unlock ───────▶ Serve      (started by hand)
//! ```
//!
//! From there on, and where the start fails, it is the [`serving`] machine, with two differences that are this dialect's own:
//!
//! - Clients of the dialect say their cookie while they hold the point lock. So whoever holds it knows that all who said
//!   theirs are in the queue of the listener or are waiting to be let in. The effect of *Look* is to let them in first, and
//!   then to look at the [`Gate`](serving::Gate). That is how a server can be idle without losing anybody, though no client
//!   is told that it is counted.
//! - There is no lifetime lock. So [`checked`] never finds a server robbed, and *Release* releases nothing.
//!
//! A server that was never registered, because its client died between starting it and writing, finds an empty point at
//! its first *Check*, and registers itself; or finds another server's record, and goes.

use super::record::{Found, Record};
use crate::proto::serving::{self, Checked, Done};

/// Who started this server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Starter {
    /// A client, which listens for it, holds the point lock and registers it.
    Client,
    /// Nobody: it holds the point lock and registers itself.
    Hand,
}

/// The question that comes next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Step {
    ReceiveCookie(ReceiveCookie),
    Build(Build),
    Listen(Listen),
    Ready(Ready),
    Write(Write),
    /// The start is over.
    Serving(serving::Step),
}

impl Step {
    /// The first step. One started by hand holds the point lock, and cleared the point.
    pub const fn new(starter: Starter) -> Self {
        match starter {
            Starter::Client => Step::ReceiveCookie(ReceiveCookie(())),
            Starter::Hand => Step::Build(Build { starter }),
        }
    }

    /// The name of this step.
    pub const fn name(&self) -> &'static str {
        match self {
            Step::ReceiveCookie(_) => "ReceiveCookie",
            Step::Build(_) => "Build",
            Step::Listen(_) => "Listen",
            Step::Ready(_) => "Ready",
            Step::Write(_) => "Write",
            Step::Serving(step) => step.name(),
        }
    }

    /// Whether the point lock is held while this question is open.
    pub const fn holds_lock(&self) -> bool {
        match self {
            Step::Build(Build { starter }) => matches!(starter, Starter::Hand),
            Step::ReceiveCookie(_) | Step::Ready(_) => false,
            Step::Listen(_) | Step::Write(_) => true,
            Step::Serving(step) => step.holds().lock,
        }
    }
}

impl From<serving::Step> for Step {
    fn from(step: serving::Step) -> Self {
        Step::Serving(step)
    }
}

/// ReceiveCookie what the first connection says: that is the cookie, whoever it is. It is kept until *Ready*.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReceiveCookie(());

impl ReceiveCookie {
    /// It said 32 bytes.
    pub fn received(self) -> Step {
        Step::Build(Build { starter: Starter::Client })
    }

    /// It said less, or nobody connected in time.
    pub fn no_cookie(self) -> Step {
        Step::Serving(serving::Step::gives_up(Done::NoCookie))
    }
}

/// Build the handler.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Build {
    starter: Starter,
}

impl Build {
    /// There is one.
    pub fn built(self) -> Step {
        match self.starter {
            Starter::Client => Step::Ready(Ready(())),
            Starter::Hand => Step::Listen(Listen(())),
        }
    }

    /// There is none.
    pub fn failed(self) -> Step {
        match self.starter {
            Starter::Client => Step::Serving(serving::Step::gives_up(Done::Failed)),
            Starter::Hand => Step::Serving(serving::Step::gives_up_locked(Done::Failed)),
        }
    }
}

/// Close the connection that told the cookie, in an orderly way: it is reset if this server ends before.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ready(());

impl Ready {
    /// It is closed; the gate is open.
    pub fn said(self) -> Step {
        Step::Serving(serving::Step::registered())
    }
}

/// Listen on the loopback.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Listen(());

impl Listen {
    /// The kernel accepts; nobody knows the port yet.
    pub fn listening(self) -> Step {
        Step::Write(Write(()))
    }

    /// There is no port, or no socket.
    pub fn failed(self) -> Step {
        Step::Serving(serving::Step::gives_up_locked(Done::Failed))
    }
}

/// Write the own record, in one write at offset 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write(());

impl Write {
    /// It is there, whole; the gate is open.
    pub fn written(self) -> Step {
        Step::Serving(serving::Step::wrote())
    }
}

/// Returns what *Check* found. Without a lifetime lock another whole record is another server's, however old.
pub fn checked(found: &Found, mine: &Record) -> Checked {
    match found {
        Found::Absent | Found::Empty | Found::Malformed(_) => Checked::Damaged,
        Found::Record(record) if record == mine => Checked::Mine,
        Found::Record(_) | Found::OtherDialect => Checked::Lost,
    }
}

/// *Withdraw*: returns whether a server may withdraw what the point holds. It may withdraw its own record, and nothing else.
pub fn may_withdraw(found: &Found, mine: &Record) -> bool {
    matches!(found, Found::Record(record) if record == mine)
}
