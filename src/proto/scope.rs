//! Where an address means anything: one boot of one machine, one network namespace of it.

use core::fmt;

use super::address::{Address, is_spelled};
use super::hex::{self, Hex};
use super::record::Record;

/// The place in which a server's loopback address is its own.
///
/// Another container's `127.0.0.1:4711` is somebody else, and so is this machine's after a reboot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    /// Drawn by the kernel at each boot; zeros where the system tells none.
    pub boot: [u8; 16],
    /// The network namespace; 0 where it is not known.
    pub namespace: u64,
    /// A digest of the machine's identity, where it has one.
    pub machine: Option<[u8; 16]>,
}

/// Where somebody stands who reads a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The scope there.
    pub scope: Scope,
    /// The home's file system, and so its locks, are known to be this kernel's alone. Where another machine may hold
    /// them, or they may be no locks between machines, a record of another machine is left alone.
    pub local: bool,
}

/// What a record is worth to who stands at a place, before anything was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reach {
    /// Its address leads to its server, or to a dead server's place: dial it.
    Direct,
    /// Its port is its server's only if the other boot that it names is this one. A lifetime lock that is held says so.
    Doubtful,
    /// From here its port is somebody else's, or nobody can tell whose.
    Apart,
}

/// In which part a record's scope differs from a place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Difference {
    /// The machine.
    Machine,
    /// The boot, of this machine or of one that tells no identity.
    Boot,
    /// The network namespace.
    Namespace,
    /// The network namespace is not known, here or there.
    UnknownNamespace,
}

impl Scope {
    /// Whether others can tell from this scope whose an address is: a port is its server's in one network namespace only.
    pub fn places(&self, address: &Address) -> bool {
        matches!(address, Address::Unix(_)) || self.namespace != UNKNOWN
    }
}

const UNKNOWN: u64 = 0;

impl Place {
    /// What a record is worth from here.
    ///
    /// A socket is a file beside the point, so it leads to its server from wherever the point is seen. A port needs its
    /// network namespace to be known, and this one.
    pub fn reach(&self, record: &Record) -> Reach {
        match (&record.address, self.differs(&record.scope)) {
            (Address::Unix(_), _) | (_, None) => Reach::Direct,
            (_, Some(Difference::Namespace | Difference::UnknownNamespace)) => Reach::Apart,
            (_, Some(Difference::Boot | Difference::Machine)) if self.local && self.shares_namespace(&record.scope) => {
                Reach::Doubtful
            }
            (_, Some(Difference::Boot | Difference::Machine)) => Reach::Apart,
        }
    }

    /// Whether a record may be of another machine that shares the home: one whose locks cannot be believed here.
    pub fn is_foreign(&self, theirs: &Scope) -> bool {
        !self.local && self.is_other_machine(theirs)
    }

    /// In which part a record's scope differs from here, if it does; the one that says best what keeps us from its server.
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

    /// The boot is compared before the machine: two containers of one kernel may have different machine ids, or share one
    /// with their host. Without both machine ids another boot is taken for one of this machine.
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
    /// Reads `BOOT/NAMESPACE/MACHINE` in its one spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let boot = hex::decode(parts.next()?)?;
        let namespace = parts.next()?.parse().ok()?;
        let machine = match parts.next()? {
            "-" => None,
            digits => Some(hex::decode(digits)?),
        };
        let scope = Scope { boot, namespace, machine };
        is_spelled(&scope, text).then_some(scope)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}/{}/", Hex(&self.boot), self.namespace)?;
        match &self.machine {
            Some(machine) => fmt::LowerHex::fmt(&Hex(machine), f),
            None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::record::tests::sample;

    const HERE: Scope = Scope { boot: [1; 16], namespace: 7, machine: Some([2; 16]) };
    const LOCAL: Place = Place { scope: HERE, local: true };
    const SHARED: Place = Place { scope: HERE, local: false };

    fn at_port(scope: Scope) -> Record {
        Record { scope, ..sample() }
    }

    fn at_socket(scope: Scope) -> Record {
        Record { address: "unix:00112233aabbccdd".parse().unwrap(), ..at_port(scope) }
    }

    #[test]
    fn every_cell_of_the_table_of_scopes() {
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
            assert_eq!((LOCAL.reach(&at_port(theirs)), SHARED.reach(&at_port(theirs))), (local, shared), "{theirs}");
            for place in [LOCAL, SHARED] {
                assert_eq!(place.reach(&at_socket(theirs)), Reach::Direct, "a socket is a file: {theirs}");
                assert_eq!(place.is_foreign(&theirs), !place.local && differs == Some(Difference::Machine), "{theirs}");
            }
        }
    }

    #[test]
    fn what_is_not_known_equals_nothing_not_even_itself() {
        let nowhere = Scope { namespace: 0, ..HERE };
        let place = Place { scope: nowhere, local: true };
        assert_eq!(place.reach(&at_port(nowhere)), Reach::Apart);
        assert_eq!(place.reach(&at_socket(nowhere)), Reach::Direct);
        assert!(!nowhere.places(&at_port(HERE).address) && nowhere.places(&at_socket(HERE).address));
        assert!(HERE.places(&at_port(HERE).address));
    }
}
