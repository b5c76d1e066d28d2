//! The scope of an address: one boot of one machine, and one network namespace.

use core::fmt;

use super::address::{Address, is_spelled};
use super::hex::{self, Hex};

/// The part of the world in which a loopback address belongs to one server.
///
/// In another container, or after a reboot, `127.0.0.1:4711` belongs to another program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    /// The boot ID, which the kernel draws at each boot. Zeros if the system has none.
    pub boot: [u8; 16],
    /// The network namespace. 0 if it is not known.
    pub namespace: u64,
    /// A digest of the machine ID, if the machine has one.
    pub machine: Option<[u8; 16]>,
}

/// The place of the process that reads a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The scope of that process.
    pub scope: Scope,
    /// Whether the file system of the point, and so its locks, are known to belong to this kernel alone. If not, other
    /// machines may hold the locks, or the locks may not work between machines, so a record of another machine is left
    /// alone.
    pub local: bool,
}

/// Whether the address of a record leads to its server, as far as the scopes show.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reach {
    /// The address leads to the server, or to no server if it is dead: dial it.
    Direct,
    /// The record names another boot, and its port belongs to its server only if that boot is this one. A lifetime lock
    /// that is held shows that it is.
    Doubtful,
    /// From here the port belongs to another program, or its owner cannot be known.
    Apart,
}

/// The part in which the scope of a record differs from a place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Difference {
    /// The machine.
    Machine,
    /// The boot, of this machine or of a machine without an ID.
    Boot,
    /// The network namespace.
    Namespace,
    /// The network namespace is not known, here or there.
    UnknownNamespace,
}

impl Scope {
    /// Returns whether other processes can know from this scope which server has `address`. A port belongs to a server
    /// in one network namespace only, so that namespace has to be known.
    pub fn places(&self, address: &Address) -> bool {
        matches!(address, Address::Unix(_)) || self.namespace != UNKNOWN
    }
}

const UNKNOWN: u64 = 0;
const UNKNOWN_BOOT: [u8; 16] = [0; 16];

/// The kernel on which a process runs: what its scope has without the network namespace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Kernel {
    /// The boot ID. Zeros if the system has none.
    pub boot: [u8; 16],
    /// A digest of the machine ID, if the machine has one.
    pub machine: Option<[u8; 16]>,
}

impl Kernel {
    /// Returns the kernel of a process of this boot, if it is known to be this one: then the process has this machine ID
    /// too. Otherwise it has to ask the system. A wrapper may have started it on another machine.
    pub fn of_boot(self, boot: [u8; 16]) -> Option<Self> {
        (boot == self.boot && boot != UNKNOWN_BOOT).then_some(self)
    }

    /// Parses `BOOT/MACHINE` in its one spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (boot, machine) = text.split_once('/')?;
        let kernel = Kernel { boot: hex::decode(boot)?, machine: parse_machine(machine)? };
        is_spelled(&kernel, text).then_some(kernel)
    }
}

impl From<Scope> for Kernel {
    fn from(scope: Scope) -> Self {
        Kernel { boot: scope.boot, machine: scope.machine }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}/", Hex(&self.boot))?;
        write_machine(self.machine.as_ref(), f)
    }
}

fn parse_machine(text: &str) -> Option<Option<[u8; 16]>> {
    match text {
        "-" => Some(None),
        digits => hex::decode(digits).map(Some),
    }
}

fn write_machine(machine: Option<&[u8; 16]>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match machine {
        Some(machine) => fmt::LowerHex::fmt(&Hex(machine), f),
        None => f.write_str("-"),
    }
}

impl Place {
    /// The place of a process that has not looked. From there only a socket leads to its server.
    pub const UNKNOWN: Place =
        Place { scope: Scope { boot: UNKNOWN_BOOT, namespace: UNKNOWN, machine: None }, local: false };

    /// Returns whether an address of another scope leads to its server from here.
    ///
    /// A Unix socket is a file beside the point, so it leads to its server wherever the point can be read. A port does
    /// so only in its network namespace, which has to be known.
    pub fn reach(&self, theirs: &Scope, address: &Address) -> Reach {
        match (address, self.differs(theirs)) {
            (Address::Unix(_), _) | (_, None) => Reach::Direct,
            (_, Some(Difference::Namespace | Difference::UnknownNamespace)) => Reach::Apart,
            (_, Some(Difference::Boot | Difference::Machine)) if self.local && self.shares_namespace(theirs) => {
                Reach::Doubtful
            }
            (_, Some(Difference::Boot | Difference::Machine)) => Reach::Apart,
        }
    }

    /// Returns whether a record may be of another machine that shares the file system, so that the locks prove nothing.
    pub fn is_foreign(&self, theirs: &Scope) -> bool {
        !self.local && self.is_other_machine(theirs)
    }

    /// Returns the part in which the scope of a record differs from this place, if it does. If several differ, it is
    /// the one that best explains why the server cannot be reached.
    pub fn differs(&self, theirs: &Scope) -> Option<Difference> {
        let ours = &self.scope;
        if self.is_foreign(theirs) {
            Some(Difference::Machine)
        } else if [theirs.namespace, ours.namespace].contains(&UNKNOWN) {
            Some(Difference::UnknownNamespace)
        } else if self.is_other_machine(theirs) {
            Some(Difference::Machine)
        } else if theirs.boot != ours.boot {
            Some(Difference::Boot)
        } else if theirs.namespace != ours.namespace {
            Some(Difference::Namespace)
        } else {
            None
        }
    }

