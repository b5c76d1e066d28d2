//! The kinds of fault. Each fault that happens uses up one of the budget.

/// A kind of fault. `spec/README.md` explains what each means in the real world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    KillClient,
    KillServer,
    StopClient,
    StopServer,
    Deadline,
    Shortage,
    Torn,
    Emptied,
    Foreign,
    OldCopy,
    Deleted,
    Unlinked,
    Stranger,
    MuteClient,
    Backlog,
    CannotStart,
    Fails,
    Hangs,
    Nonsense,
    PipeKept,
    LifeRemoved,
    LifeReplaced,
    Copied,
    Full,
}

impl Fault {
    pub const ALL: [Fault; 24] = [
        Fault::KillClient,
        Fault::KillServer,
        Fault::StopClient,
        Fault::StopServer,
        Fault::Deadline,
        Fault::Shortage,
        Fault::Torn,
        Fault::Emptied,
        Fault::Foreign,
        Fault::OldCopy,
        Fault::Deleted,
        Fault::Unlinked,
        Fault::Stranger,
        Fault::MuteClient,
        Fault::Backlog,
        Fault::CannotStart,
        Fault::Fails,
        Fault::Hangs,
        Fault::Nonsense,
        Fault::PipeKept,
        Fault::LifeRemoved,
        Fault::LifeReplaced,
        Fault::Copied,
        Fault::Full,
    ];

    /// Returns whether the fault removes or replaces the life file.
    pub fn is_of_life(self) -> bool {
        matches!(self, Fault::LifeRemoved | Fault::LifeReplaced)
    }

    /// Returns whether the fault hides a live server whose life file is removed or replaced.
    pub fn hides(self) -> bool {
        use Fault::{Deleted, Emptied, KillClient, LifeReplaced, StopServer, Torn};
        matches!(self, KillClient | StopServer | Torn | Emptied | Deleted | LifeReplaced)
    }

    /// Returns the name of the fault in the spec.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::KillClient => "kill client",
            Fault::KillServer => "kill server",
            Fault::StopClient => "stop client",
            Fault::StopServer => "stop server",
            Fault::Deadline => "deadline",
            Fault::Shortage => "shortage",
            Fault::Torn => "torn",
            Fault::Emptied => "emptied",
            Fault::Foreign => "foreign",
            Fault::OldCopy => "old copy",
            Fault::Deleted => "deleted",
            Fault::Unlinked => "unlinked",
            Fault::Stranger => "stranger",
            Fault::MuteClient => "mute client",
            Fault::Backlog => "backlog",
            Fault::CannotStart => "cannot start",
            Fault::Fails => "fails",
            Fault::Hangs => "hangs",
            Fault::Nonsense => "nonsense",
            Fault::PipeKept => "pipe kept",
            Fault::LifeRemoved => "life removed",
            Fault::LifeReplaced => "life replaced",
            Fault::Copied => "copied",
            Fault::Full => "full",
        }
    }
}
