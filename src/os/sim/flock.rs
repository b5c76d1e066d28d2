//! Locks of whole files, as `flock` has them: of an open file, and advisory.

use std::io;

use super::super::lock::Hold;
use super::file::File;
use super::world::{self, effect};

/// Tries to lock an open file. `false`: another one holds the lock.
pub(crate) fn try_lock(file: &File, hold: Hold) -> io::Result<bool> {
    effect("flock", || file.name(if hold == Hold::Shared { "shared" } else { "exclusive" }))?;
    let id = file.id()?;
    Ok(world::with(|world| {
        let inode = world.open[&id].inode;
        let others = world.open.iter().filter(|(of, open)| **of != id && open.inode == inode);
        let is_free = others.into_iter().all(|(_, open)| match (open.lock, hold) {
            (None, _) | (Some(Hold::Shared), Hold::Shared) => true,
            (Some(_), _) => false,
        });
        if is_free {
            world.open.get_mut(&id).into_iter().for_each(|open| open.lock = Some(hold));
        }
        world.locked(inode, hold, is_free);
        is_free
    }))
}

pub(crate) fn unlock(file: &File) {
    if let (Ok(()), Ok(id)) = (effect("unlock", || file.name("")), file.id()) {
        world::with(|world| world.open.get_mut(&id).into_iter().for_each(|open| open.lock = None));
    }
}