    /// Returns whether the scope is of another machine: both boot and machine ID differ.
    ///
    /// The machine ID alone is not enough: two containers of one kernel may have different machine IDs, or share one
    /// with their host. If a machine ID is missing, another boot counts as one of this machine.
    fn is_other_machine(&self, theirs: &Scope) -> bool {
        let ours = &self.scope;
        theirs.boot != ours.boot
            && matches!((theirs.machine, ours.machine), (Some(theirs), Some(ours)) if theirs != ours)
    }

    fn shares_namespace(&self, theirs: &Scope) -> bool {
        theirs.namespace == self.scope.namespace && theirs.namespace != UNKNOWN
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Difference::Machine => "it is another machine's",
            Difference::Boot => "it names another boot",
            Difference::Namespace => "it is of another network namespace",
            Difference::UnknownNamespace => "its network namespace or this one is not known (is there a /proc?)",
        })
    }
}

impl Scope {
    /// Parses `BOOT/NAMESPACE/MACHINE` in its one spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let boot = hex::decode(parts.next()?)?;
        let namespace = parts.next()?.parse().ok()?;
        let machine = parse_machine(parts.next()?)?;
        let scope = Scope { boot, namespace, machine };
        is_spelled(&scope, text).then_some(scope)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}/{}/", Hex(&self.boot), self.namespace)?;
        write_machine(self.machine.as_ref(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Scope = Scope { boot: [1; 16], namespace: 7, machine: Some([2; 16]) };
    const LOCAL: Place = Place { scope: HERE, local: true };
    const SHARED: Place = Place { scope: HERE, local: false };

    fn port() -> Address {
        "127.0.0.1:4711".parse().unwrap()
    }

    fn socket() -> Address {
        "unix:00112233aabbccdd".parse().unwrap()
    }

    #[test]
    fn each_pair_of_scopes_has_its_reach_and_difference() {
        let rebooted = Scope { boot: [3; 16], ..HERE };
        let nowhere = Scope { namespace: 0, ..HERE };
        for (theirs, differs, local, shared) in [
            (HERE, None, Reach::Direct, Reach::Direct),
            (Scope { machine: Some([9; 16]), ..HERE }, None, Reach::Direct, Reach::Direct),
            (Scope { machine: None, ..HERE }, None, Reach::Direct, Reach::Direct),
            (Scope { namespace: 8, ..HERE }, Some(Difference::Namespace), Reach::Apart, Reach::Apart),
            (nowhere, Some(Difference::UnknownNamespace), Reach::Apart, Reach::Apart),
            (rebooted, Some(Difference::Boot), Reach::Doubtful, Reach::Apart),
            (Scope { machine: None, ..rebooted }, Some(Difference::Boot), Reach::Doubtful, Reach::Apart),
            (Scope { machine: Some([9; 16]), ..rebooted }, Some(Difference::Machine), Reach::Doubtful, Reach::Apart),
            (Scope { namespace: 8, ..rebooted }, Some(Difference::Boot), Reach::Apart, Reach::Apart),
            (Scope { namespace: 0, ..rebooted }, Some(Difference::UnknownNamespace), Reach::Apart, Reach::Apart),
        ] {
            assert_eq!(LOCAL.differs(&theirs), differs, "{theirs}");
            assert_eq!((LOCAL.reach(&theirs, &port()), SHARED.reach(&theirs, &port())), (local, shared), "{theirs}");
            for place in [LOCAL, SHARED] {
                assert_eq!(place.reach(&theirs, &socket()), Reach::Direct, "a socket is a file: {theirs}");
                assert_eq!(place.is_foreign(&theirs), !place.local && differs == Some(Difference::Machine), "{theirs}");
            }
        }
    }

    #[test]
    fn a_spawners_machine_is_that_of_its_boot_alone() {
        let spawner = Kernel::from(HERE);
        for (kernel, boot, known) in [
            (spawner, [1; 16], Some(spawner)),
            (Kernel { machine: None, ..spawner }, [1; 16], Some(Kernel { machine: None, ..spawner })),
            (spawner, [3; 16], None),
            (spawner, [0; 16], None),
            (Kernel { boot: [0; 16], ..spawner }, [1; 16], None),
            (Kernel { boot: [0; 16], ..spawner }, [0; 16], None),
        ] {
            assert_eq!(kernel.of_boot(boot), known, "{kernel} {boot:?}");
        }
    }

    #[test]
    fn an_unknown_namespace_equals_no_namespace() {
        let nowhere = Scope { namespace: 0, ..HERE };
        let place = Place { scope: nowhere, local: true };
        assert_eq!(place.reach(&nowhere, &port()), Reach::Apart);
        assert_eq!(place.reach(&nowhere, &socket()), Reach::Direct);
        assert!(!nowhere.places(&port()) && nowhere.places(&socket()));
        assert!(HERE.places(&port()));
    }
}
