//! What a server makes of what it finds when it looks after its files.

use crate::proto::record::{Found, Record};
use crate::proto::scope::Place;
use crate::proto::serving::Checked;

/// What a server found at the path of its life file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LifeFile {
    /// The one that it locked.
    Mine,
    /// None, or one that nobody has locked.
    Unheld,
    /// One that another has locked, or no directory for it any more.
    Lost,
}

impl Checked {
    /// Life file × record, seen from a place; `in_place` says whether the point is the file in which my record was written.
    /// A copy of it is another file, with a lock of its own. While I hold the lifetime lock of my life file nobody else can be
    /// registered: what another wrote of our format is damage. Where locks may not be locks between machines, another
    /// machine's server may serve all the same, and one of the two has to go.
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

/// *Withdraw*: returns whether a server may withdraw what the point holds. It may withdraw its own record, and nothing else.
pub fn may_withdraw(found: &Found, mine: &Record) -> bool {
    matches!(found, Found::Record(record) if record == mine)
}
