//! The start of a server in the dialect.
//!
//! ```text
//!   ReceiveCookie ─▶ Build ─▶ Ready ───────────────────▶ Serve      (started by a client, which gave it the listener)
//!   Build ─▶ Listen ─▶ Write ─▶ Unlock ────────────────▶ Serve      (started by hand)
//! ```
//!
//! The [`serving`] machine continues from there, and wherever the start fails. This dialect differs in two points:
//!
//! - Clients of the dialect send their cookie while they hold the point lock. So while a server holds it, every client
//!   that has sent its cookie is in the listener's queue or waits to be admitted. The effect of *Look* admits these first, and
//!   then looks at the [`Gate`](serving::Gate). In this way an idle server retires without losing a client, although it
//!   sends no client a welcome.
//! - There is no lifetime lock. So [`checked`] never finds the life file gone, and *Release* releases nothing.
//!
//! If the client dies between starting the server and writing its record, the server is not registered. At its first
//! *Check* it finds an empty point and registers itself, or finds another server's record and retires.

use super::record::{Found, Record};
use crate::proto::serving::{self, Checked, Done};

/// How this server was started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Starter {
    /// A client, which created the listener, holds the point lock and registers the server.
    Client,
    /// The user. The server itself holds the point lock and writes its record.
    Hand,
}

/// The effect that the driver performs next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Step {
    ReceiveCookie(ReceiveCookie),
    Build(Build),
    Listen(Listen),
    Ready(Ready),
    Write(Write),
    /// The start is over: the step of the serving machine.
    Serving(serving::Step),
}

impl Step {
    /// Returns the first step. A server that was started by hand holds the point lock, and has cleared the point.
    pub const fn new(starter: Starter) -> Self {
        match starter {
            Starter::Client => Step::ReceiveCookie(ReceiveCookie(())),
            Starter::Hand => Step::Build(Build { starter }),
        }
    }

    /// Returns the name of this step.
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

    /// Returns whether the point lock is held during this step.
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

/// Receives the cookie from the first connection, whichever process made it. The connection stays open until *Ready*.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReceiveCookie(());

impl ReceiveCookie {
    /// The connection sent 32 bytes.
    pub fn received(self) -> Step {
        Step::Build(Build { starter: Starter::Client })
    }

    /// The connection sent fewer bytes, or no process connected in time.
    pub fn no_cookie(self) -> Step {
        Step::Serving(serving::Step::gives_up(Done::NoCookie))
    }
}

/// Builds the handler.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Build {
    starter: Starter,
}

impl Build {
    /// The handler is built.
    pub fn built(self) -> Step {
        match self.starter {
            Starter::Client => Step::Ready(Ready(())),
            Starter::Hand => Step::Listen(Listen(())),
        }
    }

    /// The handler could not be built.
    pub fn failed(self) -> Step {
        match self.starter {
            Starter::Client => Step::Serving(serving::Step::gives_up(Done::Failed)),
            Starter::Hand => Step::Serving(serving::Step::gives_up_locked(Done::Failed)),
        }
    }
}

/// Closes the connection that carried the cookie, in an orderly way. If this server ends before, the kernel resets it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ready(());

impl Ready {
    /// The connection is closed, and the gate is open.
    pub fn closed(self) -> Step {
        Step::Serving(serving::Step::registered())
    }
}

/// Listens on the loopback.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Listen(());

impl Listen {
    /// The kernel accepts connections. No client knows the port yet.
    pub fn listening(self) -> Step {
        Step::Write(Write(()))
    }

    /// No port or socket is available.
    pub fn failed(self) -> Step {
        Step::Serving(serving::Step::gives_up_locked(Done::Failed))
    }
}

/// Writes this server's own record, in one write at offset 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write(());

impl Write {
    /// The record is written completely, and the gate is open.
    pub fn written(self) -> Step {
        Step::Serving(serving::Step::wrote())
    }
}

/// Returns the result of *Check*. Without a lifetime lock, any other complete record counts as another server's.
pub fn checked(found: &Found, mine: &Record) -> Checked {
    match found {
        Found::Absent | Found::Empty | Found::Malformed(_) => Checked::Damaged,
        Found::Record(record) if record == mine => Checked::Mine,
        Found::Record(_) | Found::OtherDialect => Checked::Lost,
    }
}

/// *Withdraw*: returns whether a server may withdraw what the point holds. It may withdraw its own record, and nothing
/// else.
pub fn may_withdraw(found: &Found, mine: &Record) -> bool {
    matches!(found, Found::Record(record) if record == mine)
}
