//! The server's machine of the dialect.
//!
//! ```text
//!   Hear ─▶ Build ─▶ Ready ───────────────────▶ Serve      (started by a client, which gave it the listener)
//!   Build ─▶ Listen ─▶ Write ─▶ Unlock ───────▶ Serve      (started by hand)
//!
//!   Serve ─▶ Check ─▶ Lock ─▶ Recheck ─▶ Restore ─▶ Unlock ─▶ Serve
//!   Serve ─▶ Lock ─▶ Look ─▶ Withdraw ─▶ Close ─▶ Unlock ─▶ Drain ─▶ Done
//! ```
//!
//! Clients of the dialect say their cookie while they hold the point lock. So whoever holds it knows that all who
//! said theirs are in the queue of the listener or in the lobby: *Look* lets them in first, and then looks at the
//! [`Gate`](crate::proto::serve::Gate). That is how a server can be idle without losing anybody, though nobody is told
//! that it is counted.
//!
//! A server that was never registered, because its client died between starting it and writing, finds an empty point at
//! its first *Check*, and registers itself; or finds another server's record, and goes.

pub use super::super::serve::Retire;
use super::record::{Found, Record};

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
    Hear(Hear),
    Build(Build),
    Listen(Listen),
    Ready(Ready),
    Write(Write),
    Serve(Serve),
    Check(Check),
    Lock(Lock),
    Backoff(Backoff),
    Recheck(Recheck),
    Restore(Restore),
    Look(Look),
    Withdraw(Withdraw),
    Close(Close),
    Unlock(Unlock),
    Drain(Drain),
    Done(Done),
}

/// How a server ended. Nothing is held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Done {
    /// It served, and retired.
    Retired(Retire),
    /// Nobody told it a cookie.
    Untold,
    /// It has no handler, or nowhere to listen.
    Failed,
}

impl Step {
    /// The first step. One started by hand holds the point lock, and cleared the point.
    pub const fn new(starter: Starter) -> Self {
        match starter {
            Starter::Client => Step::Hear(Hear(())),
            Starter::Hand => Step::Build(Build { starter }),
        }
    }

    /// The name of this step.
    pub const fn name(&self) -> &'static str {
        match self {
            Step::Hear(_) => "Hear",
            Step::Build(_) => "Build",
            Step::Listen(_) => "Listen",
            Step::Ready(_) => "Ready",
            Step::Write(_) => "Write",
            Step::Serve(_) => "Serve",
            Step::Check(_) => "Check",
            Step::Lock(_) => "Lock",
            Step::Backoff(_) => "Backoff",
            Step::Recheck(_) => "Recheck",
            Step::Restore(_) => "Restore",
            Step::Look(_) => "Look",
            Step::Withdraw(_) => "Withdraw",
            Step::Close(_) => "Close",
            Step::Unlock(_) => "Unlock",
            Step::Drain(_) => "Drain",
            Step::Done(_) => "Done",
        }
    }

    /// Whether the point lock is held while this question is open.
    pub const fn holds_lock(&self) -> bool {
        match self {
            Step::Build(Build { starter }) => matches!(starter, Starter::Hand),
            Step::Listen(_) | Step::Write(_) | Step::Recheck(_) | Step::Restore(_) => true,
            Step::Withdraw(_) | Step::Unlock(_) => true,
            Step::Look(Look { held, .. }) | Step::Close(Close { held, .. }) => *held,
            _ => false,
        }
    }
}

/// Hear what the first connection says: that is the cookie, whoever it is. It is kept until *Ready*.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hear(());

impl Hear {
    /// It said 32 bytes.
    pub fn heard(self) -> Step {
        Step::Build(Build { starter: Starter::Client })
    }

    /// It said less, or nobody connected in time.
    pub fn untold(self) -> Step {
        Step::Done(Done::Untold)
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
            Starter::Client => Step::Done(Done::Failed),
            Starter::Hand => unlock(Then::Done(Done::Failed)),
        }
    }
}

/// Close the connection that told the cookie, in an orderly way: it is reset if this server ends before.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ready(());

impl Ready {
    /// It is closed; the gate is open.
    pub fn said(self) -> Step {
        Step::Serve(Serve(()))
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
        unlock(Then::Done(Done::Failed))
    }
}

/// Write the own record, in one write at offset 0.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write(());

impl Write {
    /// It is there, whole; the gate is open.
    pub fn written(self) -> Step {
        unlock(Then::Serve)
    }
}

/// Serve, until something is to be done. Clients come and go at the gate meanwhile.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Serve(());

impl Serve {
    /// It is time to look after the point.
    pub fn check(self) -> Step {
        Step::Check(Check(()))
    }

    /// Nobody has been counted for the idle period.
    pub fn idle(self) -> Step {
        Step::Lock(Lock { purpose: Purpose::Idle })
    }

    /// This server was told to retire.
    pub fn told(self) -> Step {
        Step::Lock(Lock { purpose: Purpose::Told })
    }
}

/// What *Check* found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Checked {
    /// The point holds exactly my record.
    Mine,
    /// The point is gone or damaged, and nobody else is registered: it is mine to restore.
    Damaged,
    /// The point is somebody else's.
    Lost,
    /// Reading failed; that says nothing.
    CannotTell,
}

