//! The type for process numbers.

use std::fmt;
use std::num::NonZeroU32;

/// The number of a process, which is never 0: to `kill`, 0 is the caller's own process group.
///
/// An unknown number is `None`. The process may have ended since, and another may have its number by now. In another
/// PID namespace, as a container has one, the number belongs to another process or to none.
///
/// ```
/// # use rendezvous_ipc::Pid;
/// let pid = Pid::new(4711).unwrap();
/// assert_eq!((pid.get(), pid.to_string()), (4711, "4711".into()));
/// assert_eq!(Pid::new(0), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Pid(NonZeroU32);

impl Pid {
    /// Returns the process with this number, or `None` if `kill` would take the number for a group: 0, or above
    /// `i32::MAX`.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) if number.get() <= i32::MAX as u32 => Some(Pid(number)),
            _ => None,
        }
    }

    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Pid> for u32 {
    fn from(pid: Pid) -> Self {
        pid.get()
    }
}

/// Writes ` (pid 4711)`, or nothing if the process is not known.
pub(crate) struct InBrackets(pub(crate) Option<Pid>);

impl fmt::Display for InBrackets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|pid| write!(f, " (pid {pid})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_that_kill_takes_for_a_group_is_a_process() {
        for number in [0, i32::MAX as u32 + 1, u32::MAX] {
            assert_eq!(Pid::new(number), None, "{number}");
        }
        assert_eq!(Pid::new(1).map(u32::from), Some(1));
        assert_eq!(Pid::new(i32::MAX as u32).map(Pid::get), Some(i32::MAX as u32));
    }
}
