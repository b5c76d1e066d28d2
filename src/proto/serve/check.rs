//! What a server makes of what it finds when it looks after its files.

use crate::proto::record::{Found, Record};
use crate::proto::scope::Place;

/// What *Check* found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Checked {
    /// The life file is the one I locked, and the point holds exactly my record.
    Mine,
    /// The point is gone, damaged, or holds an old record: it is mine to restore.
    Damaged,
    /// The life file is another, or the point is somebody else's.
    Lost,
    /// Reading failed; that says nothing.
    CannotTell,
}

impl Checked {
    /// Life file × record, seen from a place. While I hold the lifetime lock of my life file nobody else can be
    /// registered: what another wrote of our format is damage. Where locks may not be locks between machines, another
    /// machine's server may serve all the same, and one of the two has to go.
    pub fn of(life_is_mine: bool, found: &Found, mine: &Record, here: &Place) -> Self {
        match (life_is_mine, found) {
            (false, _) => Checked::Lost,
            (true, Found::Absent | Found::Empty | Found::Malformed(_)) => Checked::Damaged,
            (true, Found::Newer { .. } | Found::OtherDialect) => Checked::Lost,
            (true, Found::Record(record)) if record == mine => Checked::Mine,
            (true, Found::Record(record)) if here.is_foreign(&record.scope) => Checked::Lost,
            (true, Found::Record(_)) => Checked::Damaged,
        }
    }
}