impl Checked {
    /// What a record says. Without a lifetime lock another whole record is another server's, however old.
    pub fn of(found: &Found, mine: &Record) -> Self {
        match found {
            Found::Absent | Found::Empty | Found::Malformed(_) => Checked::Damaged,
            Found::Record(record) if record == mine => Checked::Mine,
            Found::Record(_) | Found::OtherDialect => Checked::Lost,
        }
    }
}

/// Look after the point, without a lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Check(());

impl Check {
    /// What was found.
    pub fn checked(self, checked: Checked) -> Step {
        match checked {
            Checked::Mine | Checked::CannotTell => Step::Serve(Serve(())),
            Checked::Damaged => Step::Lock(Lock { purpose: Purpose::Restore }),
            Checked::Lost => lost(),
        }
    }
}

fn lost() -> Step {
    Step::Look(Look { why: Retire::Lost, held: false })
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Purpose {
    Idle,
    Told,
    Restore,
}

/// Try the point lock, once; the path must lead to the locked file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lock {
    purpose: Purpose,
}

impl Lock {
    /// It is held now.
    pub fn got(self) -> Step {
        match self.purpose {
            Purpose::Idle => Step::Look(Look { why: Retire::Idle, held: true }),
            Purpose::Told => Step::Look(Look { why: Retire::Told, held: true }),
            Purpose::Restore => Step::Recheck(Recheck(())),
        }
    }

    /// Somebody else holds it, most likely to say a cookie. An idle server stays, and its idle period begins anew.
    pub fn busy(self) -> Step {
        match self.purpose {
            Purpose::Idle => Step::Serve(Serve(())),
            purpose => Step::Backoff(Backoff { purpose }),
        }
    }

    /// It cannot be tried: our own trouble. An idle server goes without withdrawing, for nobody else can open the
    /// point either; the others try again.
    pub fn failed(self) -> Step {
        match self.purpose {
            Purpose::Idle => Step::Look(Look { why: Retire::Idle, held: false }),
            purpose => Step::Backoff(Backoff { purpose }),
        }
    }
}

/// Wait a millisecond or two for the point lock, serving all the while.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Backoff {
    purpose: Purpose,
}

impl Backoff {
    /// The time is over: try again.
    pub fn elapsed(self) -> Step {
        Step::Lock(Lock { purpose: self.purpose })
    }

    /// This server was told to retire, now or before.
    pub fn told(self) -> Step {
        Step::Lock(Lock { purpose: Purpose::Told })
    }

    /// The drain deadline is over: a server that was told goes without withdrawing, one that restores leaves it to the
    /// next *Check*.
    pub fn overdue(self) -> Step {
        match self.purpose {
            Purpose::Told => Step::Look(Look { why: Retire::Told, held: false }),
            _ => Step::Serve(Serve(())),
        }
    }
}

/// Check once more, under the point lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Recheck(());

impl Recheck {
    /// What was found.
    pub fn checked(self, checked: Checked) -> Step {
        unlock(match checked {
            Checked::Damaged => return Step::Restore(Restore(())),
            Checked::Mine | Checked::CannotTell => Then::Serve,
            Checked::Lost => Then::Lost,
        })
    }
}

/// Truncate the point and write the own record again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Restore(());

impl Restore {
    /// It was done; whether it succeeded, the next *Check* tells.
    pub fn restored(self) -> Step {
        unlock(Then::Serve)
    }
}

/// Let in all who said their cookie, then look at the gate, and shut it: see [`Gate::look`](crate::proto::serve::Gate::look).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Look {
    why: Retire,
    held: bool,
}

impl Look {
    /// Why: what the gate wants to know.
    pub fn why(&self) -> Retire {
        self.why
    }

    /// Nobody is admitted any more.
    pub fn shut(self) -> Step {
        let Look { why, held } = self;
        if held { Step::Withdraw(Withdraw { why }) } else { Step::Close(Close { why, held }) }
    }

    /// A client was counted meanwhile: stay.
    pub fn counted(self) -> Step {
        if self.held { unlock(Then::Serve) } else { Step::Serve(Serve(())) }
    }
}

/// Truncate the point, if the record in it is mine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Withdraw {
    why: Retire,
}

impl Withdraw {
    /// Nobody can find this server any more.
    pub fn withdrawn(self) -> Step {
        Step::Close(Close { why: self.why, held: true })
    }
}

/// Stop listening, and close the connections that said nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Close {
    why: Retire,
    held: bool,
}

impl Close {
    /// Nobody can reach this server any more.
    pub fn closed(self) -> Step {
        let Close { why, held } = self;
        if held { unlock(Then::Drain(why)) } else { Step::Drain(Drain { why }) }
    }
}

/// Release the point lock, by an explicit unlock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Unlock {
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Then {
    Serve,
    Lost,
    Drain(Retire),
    Done(Done),
}

fn unlock(then: Then) -> Step {
    Step::Unlock(Unlock { then })
}

impl Unlock {
    /// It is released.
    pub fn unlocked(self) -> Step {
        match self.then {
            Then::Serve => Step::Serve(Serve(())),
            Then::Lost => lost(),
            Then::Drain(why) => Step::Drain(Drain { why }),
            Then::Done(done) => Step::Done(done),
        }
    }
}

/// Let the clients that are left finish, until the drain deadline.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Drain {
    why: Retire,
}

impl Drain {
    /// They are gone, or their time is over, and the handler with them.
    pub fn drained(self) -> Step {
        Step::Done(Done::Retired(self.why))
    }
}
