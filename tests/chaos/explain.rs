//! Which fault explains which failure: two tables, by what failed, whom the fault befell, and when.
//!
//! A failure that has a cause of its own (a server that did not start) needs a fault that brings this cause about. A
//! failure by time (a deadline) needs faults that held the connect up for most of its time.

use rustix::io::Errno;

use crate::plan::{Fault, Role};

/// How a connect, a retirement or a start by hand failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// No more descriptors, a file that is too long, no space, no more processes.
    Descriptors,
    Length,
    Space,
    Processes,
    /// Another local error: a file, a call of the system, or a lock that cannot be had.
    Local,
    /// The server that it started did not become ready.
    Start,
    /// The server that it started does not hold the lifetime lock.
    Unverified,
    /// Each server that it started was gone before it could be reached.
    Vanished,
    /// The handler was not built.
    Handler,
    /// No answer came in time.
    Time,
    /// Another server lives, and was dialled, so no second one starts.
    Second,
    /// A server that a client started found the lifetime lock held until its time was over.
    Busy,
    Other,
}

pub const FAILURES: [Failure; 13] = [
    Failure::Descriptors,
    Failure::Length,
    Failure::Space,
    Failure::Processes,
    Failure::Local,
    Failure::Start,
    Failure::Unverified,
    Failure::Vanished,
    Failure::Handler,
    Failure::Time,
    Failure::Second,
    Failure::Busy,
    Failure::Other,
];

/// Whom a fault befell, as the process that failed sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Bearing {
    /// That process.
    Own,
    /// The last server that it started, and that was not registered yet.
    Child,
    /// A server that it dialled, or for whose end it waited.
    Met,
    /// A process that held the point lock meanwhile, or the server that this process started.
    Holder,
    /// The process that started it.
    Parent,
    /// All processes: it is a fault of files.
    World,
}

pub const BEARINGS: [Bearing; 6] =
    [Bearing::Own, Bearing::Child, Bearing::Met, Bearing::Holder, Bearing::Parent, Bearing::World];

/// In which part of its life a process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It is a client.
    Connects,
    /// It is a server, and not registered.
    Starts,
    Serves,
    /// It is a server that retires.
    Ends,
}

pub const PHASES: [Phase; 4] = [Phase::Connects, Phase::Starts, Phase::Serves, Phase::Ends];

/// Whether this fault brings this failure about by itself, if it befell a process in this phase.
pub fn causes(failure: Failure, bearing: Bearing, fault: Fault, phase: Phase) -> bool {
    use Bearing::{Child, Met, Own, Parent, World};
    use Failure::{Handler, Local, Start, Time, Unverified, Vanished};
    use Fault::{Cancel, Descriptors, Fail, FileSize, Fill, Hang, Kill, Processes, Stop, Unlink, Vanish};
    use Phase::{Connects, Ends, Serves, Starts};
    match (failure, bearing, phase) {
        (Failure::Descriptors, Own, _) => fault == Descriptors,
        // A record that is cut off by the limit does not fit either.
        (Failure::Length | Failure::Space, Own, _) => fault == FileSize,
        (Failure::Processes, Own, _) => fault == Processes,
        (Failure::Space | Start, World, _) => fault == Fill,
        // While it is stopped, the time of the server that it starts runs out.
        (Start, Own, Connects) => matches!(fault, Stop | Descriptors | Processes),
        (Start, Child, Starts) => matches!(fault, Kill | Stop | Fail | Hang | Descriptors | FileSize | Processes),
        (Unverified, Child, Starts) => fault == Kill,
        (Unverified, World, _) => fault == Vanish,
        (Vanished, Met, Starts | Serves) => matches!(fault, Kill | Stop | Descriptors | FileSize | Processes),
        (Vanished, Met, Ends) => fault == Kill,
        // Without its socket a server is not reached, and it may be idle before its first check.
        (Vanished, World, _) => fault == Unlink,
        // The handler of a server by hand, or of an internal server.
        (Handler, Own, Connects | Starts) => matches!(fault, Fail | Hang | Stop),
        // A server whose spawner is gone, or no longer listens, has nobody to serve.
        (Local | Start | Handler | Time, Parent, Connects) => matches!(fault, Kill | Stop | Cancel),
        _ => false,
    }
}

