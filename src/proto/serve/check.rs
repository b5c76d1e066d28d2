//! What a server decides when it checks its files.

use crate::proto::record::{Found, Record};
use crate::proto::scope::Place;
use crate::proto::serving::Checked;

/// What a server found at the path of its life file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LifeFile {
    /// The file that this server locked.
    Mine,
    /// No file, or one that is not locked.
    Unheld,
    /// A file that another process has locked, or its directory is gone.
    Lost,
}

impl Checked {
    /// Decides by life file and record, as seen from `here`. `in_place`: the point is the file in which `mine` was
    /// written. A copy of it is another file, with a lock of its own.
    ///
    /// While this server holds the lifetime lock of its life file no other server can be registered, so any other
    /// record of this format is damage. Locks may not exclude processes of other machines, though: another machine's
    /// server may serve as well, and then this one retires.
    pub fn of(life: LifeFile, found: &Found, in_place: bool, mine: &Record, here: &Place) -> Self {
        match (life, found) {
            (LifeFile::Lost, _) | (_, Found::Newer { .. } | Found::OtherDialect) => Checked::Lost,
            (_, Found::Record(record)) if here.is_foreign(&record.scope) => Checked::Lost,
            (LifeFile::Unheld, _) => Checked::LifeFileGone,
            (LifeFile::Mine, Found::Record(record)) if record == mine && in_place => Checked::Mine,
            (LifeFile::Mine, _) => Checked::Damaged,
        }
    }
}

/// *Withdraw*: returns whether a server may withdraw what the point holds. It may withdraw its own record, and nothing
/// else.
pub fn may_withdraw(found: &Found, mine: &Record) -> bool {
    matches!(found, Found::Record(record) if record == mine)
}
