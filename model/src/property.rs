//! What must always be true, with the names of the spec.

use crate::world::{Move, World};

/// Whether a world and a move from it are as they must be; else what is not.
pub fn judge(_world: &World, _step: Option<&Move>) -> Result<(), String> {
    Ok(())
}