/// For how long a fault holds a process up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// Not at all: the protocol goes on at once.
    None,
    /// Until the process is continued.
    Stopped,
    /// Since the server was started, or for the time of a start: that it starts was in vain.
    Vain,
    /// Until the time of a start is over.
    Start,
    /// Until a server has checked its files, and a client has waited for it.
    Check,
    /// Until the faults are over.
    Rest,
}

/// For how long a fault holds up a process of this bearing.
pub fn holds_up(bearing: Bearing, fault: Fault) -> Span {
    use Bearing::{Child, Holder, Met, Own, Parent, World};
    match (bearing, fault) {
        (Own | Child | Met | Holder | Parent, Fault::Stop) => Span::Stopped,
        (Child | Met | Holder, Fault::Kill | Fault::Fail) => Span::Vain,
        (Child | Holder, Fault::Hang) => Span::Start,
        (Own | Met, Fault::Descriptors | Fault::FileSize | Fault::Processes) => Span::Rest,
        (World, Fault::Fill) => Span::Rest,
        (World, Fault::Delete | Fault::Empty | Fault::Cut | Fault::Corrupt | Fault::Replace | Fault::Old) => {
            Span::Check
        }
        (World, Fault::Unlink | Fault::Vanish) => Span::Check,
        _ => Span::None,
    }
}

/// Whether a client loses its connection when this befalls its server.
pub fn cuts_off(fault: Fault) -> bool {
    matches!(fault, Fault::Kill | Fault::Descriptors | Fault::Processes)
}

/// Whether a server with clients may retire, for the reason that it gives: somebody may have asked it to, or its life
/// file was removed.
pub fn may_retire(why: &str, asked: bool, life_removed: bool) -> bool {
    match why {
        "Requested" => asked,
        "Lost" => life_removed,
        _ => false,
    }
}

/// Whether two handlers may run for a while: the earlier server is in this phase, and its life file was removed, and
/// perhaps the point was damaged, since it took the lifetime lock.
pub fn may_overlap(earlier: Phase, life_removed: bool, point_damaged: bool) -> bool {
    match (life_removed, earlier) {
        (false, _) | (true, Phase::Connects) => false,
        // An orphan, until its watchdog ends it; or a server that drains.
        (true, Phase::Starts | Phase::Ends) => true,
        // Without a record, no client waits for the life file to be made again.
        (true, Phase::Serves) => point_damaged,
    }
}

impl Phase {
    /// The phase of a process that is at this step.
    pub fn at(role: Role, step: &str) -> Self {
        match (role, step) {
            (Role::Connect, _) => Phase::Connects,
            (Role::Serve, "Watch" | "Claim" | "Build" | "Listen" | "Ready" | "Registered" | "Write" | "Refuse") => {
                Phase::Starts
            }
            (Role::Serve, "Look" | "Withdraw" | "Close" | "Drain" | "Release" | "Done" | "Exit") => Phase::Ends,
            (Role::Serve, _) => Phase::Serves,
        }
    }
}

impl Failure {
    /// Reads the name that a process reports, and the number of the system's error, if there is one.
    pub fn of(name: &str, errno: Option<i32>) -> Self {
        let errno = errno.map(Errno::from_raw_os_error);
        match name {
            "File" | "System" | "CannotTell" => match errno {
                Some(Errno::MFILE) => Failure::Descriptors,
                Some(Errno::FBIG) => Failure::Length,
                Some(Errno::NOSPC) => Failure::Space,
                Some(Errno::AGAIN) => Failure::Processes,
                _ => Failure::Local,
            },
            "Start" => Failure::Start,
            "Unverified" => Failure::Unverified,
            "Vanished" => Failure::Vanished,
            "Handler" => Failure::Handler,
            "Deadline" | "Unresponsive" | "Full" => Failure::Time,
            "AlreadyRunning" => Failure::Second,
            _ => Failure::Other,
        }
    }
}
