//! Where an address means anything: one boot of one machine, one network namespace of it.

use core::fmt;

use super::address::is_spelled;
use super::hex::{self, Hex};

/// The place in which a server's loopback address is its own.
///
/// Another container's `127.0.0.1:4711` is somebody else, and so is this machine's after a reboot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    /// Drawn by the kernel at each boot; zeros where the system tells none.
    pub boot: [u8; 16],
    /// The network namespace; 0 where the system has none.
    pub namespace: u64,
    /// A digest of the machine's identity, where it has one.
    pub machine: Option<[u8; 16]>,
}

/// How a record's scope lies to ours.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Relation {
    /// The same boot and the same network namespace.
    Here,
    /// The same boot, another network namespace.
    OtherNamespace,
    /// An earlier boot of this machine, as far as anyone can tell.
    EarlierBoot,
    /// Another machine.
    OtherMachine,
}

impl Scope {
    /// How `self`, read from a record, lies to `here`.
    ///
    /// The boot is compared first: two containers of one kernel may have different machine ids, or share
    /// one with their host. Without both machine ids another boot is taken for an earlier one of this
    /// machine, for after a reboot a service must come up again; the lifetime lock has the last word.
    pub fn relation(&self, here: &Scope) -> Relation {
        let other_machine = matches!((self.machine, here.machine), (Some(theirs), Some(ours)) if theirs != ours);
        match (self.boot == here.boot, self.namespace == here.namespace, other_machine) {
            (true, true, _) => Relation::Here,
            (true, false, _) => Relation::OtherNamespace,
            (false, _, false) => Relation::EarlierBoot,
            (false, _, true) => Relation::OtherMachine,
        }
    }

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
        write!(f, "{}/{}/", Hex(&self.boot), self.namespace)?;
        match &self.machine {
            Some(machine) => Hex(machine).fmt(f),
            None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Scope = Scope { boot: [1; 16], namespace: 7, machine: Some([2; 16]) };

    #[test]
    fn the_boot_tells_before_the_machine_id() {
        let container = Scope { machine: Some([9; 16]), ..HERE };
        assert_eq!(container.relation(&HERE), Relation::Here);
        assert_eq!(Scope { namespace: 8, ..container }.relation(&HERE), Relation::OtherNamespace);
    }

    #[test]
    fn another_boot_is_another_machine_only_where_both_ids_are_known_and_differ() {
        let rebooted = Scope { boot: [3; 16], namespace: 1, ..HERE };
        assert_eq!(rebooted.relation(&HERE), Relation::EarlierBoot);
        assert_eq!(Scope { machine: None, ..rebooted }.relation(&HERE), Relation::EarlierBoot);
        assert_eq!(Scope { machine: Some([9; 16]), ..rebooted }.relation(&HERE), Relation::OtherMachine);
    }
}
